"""A small output folder of plausible tables, with known numbers, for tests of figures and report."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.config.section import fingerprint
from bumpscope.judge.coupling import coupling
from bumpscope.judge.onset_table import onset_table
from bumpscope.judge.side_by_side import side_by_side
from bumpscope.judge.verdicts import CONTRADICTS, NEEDED, SUPPORTS, Bound, count, estimate
from bumpscope.measure.metrics import COLUMNS
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching
from bumpscope.store.tables import write_table
from bumpscope.worlds.bumps import BINS
from loss_rows import loss_rows

METADATA = {"version": "0", "run": "", "settings": ""}
STEPS = (0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000, 1200, 1500)
LAYERS = ("down3", "up1")
TIMES = (239, 39)
EFFECT_TIMES = (300, 450, 600)
FACTORISATION = (
    ("additive_share", None),
    ("parallelism", "x"),
    ("parallelism", "y"),
    ("orthogonality", None),
    ("tangent_cosine", None),
)
SIZE = 16
BALANCED = {"dx": 1.0, "dy": 1.0}
DATASETS: dict[str, dict] = {
    "balanced": BALANCED,
    "torus": {**BALANCED, "boundary": "torus"},
    "fine-x": {"dx": 0.5, "dy": 1.0},
    "balanced-epsilon": {**BALANCED, "prediction": "epsilon"},
    "skew-y": {**BALANCED, "skew_axis": "y", "skew_alpha": 1.0},
}
# Each axis takes its own time, ``tau``; seeds vary, and all datasets of a seed alike. In the model under study an
# imbalanced dataset takes a time between those of its nulls, in the factorised reference each axis keeps its null's.
FINE, COARSE, BOTH = 550.0, 850.0, 690.0
IMBALANCED: dict[str, dict] = {
    "fine-x": {"dx": 0.5, "dy": 2.0, "tau": (BOTH, BOTH)},
    "fine-y": {"dx": 2.0, "dy": 0.5, "tau": (BOTH, BOTH)},
    "fine": {"dx": 0.5, "dy": 0.5, "tau": (FINE, FINE)},
    "coarse": {"dx": 2.0, "dy": 2.0, "tau": (COARSE, COARSE)},
    "skew-x": {**BALANCED, "skew_axis": "x", "skew_alpha": 2.0, "tau": (BOTH, BOTH)},
    "skew-y": {**BALANCED, "skew_axis": "y", "skew_alpha": 2.0, "tau": (BOTH, BOTH)},
    "skew-both": {**BALANCED, "skew_axis": "both", "skew_alpha": 2.0, "tau": (COARSE, COARSE)},
    "balanced": {**BALANCED, "tau": (FINE, FINE), "bins": True},
}
IMBALANCED |= {
    f"{name}-factorised": {**IMBALANCED[name], "reference": "factorised", "tau": tau}
    for name, tau in (
        ("fine-x", (FINE, COARSE)),
        ("fine-y", (COARSE, FINE)),
        ("fine", (FINE, FINE)),
        ("coarse", (COARSE, COARSE)),
    )
}

MACHINE = {
    "device": "cpu", "processor": "a processor", "instructions": "AVX2", "gpu": None, "cuda": None, "threads": 1,
    "system": "Linux", "python": "3", "numpy": "2", "torch": "2", "version": "0", "code": "0" * 16,
}  # fmt: skip
# What trains a run, apart from its lattice.
TRAINING = {
    "prediction": "v", "reference": "none", "denoiser": "unet", "n_parameters": 370_000, "network": "0" * 16,
    "timesteps": 1000, "noise_schedule": "linear", "labels": "own", "batch_size": 64, "training_steps": 1500,
    "learning_rate": 2e-3, "schedule": "cosine", "warmup_steps": 50, "weight_decay": 0.0, "gradient_clip": 1.0,
    "ema_decay": 0.995, "precision": "float32",
}  # fmt: skip


def with_fingerprint(row: dict) -> dict:
    """A row of table ``runs`` with the fingerprint of its training, unless it has one."""
    return {"trained": fingerprint([row[name] for name in TRAINING])} | row


def rise(step: np.ndarray | float, middle: float, width: float = 0.12) -> np.ndarray:
    """0 to 1, one half at ``middle``, over the logarithm of the step."""
    return 1 / (1 + np.exp(-(np.log(np.maximum(step, 1.0)) - np.log(middle)) / width))


def write_results(
    root: Path,
    datasets: dict[str, dict] = DATASETS,
    seeds: Sequence[int] = (0, 1, 2),
    steps: Sequence[int] = STEPS,
    layers: Sequence[str] = LAYERS,
    samples: int = 512,
    without: Sequence[str] = (),
    undefined: Sequence[dict] = (),
) -> Path:
    """Write the tables of an experiment.

    Args:
        datasets: name -> columns of table ``runs``, and ``tau``, ``bins`` and ``effect_shift``, which is added to the
            timesteps of its effects.
        without: names of tables to leave out.
        undefined: metrics whose values are made NaN, each a dict of column -> value.
    """
    runs, metrics = [], []
    for number, (dataset, keys) in enumerate(datasets.items()):
        for seed in seeds:
            run = f"{dataset}-seed{seed}"
            path = f"runs/{dataset}/seed={seed}"
            random = np.random.default_rng([number, seed])
            middle = 700 * np.exp(0.1 * random.normal()) * (1 + 0.1 * number)
            taus = np.array(keys.get("tau", (middle * (0.9 if keys["dx"] < 1 else 1.0), middle)))
            if "tau" in keys:
                common = np.random.default_rng(seed).normal()
                taus = taus * np.exp(0.1 * common + 0.02 * random.normal(size=2))
                middle = float(taus.mean())
            boundary = keys.get("boundary", "plane")
            runs.append(_run(run, dataset, seed, path, keys))
            tables = {
                "losses": _losses(random, middle),
                "samples": _samples(random, steps, samples, middle),
                "embedding": _embedding(random, steps, layers, samples, middle),
                "topology": _topology(random, steps, layers, boundary, middle),
                "phases": _phases(steps, layers, middle),
                "interventions": _interventions(random, steps[-2:], layers),
            }
            requests = tables["samples"]
            tables["embedding"] = _place(tables["embedding"], requests, boundary, random, middle)
            tables["umaps"] = _umaps(tables["embedding"], layers[0])
            for name, table in tables.items():
                if name not in without and (name != "topology" or boundary == "torus" or number == 0):
                    write_table(name, root / TABLES[name].path.format(path=path), table, METADATA)
            for step in steps:
                rows = _metrics(random, step, layers, middle, keys, taus)
                metrics += [{"run": run, "dataset": dataset, "seed": seed, "step": step} | row for row in rows]
    frame = metrics_table(metrics)
    for dataset, keys in datasets.items():
        effects = (frame["dataset"] == dataset) & frame["t"].isin(EFFECT_TIMES)
        frame.loc[effects, "t"] += keys.get("effect_shift", 0)
    for where in undefined:
        frame.loc[matching(frame, **where).index, "value"] = np.nan
    frames = {"runs": pd.DataFrame(runs, columns=TABLES["runs"].names), "metrics": frame, "claims": claims()}
    frames["evidence"] = evidence()
    frames["coupling"] = coupling(frame, frames["runs"])
    frames["onsets"] = onset_table(frame, frames["runs"])
    frames["factorisation"] = side_by_side(frame, frames["coupling"], frames["onsets"])
    frames |= _benchmark()
    for name, table in frames.items():
        if name not in without:
            write_table(name, root / TABLES[name].path, table, METADATA)
    return root


@cache
def _benchmark() -> dict[str, pd.DataFrame]:
    """Tables combinations and leaderboard, of datasets that are in no other table."""
    from made_up_designs import ARMS, benchmark_tables  # which imports this module

    return dict(zip(("combinations", "leaderboard"), benchmark_tables(ARMS), strict=True))


def _run(run: str, dataset: str, seed: int, path: str, keys: dict) -> dict:
    plain = {
        "run": run, "dataset": dataset, "seed": seed, "dx": 1.0, "dy": 1.0, "image_size": SIZE, "sigma": 1.0,
        "world": "bumps", "factors": "x+y",
        "margin": 2.0, "boundary": "plane", "polarity": "bright", "skew_axis": "none", "skew_alpha": 0.0,
        "holdout": "none", "shown": "all", "stripes": 0.0, "weights": "raw",
    }  # fmt: skip
    row = with_fingerprint(plain | TRAINING | MACHINE | keys | {"path": path})
    length = row["image_size"] - 2 * row["margin"]
    return {"n_images": round(length / row["dx"]) * round(length / row["dy"])} | row


def _losses(random: np.random.Generator, middle: float) -> pd.DataFrame:
    step = np.arange(10, 1501, 10)
    loss = 0.03 + 0.8 * np.exp(-step / 60) + 0.1 * (1 - rise(step, middle))
    return pd.DataFrame(loss_rows(step, loss * np.exp(0.05 * random.normal(size=len(step)))))


def _samples(random: np.random.Generator, steps: Sequence[int], samples: int, middle: float) -> dict:
    centres = random.uniform(2, 13, (samples, 2)).round()
    wrong = random.uniform(2, 13, (samples, 2))
    grid = np.arange(SIZE)
    columns: dict[str, list] = {name: [] for name in TABLES["samples"].names}
    for step in steps:
        right = random.uniform(size=samples) < rise(step, middle * 1.2)
        at = np.where(right[:, None], centres, wrong)
        image = np.exp(-((grid - at[:, :1]) ** 2) / 2)[:, None, :] * np.exp(-((grid - at[:, 1:]) ** 2) / 2)[:, :, None]
        if step < 300:
            image = image + np.roll(image, 6, axis=(1, 2)) + random.normal(0, 0.3, image.shape)
        columns["step"] += [step] * samples
        columns["weights"] += ["raw"] * samples
        columns["sample"] += list(range(samples))
        columns["mu_x"] += list(centres[:, 0])
        columns["mu_y"] += list(centres[:, 1])
        columns["split"] += ["seen" if k < 0.75 * samples else "between" for k in range(samples)]
        columns["noise_seed"] += list(range(samples))
        columns["image"].append(image.reshape(samples, -1))
    return {**columns, "image": np.concatenate(columns["image"])}


def _embedding(random: np.random.Generator, steps, layers, samples: int, middle: float) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"step": step, "weights": "raw", "layer": layer, "t": t, "sample": np.arange(samples)})
        for step in steps
        for layer in layers
        for t in TIMES
    ]
    return pd.concat(parts, ignore_index=True)


def _place(points: pd.DataFrame, requests: dict, boundary: str, random: np.random.Generator, middle: float):
    request = pd.DataFrame({name: requests[name] for name in ("step", "sample", "mu_x", "mu_y")})
    joined = points.merge(request, on=["step", "sample"])
    order = rise(joined["step"].to_numpy(dtype=float), middle)
    noise = random.normal(size=(len(points), 3)) * np.array([2.0, 1.5, 1.0])
    x, y = (joined[name].to_numpy() - 7.5 for name in ("mu_x", "mu_y"))
    sheet = np.column_stack([x + 0.3 * y, y - 0.2 * x, 0.1 * x * y])
    if boundary == "torus":
        angle_x, angle_y = 2 * np.pi * x / SIZE, 2 * np.pi * y / SIZE
        radius = 5 + 2 * np.cos(angle_y)
        sheet = np.column_stack([radius * np.cos(angle_x), radius * np.sin(angle_x), 2 * np.sin(angle_y)])
    place = order[:, None] * sheet * 1.5 + (0.2 + 1 - order)[:, None] * noise
    for space in ("pca", "umap", "aligned"):
        for k in range(3):
            points[f"{space}_{k + 1}"] = place[:, k]
    return points


def _topology(random: np.random.Generator, steps, layers, boundary: str, middle: float) -> pd.DataFrame:
    rows = []
    for step in steps:
        for layer in (*layers, "image"):
            for t in TIMES if layer in layers else (0,):
                bars = [(0, 0.0, np.inf, True)]
                bars += [(0, 0.0, d, False) for d in random.uniform(0.05, 0.35, 40)]
                bars += [(1, b, b + random.exponential(0.04), False) for b in random.uniform(0.15, 0.4, 30)]
                bars += [(2, b, b + random.exponential(0.02), False) for b in random.uniform(0.4, 0.6, 12)]
                if boundary == "torus" and step > middle:
                    bars += [(1, 0.22, 0.95, True), (1, 0.25, 0.8, True), (2, 0.55, 0.9, True)]
                rows += [(step, "raw", layer, t, *bar) for bar in bars]
    return pd.DataFrame(rows, columns=TABLES["topology"].names)


def _interventions(random: np.random.Generator, steps: Sequence[int], layers: Sequence[str]) -> pd.DataFrame:
    """The first layer is not needed, all others are."""
    rows = []
    for step in steps:
        for place, layer in enumerate(layers):
            left = 0.1 if place else 0.8
            shares = {"none": 0.9, "removed": left, "random": 0.9, "patched": 0.1, "ablated": left, "labels": left}
            for kind, own in shares.items():
                other = 0.9 - own if kind in ("patched", "labels") else 0.0
                row = dict.fromkeys(TABLES["interventions"].names, 0.05) | {"step": step, "weights": "raw"}
                row |= {"intervention": kind, "layer": layer, "samples": 144, "dimension": 44, "t": 239}
                own = own + 0.02 * random.random()
                rows.append(row | {"share_own": own, "share_other": other, "share_elsewhere": 1 - own - other})
    return pd.DataFrame(rows)


def _phases(steps: Sequence[int], layers: Sequence[str], middle: float) -> pd.DataFrame:
    def phase(step: float, first: float, second: float) -> str:
        return "?" if first * 0.9 < step < first else "A" if step < first else "B" if step < second else "C"

    first = (layers[0], TIMES[0])
    rows = [
        {"step": s, "weights": weights, "layer": layer, "t": t, "judged": (layer, t) == first, "reason": "made up"}
        | {"latent_phase": phase(s, middle * 0.7, middle), "behaviour_phase": phase(s, middle * 0.8, middle * 1.25)}
        | {"order": "none", "order_umap": "none" if layer == layers[0] else None}
        | {"latent_phase_umap": phase(s, middle * 0.5, middle * 0.9) if layer == layers[0] else None}
        | {"latent_phase_umap_shared": phase(s, middle * 0.3, middle * 0.4) if (layer, t) == first else None}
        for s in steps
        for layer in layers
        for weights, t in (("raw", TIMES[0]), ("raw", TIMES[1]), ("ema", TIMES[0]))
        if weights == "raw" or layer == layers[0]
    ]
    return pd.DataFrame(rows)[TABLES["phases"].names]


def _umaps(points: pd.DataFrame, layer: str) -> pd.DataFrame:
    """UMAPs of the first layer: its own points seen from above, and the first place otherwise."""
    own = points[points["layer"] == layer]
    first = own[own["t"] == TIMES[0]]
    parts = [own.assign(noise="own"), first.assign(noise="shared"), first.assign(noise="own", weights="ema")]
    return pd.concat(parts, ignore_index=True)[TABLES["umaps"].names]


def metrics_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Table ``metrics`` of rows that have the columns that apply to them."""
    return pd.DataFrame(rows).reindex(columns=list(COLUMNS)).astype(COLUMNS)


