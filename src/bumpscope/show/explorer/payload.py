"""A run as plain data for the page: arrays as base64 of small integers, curves and verdicts as they are."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.controls import lattice_of
from bumpscope.judge.learning_curves import middle
from bumpscope.measure.alignment import align
from bumpscope.measure.metrics import OUTCOMES, PHASES
from bumpscope.show import style
from bumpscope.show.explorer.selection import Extent, chosen_steps, image_grid, positions, spread
from bumpscope.show.explorer.sprites import COLUMNS, sheet, thumbnail_size
from bumpscope.show.manifold_view import COORDINATES, viewpoint
from bumpscope.show.marks import effect_looks
from bumpscope.show.rows import columns_of
from bumpscope.store.results import Results, in_network_order
from bumpscope.store.run import Run
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.named import world_of
from bumpscope.worlds.world import World

NOTHING = -32768  # stands for NaN
LARGEST = 32767
UNKNOWN = 255  # an outcome or a number of bumps that no table has
UMAP = ["umap_1", "umap_2", "umap_3"]
EFFECTS = ["effect_x", "effect_x_low", "effect_x_high", "effect_y", "effect_y_low", "effect_y_high", "effect_xy"]
# As plotly names the lines of the figures.
DASHES: dict[Any, str] = {"-": "solid", "--": "dash", ":": "dot", (0, (5, 1, 1, 1)): "dashdot"}


def quantised(values: np.ndarray) -> dict[str, Any]:
    """Numbers as 16-bit integers: value = offset + scale * integer.

    They are exact to scale / 2, a 131,068th of their range, and rounding of float64; NaN and infinities become
    ``NOTHING``.

    Returns:
        data (base64, little-endian), offset, scale.
    """
    flat = np.asarray(values, dtype=float).ravel()
    finite = np.isfinite(flat)
    low, high = (float(flat[finite].min()), float(flat[finite].max())) if finite.any() else (0.0, 0.0)
    # Halved first, so that the range of the largest numbers does not overflow.
    offset, scale = low / 2 + high / 2, (high / 2 - low / 2) / LARGEST or 1.0
    numbers = np.full(len(flat), NOTHING, dtype="<i2")
    numbers[finite] = np.round((flat[finite] - offset) / scale).clip(-LARGEST, LARGEST).astype("<i2")
    return {"data": base64.b64encode(numbers.tobytes()).decode(), "offset": offset, "scale": scale}


def small(values: pd.Series) -> str:
    """Whole numbers from 0 to 254 as base64; what is missing becomes ``UNKNOWN``, and what is larger 254."""
    numbers = values.astype("float64").clip(0, UNKNOWN - 1).fillna(UNKNOWN).to_numpy()
    return base64.b64encode(numbers.astype(np.uint8).tobytes()).decode()


def numbers(values: Any) -> list[float | None]:
    """Numbers as JSON can hold them, to six digits; NaN and infinities become null."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in np.asarray(values, dtype=float)]


def run_payload(extent: Extent, count: int, verdicts: pd.DataFrame | None = None) -> dict[str, Any]:
    """All that the page shows of a run.

    Args:
        count: samples to show; the grid of images is shown whatever it is.
        verdicts: columns run, layer, t, step, value, as :func:`latent_verdicts` gives them; None where unknown.
    """
    run = extent.run
    world = world_of(lattice_of(run.info))
    factors = sorted(world.factors, key=lambda factor: run.names.factors.index(factor.name))
    size = int(run.info["image_size"])
    behaviour = run.table("behaviour")
    mix = outcome_mix(behaviour)
    steps = chosen_steps(extent.steps, np.array([mix["shares"][outcome] for outcome in OUTCOMES]).T)
    requests = behaviour.drop_duplicates("sample").sort_values("sample")
    where = positions(requests, world)
    grid = image_grid(requests, where)
    samples = spread(requests, where, [sample for row in grid for sample in row], count)
    shown = requests[requests["sample"].isin(samples)]
    place = {sample: k for k, sample in enumerate(samples)}
    found = behaviour.set_index("sample")
    own = None if verdicts is None else verdicts[verdicts["run"] == run.name]
    return {
        "run": run.name,
        "image_size": size,
        "factors": [described(factor) for factor in factors],
        "steps": steps,
        "samples": samples,
        "requests": [numbers(shown[name]) for name in run.names.asked],
        "split": shown["split"].tolist(),
        "grid": [[place[sample] for sample in row] for row in grid],
        "sheets": sheets(run, steps, samples, size),
        "columns": min(COLUMNS, len(samples)),
        "side": thumbnail_size(size),
        "found": [_found(found[found["step"] == step].reindex(samples), world) for step in steps],
        "places": places(run, steps, shown, factors, own),
        "mix": mix,
        "effects": effects(run),
        "phases": phases(run),
    }


