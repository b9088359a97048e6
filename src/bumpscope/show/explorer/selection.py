"""Which runs, checkpoints and samples the explorer shows of an experiment that is too large to be shown whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bumpscope.show.explorer.sprites import thumbnail_size
from bumpscope.show.manifold_view import NothingToSee, manifold_view, outcome_shares, spaced_by_change
from bumpscope.store.results import Results
from bumpscope.store.run import Run
from bumpscope.worlds.world import World

STEPS = 24  # checkpoints of a run at most; more are closer together than a hand can tell on the slider
SAMPLES = 512  # images of a checkpoint at most; a cloud of more points looks the same and is drawn more slowly
FEWEST = 64  # samples below which a cloud says little: rather fewer runs than fewer samples
GRID = 4  # requests a side of the grid of images, each large enough to be looked at
# What a run takes beside its samples, bytes: its curves, its verdicts with their reasons, the names of its samples.
OVERHEAD = 30_000
TEXT = 4 / 3  # characters that base64 takes for a byte


class Extent(NamedTuple):
    """How much of a run there is to show."""

    run: Run
    steps: list[int]
    samples: int
    places: int


def extent(run: Run) -> Extent:
    """What a run has: its probed checkpoints, its images at each of them, and the places with an embedding."""
    asked = run.table("behaviour", ["step", "sample"])
    places = len(run.table("embedding", ["layer", "t"]).drop_duplicates()) if run.has("embedding") else 0
    return Extent(run, [int(step) for step in np.unique(asked["step"])], asked["sample"].nunique(), places)


def bytes_a_sample(extent: Extent) -> float:
    """The most that one sample takes at all checkpoints shown, bytes of the page.

    Per checkpoint: its image, which hardly any picture exceeds once compressed; three coordinates of two bytes in each
    of two embeddings per place; and what was found in the image: factors and distances of two bytes, and two numbers.
    """
    pixels = thumbnail_size(int(extent.run.info["image_size"])) ** 2
    names = extent.run.names
    found = 2 * (len(names.factors) + len(names.groups)) + (3 if len(names.groups) > 1 else 2)
    return TEXT * min(len(extent.steps), STEPS) * (1.05 * pixels + 12 * extent.places + found)


def least(extent: Extent) -> float:
    """The most that a run takes with the fewest samples, bytes of the page."""
    return OVERHEAD + bytes_a_sample(extent) * min(extent.samples, FEWEST)


def in_turn(runs: Iterable[Run]) -> list[Run]:
    """The first seed of every dataset, then the second of every dataset, and so on."""
    place: dict[str, int] = {}
    numbered: list[tuple[int, int, Run]] = []
    for run in runs:
        place[run.dataset] = place.get(run.dataset, -1) + 1
        numbered.append((place[run.dataset], len(numbered), run))
    return [run for *_, run in sorted(numbered, key=lambda entry: entry[:2])]


def affordable(extents: Iterable[Extent], budget: float) -> list[Extent]:
    """The first runs of which each can show at least ``FEWEST`` samples within ``budget`` bytes; at least one."""
    kept: list[Extent] = []
    spent = 0.0
    for one in extents:
        spent += least(one)
        if kept and spent > budget:
            break
        kept.append(one)
    return kept


def smallest_first(extents: Iterable[Extent]) -> list[Extent]:
    """Runs by what they would take whole, so that the small ones leave to the large ones what they do not need."""
    return sorted(extents, key=lambda one: bytes_a_sample(one) * min(one.samples, SAMPLES))


def chosen_steps(steps: Sequence[int], shares: np.ndarray) -> list[int]:
    """At most ``STEPS`` of the checkpoints, close together where the mix of outcomes changes.

    Args:
        steps: increasing, shape (n,).
        shares: of the outcomes at them, shape (n, k).
    """
    return spaced_by_change(np.asarray(steps), shares, STEPS) if len(steps) > STEPS else list(steps)


def opening(results: Results) -> dict[str, Any] | None:
    """What the page opens with: the run and the place of the report's first picture, when something happens there.

    That is the first checkpoint whose latents are ordered (phase C); without one, that before which the mix of outcomes
    has changed most; the last where nothing is known of either.

    Returns:
        dataset, seed, layer, t, step; None where no run has latents to show.
    """
    try:
        view = manifold_view(results)
    except NothingToSee:
        return None
    run, step = view.run, int(view.steps[-1])
    shares = outcome_shares(results, run.name, view.steps)
    change = np.abs(np.diff(shares, axis=0)).sum(axis=1)
    if change.any():
        step = int(view.steps[1 + np.argmax(change)])
    if run.has("phases"):
        phases = run.table("phases", ["step", "latent_phase"], layer=view.layer, t=view.t)
        ordered = phases.loc[phases["latent_phase"] == "C", "step"]
        step = int(ordered.min()) if len(ordered) else step
    return {"dataset": run.dataset, "seed": int(run.seed), "layer": view.layer, "t": view.t, "step": step}


def positions(requests: pd.DataFrame, world: World) -> np.ndarray:
    """Requests as points, on scales that compare although units differ, shape (n, F).

    A logarithmic factor is at its logarithm. Factors that are judged together share a scale, on which their range is
    that of the first ones, whose scale is their unit.

    Args:
        requests: a column named after each factor, such as mu_x; a row per sample.
    """
    factors = {factor.name: factor for factor in world.factors}
    groups = [
        np.stack([factors[name].coordinate(requests[f"mu_{name}"].to_numpy(dtype=float)) for name in group], axis=1)
        for group in world.names.groups
    ]
    ranges = [float(np.ptp(group, axis=0).max()) or 1.0 for group in groups]
    return np.concatenate([group * (ranges[0] / own) for group, own in zip(groups, ranges, strict=True)], axis=1)


def image_grid(requests: pd.DataFrame, places: np.ndarray) -> list[list[int]]:
    """Samples whose requests lie on an even grid; rows by the second factor, columns by the first.

    Of further factors those near the middle are preferred. With a single factor there is one row.

    Args:
        requests: columns sample, split; a row per sample. What training has seen is preferred.
        places: of the requests, as from :func:`positions`.

    Returns:
        At most ``GRID`` rows and columns, no more than there are values of the factor.
    """
    seen = (requests["split"] == "seen").to_numpy()
    candidates = seen if seen.any() else ~seen
    # Rows and columns are what is looked for first.
    weights = np.where(np.arange(places.shape[1]) < 2, 1.0, 0.5)
    points, names = weights * places[candidates], requests["sample"].to_numpy()[candidates]
    # From edge to edge, since the edges are where an object is most easily cut off.
    low, high = points.min(axis=0), points.max(axis=0)
    counts = [min(GRID, len(np.unique(values))) for values in points.T[:2]]
    columns, *rows = (np.linspace(low[axis], high[axis], count) for axis, count in enumerate(counts))
    middle = (low[2:] + high[2:]) / 2

    def nearest(*wanted: float) -> int:
        return int(names[np.argmin(((points - [*wanted, *middle]) ** 2).sum(axis=1))])

    return [[nearest(at, *row) for at in columns] for row in itertools.product(*rows)]


def spread(requests: pd.DataFrame, places: np.ndarray, first: Sequence[int], count: int) -> list[int]:
    """``count`` samples whose requests are spread as evenly as can be: each next one is the farthest from all before it
    (Gonzalez 1985).

    Args:
        requests: column sample; a row per sample.
        places: of the requests, as from :func:`positions`.
        first: samples that are taken before all others, not empty.

    Returns:
        Samples in the order of ``requests``; ``first`` is among them whatever ``count`` is.
    """
    taken = requests["sample"].isin(first).to_numpy(copy=True)
    distance = np.full(len(places), np.inf)
    for place in map(int, np.flatnonzero(taken)):
        distance = np.minimum(distance, ((places - places[place]) ** 2).sum(axis=1))
    for _ in range(min(count, len(places)) - int(taken.sum())):
        # Where all requests are taken, samples that repeat one follow in their order.
        place = int(np.argmax(np.where(taken, -1.0, distance)))
        taken[place] = True
        distance = np.minimum(distance, ((places - places[place]) ** 2).sum(axis=1))
    return [int(sample) for sample in requests["sample"].to_numpy()[taken]]