def _metrics(
    random: np.random.Generator, step: int, layers: Sequence[str], middle: float, keys: dict, taus: np.ndarray
) -> list[dict]:
    rows = []

    def add(quantity: str, value: float, **where: object) -> None:
        rows.append({"quantity": quantity, "value": value} | where)

    for weights, lag in (("raw", 1.0), ("ema", 1.3)):
        correct = float(0.98 * rise(step, lag * middle * 1.2))
        multiple = 0.9 * float(1 - rise(step, lag * middle * 0.4)) * (1 - correct)
        none = 0.3 * (1 - multiple - correct)
        add("share_correct", correct, split="seen", weights=weights)
        add("share_correct", correct, split="all", weights=weights)
        add("share_multiple", multiple, split="seen", weights=weights)
        add("share_none", none, split="seen", weights=weights)
        add("share_misplaced", 1 - correct - multiple - none, split="seen", weights=weights)
        for number, name in enumerate(("_q10", "_q25", "", "_q75", "_q90")):
            here = {"split": "seen", "weights": weights}
            add(f"error{name}", (0.1 + 6 * (1 - correct)) * (0.5 + 0.25 * number), **here)
            add(f"amplitude{name}", 0.5 + 0.4 * correct + 0.02 * number, **here)
            add(f"width{name}", 1.3 - 0.3 * correct + 0.02 * number, **here)
    add("latent_phase", 0.0)
    add("behaviour_phase", float(np.searchsorted([0.8 * middle, 1.25 * middle], step)))
    for number, layer in enumerate([*layers, "image"]):
        for t in TIMES if layer in layers else (0,):
            place = {"layer": layer, "t": t}
            phase = np.searchsorted([0.75 * middle, 0.95 * middle, 1.2 * middle], step)
            # Between A and B the verdict is open.
            add("latent_phase", float("nan") if phase == 1 else float(max(phase - 1, 0)), **place)
            order = float(rise(step, middle * (1 - 0.1 * number)))
            spread = 0.02 * random.normal(size=3)
            pca3, raw = place | {"space": "pca3", "noise": "own"}, place | {"space": "raw", "noise": "own"}
            add("r2", 0.05 + 0.92 * order + spread[0], **pca3, label="requested")
            add("r2", 0.04 + 0.9 * float(rise(step, middle * 0.8)) + spread[1], **pca3, label="realised")
            add("r2", -0.02 + spread[2], **pca3, label="shuffled")
            drawn, shared = (float(rise(step, middle * late)) for late in (0.8, 0.6))
            for factor, share in (("x", 1.0), ("y", 0.9)):
                of_axis = pca3 | {"factor": factor}
                add("r2", share * (0.05 + 0.92 * order + spread[0]), **of_axis, label="requested")
                add("r2", share * (0.04 + 0.9 * drawn + spread[1]), **of_axis, label="realised")
                add("r2", -0.02 + spread[2], **of_axis, label="shuffled")
                add("r2", share * 0.9 * shared, **of_axis | {"noise": "shared"}, label="requested")
            add("r2", 0.9 * float(rise(step, middle * 0.6)), **pca3 | {"noise": "shared"}, label="requested")
            if number == 0:
                umap = place | {"weights": "raw", "space": "umap2", "noise": "own", "label": "requested"}
                add("r2_median", 0.8 * order, **umap, factor="x")
                add("r2_median", 0.9 * order, **umap, factor="y")
            add("trustworthiness_denoised", 0.5 + 0.45 * order, **raw, label="requested")
            add("participation_ratio", 3.0, **raw)
            built = 0.4 if layer == "image" else 0.3 + 0.6 * order
            for rank, (quantity, factor) in enumerate(FACTORISATION):
                value = built - 0.05 * rank + 0.02 * random.normal()
                add(quantity, value, **raw, label="requested", factor=factor)
                if layer != "image":
                    shared = {**raw, "noise": "shared", "label": "requested", "factor": factor}
                    add(quantity, 1 - 0.05 * rank, **shared)
                    if step == 0:
                        add(quantity, 0.98 - 0.05 * rank, **shared, weights="default")
    for t in EFFECT_TIMES:
        for weights in ("ema", "raw"):
            where = {"t": t, "weights": weights}
            add("effect", 0.95 * float(rise(step, taus[0])) + 0.01 * random.normal(), factor="x", **where)
            add("effect", 0.92 * float(rise(step, taus[1])) + 0.01 * random.normal(), factor="y", **where)
            add("effect", 0.9 * float(rise(step, middle * 1.1)), factor="xy", **where)
            for axis, tau in zip("xy", taus, strict=True):
                known = float(np.clip(3.0 * (tau / max(step, 1)) ** 3, 0.3, 22.0))
                add("resolution", known * float(np.exp(0.02 * random.normal())), factor=axis, **where)
            residual = 0.1 * t / 300 + 3.0 * np.exp(-step / 200)
            add("residual", residual, **where)
            add("excess", residual + 1 - 0.9 * float(rise(step, middle)), **where)
            add("condition", 2.0, **where)
    for axis, tau in zip("xy", taus, strict=True):
        add("accuracy", 0.1 + 0.85 * float(rise(step, 1.1 * tau)), factor=axis, split="between")
    if keys.get("skew_axis", "none") != "none" or keys.get("bins"):
        rows += _by_bin(random, step, keys.get("skew_axis", "none"), taus)
    return rows