def described(factor: Factor) -> dict[str, Any]:
    """What the page tells of a factor; ``decimals`` tell the values of its grid apart, and are no fewer than one."""
    return {
        "name": factor.name,
        "unit": factor.unit,
        "unit_of_distance": factor.unit_of_distance,
        "logarithmic": factor.logarithmic,
        "period": factor.period,
        "decimals": max(1, 1 - math.ceil(math.log10(factor.spacing))),
    }


def outcome_mix(behaviour: pd.DataFrame) -> dict[str, Any]:
    """Shares of the outcomes at all checkpoints: of all images for seen requests, or of all where none was seen."""
    seen = behaviour[behaviour["split"] == "seen"]
    rows, of = (behaviour, "all") if seen.empty else (seen, "seen")
    counts = rows.groupby(["step", "outcome"]).size().unstack(fill_value=0).reindex(columns=OUTCOMES, fill_value=0)
    shares = counts.div(counts.sum(axis=1), axis=0)
    return {
        "of": of,
        "images": int(counts.sum(axis=1).max()),
        "steps": counts.index.tolist(),
        "shares": {outcome: numbers(shares[outcome]) for outcome in OUTCOMES},
    }


def sheets(run: Run, steps: Sequence[int], samples: list[int], size: int) -> list[str] | None:
    """A sheet of thumbnails a checkpoint, in the order of ``samples``; None where no image was kept."""
    if not run.has("samples"):
        return None
    rows = {sample: k for k, sample in enumerate(samples)}
    made = []
    for step in steps:  # one after the other, so that memory holds the images of one checkpoint
        where = {"step": int(step), "sample": samples}
        order = run.table("samples", ["sample"], **where)["sample"].tolist()
        images = np.zeros((len(samples), size, size), np.float32)
        if order:
            images[[rows[sample] for sample in order]] = run.images("samples", **where)
        made.append(sheet(images))
    return made


def _found(rows: pd.DataFrame, world: World) -> dict[str, Any]:
    """What was found in images: the factors, the distance from the request in each group of them, and the outcome."""
    code = {outcome: k for k, outcome in enumerate(OUTCOMES)}
    names, groups = [factor.name for factor in world.factors], world.names.groups
    away = world.distances(rows[names].to_numpy(), rows[[f"mu_{name}" for name in names]].to_numpy())
    found = {
        "values": [quantised(rows[name].to_numpy()) for name in world.names],
        # That in the first group is in the table.
        "distances": [quantised(values) for values in (rows["error"].to_numpy(), *away[1:])],
        "bumps": small(rows["bumps"]),
        "outcome": small(rows["outcome"].map(code)),
    }
    if len(groups) > 1:
        missed = rows["misses"].fillna("").str.split(",")
        # A bit for each group.
        bits = {group[0]: 2**k for k, group in enumerate(groups)}
        found["misses"] = small(missed.map(lambda names: sum(bits.get(name, 0) for name in names)))
    return found


def places(
    run: Run,
    steps: Sequence[int],
    requests: pd.DataFrame,
    factors: Sequence[Factor],
    verdicts: pd.DataFrame | None,
) -> list[dict[str, Any]]:
    """The embeddings of a run, a layer and t each, in the network's order; none where there is no such table."""
    if not run.has("embedding"):
        return []
    columns = ["step", "layer", "t", "sample", *COORDINATES, *UMAP]
    table = run.table("embedding", columns, step=list(steps))
    made = []
    for layer in in_network_order(table["layer"]):
        for t in sorted(table.loc[table["layer"] == layer, "t"].unique(), reverse=True):
            points = table[(table["layer"] == layer) & (table["t"] == t)]
            own = None if verdicts is None else verdicts[(verdicts["layer"] == layer) & (verdicts["t"] == t)]
            made.append(
                {
                    "layer": layer,
                    "t": int(t),
                    "pca": embedding(points, COORDINATES, steps, requests, factors),
                    "umap": embedding(points, UMAP, steps, requests, factors),
                    "verdicts": None if own is None or own.empty else _letters(own.sort_values("step")),
                }
            )
    return made


def embedding(
    points: pd.DataFrame,
    coordinates: list[str],
    steps: Sequence[int],
    requests: pd.DataFrame,
    factors: Sequence[Factor],
) -> dict[str, Any] | None:
    """Points of one embedding at all checkpoints, in one basis, and the view from which they are looked at first.

    PCA comes aligned from its table; UMAP, whose axes mean nothing, is turned or mirrored in the same way here (over
    all samples, before the ones to show are chosen).

    Returns:
        points (a step each, samples times three numbers; null where there is none), right and up (unit vectors of the
        first view), reach (largest distance from the middle along an axis, over all steps); None without any point.
    """
    clouds = {}
    for step in sorted(set(points["step"].tolist())):
        rows = points[points["step"] == step]
        cloud = rows.set_index("sample")[coordinates].sort_index()
        if np.isfinite(cloud.to_numpy()).all():
            clouds[step] = cloud
    # Alignment needs the same samples everywhere.
    same = bool(clouds) and all(cloud.index.equals(clouds[max(clouds)].index) for cloud in clouds.values())
    if coordinates == UMAP and same:
        turned = align({step: cloud.to_numpy() for step, cloud in clouds.items()})
        clouds = {step: pd.DataFrame(turned[step], cloud.index, coordinates) for step, cloud in clouds.items()}
    if not clouds:
        return None
    # What is looked at is the cloud's form: its middle is the middle of the box.
    samples = requests["sample"].to_numpy()
    centred = {step: (cloud - cloud.mean()).reindex(samples).to_numpy() for step, cloud in clouds.items()}
    last = requests.assign(**dict(zip(COORDINATES, centred[max(centred)].T, strict=True))).dropna(subset=COORDINATES)
    view = viewpoint(last, factors) if len(last) else np.eye(3)[:, :2]
    return {
        "points": [quantised(centred[step]) if step in centred else None for step in steps],
        "right": numbers(view[:, 0]),
        "up": numbers(view[:, 1]),
        "reach": float(np.nanmax([np.nanmax(np.abs(cloud)) for cloud in centred.values()])) or 1.0,
    }


def latent_verdicts(results: Results) -> pd.DataFrame | None:
    """The latent phase at every place of all runs: columns run, layer, t, step, value (see ``PHASES``; NaN for ?)."""
    if not results.has("metrics"):
        return None
    # Only these rows are read, since the table of many runs is large.
    found = results.table("metrics", ["run", "layer", "t", "step", "value"], quantity="latent_phase")
    found = found[found["layer"].notna()].astype({"t": int})
    return None if found.empty else found


def _letters(rows: pd.DataFrame) -> dict[str, Any]:
    letters = {value: phase for phase, value in PHASES.items()}
    return {"steps": rows["step"].tolist(), "phases": [letters.get(value, "?") for value in rows["value"]]}


def effects(run: Run) -> dict[str, Any] | None:
    """Label effects of the judged weights at the middle of the t probed; None where none was measured."""
    if not run.has("effects"):
        return None
    rows = run.table("effects")
    rows = rows[rows["weights"] == run.weights]
    if rows.empty:
        return None
    t = middle(rows["t"])
    rows = rows[rows["t"] == t].sort_values("step")
    looks = {
        name: {
            "colour": look["color"],
            # Blue is too dark for dark paper.
            "dark": style.SKY if look["color"] == style.BLUE else look["color"],
            "dash": DASHES[look["linestyle"]],
        }
        for name, look in effect_looks([*run.names, *run.names.pairs]).items()
    }
    found = {name: numbers(rows[name]) for name in columns_of(EFFECTS, run.names)}
    return {"t": t, "steps": rows["step"].tolist(), "looks": looks} | found


def phases(run: Run) -> dict[str, Any] | None:
    """The verdicts of a run and the place where the latent one was read; None where none was made."""
    if not run.has("phases"):
        return None
    rows = run.table("phases", judged=True).sort_values("step")
    if rows.empty:
        return None
    return {
        "layer": str(rows["layer"].iloc[-1]),
        "t": int(rows["t"].iloc[-1]),
        "steps": rows["step"].tolist(),
        "latent": rows["latent_phase"].fillna("?").tolist(),
        "behaviour": rows["behaviour_phase"].fillna("?").tolist(),
        "reasons": rows["reason"].fillna("").tolist(),
    }