def _by_bin(random: np.random.Generator, step: int, skewed: str, taus: np.ndarray) -> list[dict]:
    """A rare position takes longer, each axis at its own pace, if its axis is skewed."""
    late = {"common": 0.9, "middle": 1.1, "rare": 1.4}
    rows = []
    for x in (*BINS, "all"):
        for y in (*BINS, "all"):
            pair, shares = f"x={x},y={y}", []
            for axis, name, tau in (("x", x, taus[0]), ("y", y, taus[1])):
                factor = late.get(name, 1.0) if skewed in (axis, "both") else 1.0
                shares.append(float(rise(step, factor * tau)))
                rows += [
                    {"quantity": "use", "factor": axis, "t": t, "weights": "raw", "bin": pair}
                    | {"value": shares[-1] + 0.01 * random.normal()}
                    for t in EFFECT_TIMES
                ]
            where = {"split": "seen", "bin": pair}
            rows.append({"quantity": "share_correct", "value": shares[0] * shares[1]} | where)
    return rows


def claims() -> pd.DataFrame:
    order, ordered, together = (
        "Phases A, B, C come in order",
        "Accuracy needs an ordered sheet",
        "x and y come together",
    )
    rows = [
        ("C1", order, "share of runs in order", 0.9, 0.6, 1.0, 10, "supported", "9 of 10 runs are in order."),
        ("C3", ordered, "R² minus controls", -0.1, -0.3, 0.1, 5, "contradicted", "In no run R² exceeds its controls."),
        (
            "C5-not-factorised",
            together,
            "coupling",
            np.nan,
            np.nan,
            np.nan,
            3,
            "undetermined",
            "Fewer than five seeds.",
        ),
    ]
    return pd.DataFrame(rows, columns=TABLES["claims"].names)


def evidence() -> pd.DataFrame:
    """Checks behind one of the claims."""
    excess = (-0.1, -0.3, 0.1)
    checks = [
        count("runs that got accurate", 5),
        count("seeds", 5, NEEDED, Bound(least=5)),
        estimate("R²", (0.1, 0.0, 0.2)),
        estimate("R² minus the higher control", excess, SUPPORTS, Bound(above=0)),
        estimate("R² minus the higher control", excess, CONTRADICTS, Bound(below=0.2)),
    ]
    return pd.DataFrame([{"claim": "C3"} | asdict(check) for check in checks])


CONFIGURATION = json.loads('{"output": "results", "seeds": [0, 1, 2], "training": {"steps": 1500, "batch_size": 64}}')
