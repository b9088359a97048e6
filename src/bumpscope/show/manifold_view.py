"""How the latents of a run are seen: one run, one place in the network, all checkpoints from one side."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from PIL import Image

from bumpscope.config.model import IMAGE_LAYER
from bumpscope.judge.controls import lattice_of
from bumpscope.show import rows
from bumpscope.store.results import Results
from bumpscope.store.run import Run
from bumpscope.worlds.factor import Factor
from bumpscope.worlds.named import world_of

COORDINATES = ["aligned_1", "aligned_2", "aligned_3"]
VIEW = ["view_1", "view_2"]  # to the right and up
OUTCOMES = ("none", "multiple", "misplaced", "correct")
GRID = 3  # images a side
GAP = 2  # px between them


class NothingToSee(ValueError):
    """An experiment has no latents to show; the message says what is missing."""


@dataclass(frozen=True)
class ManifoldView:
    """Latents of one run at one place, seen from one side.

    Attributes:
        layer, t: where the activations were read.
        points: columns step, sample, mu_x, mu_y (or those of other factors), split, aligned_1 to aligned_3 and view_1,
            view_2; a row per point.
        factors: what is requested.
    """

    run: Run
    layer: str
    t: int
    points: pd.DataFrame
    factors: tuple[Factor, ...]

    @property
    def period(self) -> float | None:
        """Of the first factor that has one."""
        return next((factor.period for factor in self.factors if factor.period is not None), None)

    @property
    def units(self) -> str:
        """Of the factors, in their order."""
        return " ".join(factor.unit for factor in self.factors)

    @property
    def about(self) -> dict[str, Any]:
        """What the view is of, as columns of the figures that show it."""
        return {
            "run": self.run.name,
            "dataset": self.run.dataset,
            "seed": self.run.seed,
            "boundary": "plane" if self.period is None else "torus",
            "units": self.units,
            "layer": self.layer,
            "t": self.t,
        }

    def told(self, points: pd.DataFrame, name: str) -> float:
        """How well the two coordinates drawn tell a requested factor, as by :func:`explained_variance`."""
        return explained_variance(points, next(factor for factor in self.factors if factor.name == name))

    @property
    def steps(self) -> np.ndarray:
        """Checkpoints with points, increasing."""
        return np.unique(self.points["step"])

    def images(self, step: int, samples: Iterable[int]) -> dict[int, np.ndarray]:
        """The images of some samples at one checkpoint, each (N, N), row is y."""
        where = {"step": int(step), "sample": sorted({int(sample) for sample in samples})}
        found = self.run.table("samples", ["sample"], **where)["sample"]
        return dict(zip(found.tolist(), self.run.images("samples", **where), strict=True))

    def pictured(self, steps: Sequence[int]) -> pd.DataFrame:
        """Points at some checkpoints; ``image`` (PNG in base64) is of the samples of :func:`chosen_samples`."""
        points = self.points[self.points["step"].isin(steps)].sort_values(["step", "sample"], ignore_index=True)
        shown = {sample for line in chosen_samples(points) for sample in line}
        for step in steps:
            here = points["step"] == step
            images = {sample: as_text(image) for sample, image in self.images(step, shown).items()}
            points.loc[here, "image"] = points.loc[here, "sample"].map(images)
        return points


def manifold_view(results: Results) -> ManifoldView:
    """Of the first dataset with latents and images, the run and the place that show both coordinates best.

    That is where the weaker of the requested x and y is explained best by what is drawn at the last checkpoint.

    Raises:
        NothingToSee: when no run has latents and images, or their coordinates are undefined.
    """
    runs = [run for run in results if run.has("embedding") and run.has("samples")]
    if not runs:
        raise NothingToSee("No run has an embedding of its latents.")
    runs = [run for run in runs if run.dataset == runs[0].dataset]
    # One view after another, so that no more than two are held.
    best = max((view for run in runs for view in _views(run)), key=_told, default=None)
    if best is None:
        raise NothingToSee(f"The embedding of {runs[0].dataset} has no defined point whose image was kept.")
    return best


def _views(run: Run) -> Iterator[ManifoldView]:
    """A run seen at each of its places."""
    factors = world_of(lattice_of(run.info)).factors
    closed = any(factor.period is not None for factor in factors)
    everywhere = run.table("embedding", ["step", "layer", "t", "sample", *COORDINATES]).dropna()
    requests = run.table("samples", ["step", "sample", *run.names.asked, "split"])
    for place, points in everywhere.groupby(["layer", "t"], sort=False):
        layer, t = cast("tuple[str, int]", place)
        points = points.drop(columns=["layer", "t"]).merge(requests, on=["step", "sample"])
        if layer == IMAGE_LAYER or points.empty:
            continue
        side = np.eye(3)[:, :2] if closed else viewpoint(points[points["step"] == points["step"].max()], factors)
        points[VIEW] = points[COORDINATES].to_numpy(dtype=float) @ side
        yield ManifoldView(run, layer, int(t), points.sort_values(["step", "sample"], ignore_index=True), factors)


def _told(view: ManifoldView) -> tuple[int, float]:
    """The last checkpoint of a view, and the weaker R² there; -inf where it is undefined."""
    last = view.points[view.points["step"] == view.steps[-1]]
    weaker = min(explained_variance(last, factor) for factor in view.factors)
    return int(view.steps[-1]), weaker if np.isfinite(weaker) else -np.inf


def viewpoint(points: pd.DataFrame, factors: Sequence[Factor]) -> np.ndarray:
    """Two perpendicular directions in the space of the three coordinates: the right and the top of the picture.

    Right is the direction of the least-squares fit of the first requested factor, such as x, down as much of that of
    the second as is perpendicular to it. One view for all checkpoints cannot make order where there is none: it has
    three free angles.

    Returns:
        Shape (3, 2), orthonormal; the first two coordinates where the fits have no two directions.
    """
    place = points[COORDINATES].to_numpy(dtype=float)
    each = [factor.coordinate(points[f"mu_{factor.name}"].to_numpy(dtype=float)) for factor in factors[:2]]
    request = np.stack(each, axis=1)
    slopes = np.linalg.lstsq(place - place.mean(axis=0), request - request.mean(axis=0), rcond=None)[0]
    if np.linalg.matrix_rank(slopes) < 2:
        return np.eye(3)[:, :2]
    directions, lengths = np.linalg.qr(slopes * [1.0, -1.0])
    return directions * np.sign(np.diag(lengths))


def explained_variance(points: pd.DataFrame, factor: Factor) -> float:
    """R² of the least-squares fit of a requested factor to the two coordinates drawn.

    Of a periodic one sine and cosine are fitted, since the factor itself has a jump.
    """
    values = factor.targets(points[f"mu_{factor.name}"].to_numpy(dtype=float))
    values = values - values.mean(axis=0)
    predictors = np.column_stack([np.ones(len(points)), points[VIEW].to_numpy(dtype=float)])
    rest = values - predictors @ np.linalg.lstsq(predictors, values, rcond=None)[0]
    total = float((values**2).sum())
    return 1.0 - float((rest**2).sum()) / total if total > 0 else float("nan")


def outcome_shares(results: Results, run: str, steps: np.ndarray) -> np.ndarray:
    """Shares of all outcomes at seen centres, shape (steps, outcomes); filled in where they were not measured."""
    names = [f"share_{outcome}" for outcome in OUTCOMES]
    mix = rows.measured(results, names, run=run, split="seen", bin=None)
    shares = mix.pivot_table(index="step", columns="quantity", values="value")
    shares = shares.reindex(index=steps, columns=names)
    return shares.interpolate(limit_direction="both").fillna(0.0).to_numpy()


def spaced_by_change(steps: np.ndarray, shares: np.ndarray, count: int) -> list[int]:
    """At most ``count`` steps, first and last among them, close where ``shares`` change and far apart where not.

    They lie evenly along a way that is the change of the shares for the most part and the number of the step for the
    rest, so that stretches without change are seen too.

    Args:
        steps: increasing, shape (n,).
        shares: what changes over them, shape (n, k).
    """
    count = min(count, len(steps))
    change = np.abs(np.diff(shares, axis=0)).sum(axis=1)
    change = change / change.sum() if change.sum() > 0 else change
    way = np.concatenate([[0.0], np.cumsum(0.8 * change + 0.2 / max(len(steps) - 1, 1))])
    chosen: list[int] = []
    for k in range(count):
        # Leaves enough later steps for the places that follow.
        first, last = (chosen[-1] + 1 if chosen else 0), len(steps) - count + k
        target = way[-1] * k / max(count - 1, 1)
        chosen.append(first + int(np.argmin(np.abs(way[first : last + 1] - target))))
    return [int(steps[k]) for k in chosen]


def chosen_samples(points: pd.DataFrame) -> list[list[int]]:
    """Samples that all checkpoints have, on a grid of requests: rows by the second factor, columns by the first."""
    everywhere = points.groupby("sample")["step"].nunique() == points["step"].nunique()
    candidates = points[points["sample"].isin(everywhere.index[everywhere])].drop_duplicates("sample")
    seen = candidates[candidates["split"] == "seen"]
    candidates = candidates if seen.empty else seen
    if candidates.empty:
        return []
    first, second = axes = [f"mu_{name}" for name in rows.factors_in(points)][:2]
    low, high = candidates[axes].min(), candidates[axes].max()
    places = (np.arange(GRID) + 0.5) / GRID
    wanted = {axis: low[axis] + places * (high[axis] - low[axis]) for axis in axes}
    # Units differ, so each is measured by its range.
    scale = (high - low) / (high - low).max() if (high > low).all() else dict.fromkeys(axes, 1.0)
    nearest = [
        [
            np.hypot((candidates[first] - x) / scale[first], (candidates[second] - y) / scale[second]).idxmin()
            for x in wanted[first]
        ]
        for y in wanted[second]
    ]
    return [[int(candidates.loc[index, "sample"]) for index in row] for row in nearest]


def mosaic(images: Mapping[int, np.ndarray], shown: list[list[int]]) -> tuple[np.ndarray, int]:
    """The images of the samples ``shown``, row by row with NaN between them, and the side of one, px."""
    size = len(next(iter(images.values())))
    pitch = size + GAP
    picture = np.full((GRID * pitch - GAP, GRID * pitch - GAP), np.nan)
    for i, row in enumerate(shown):
        for j, sample in enumerate(row):
            picture[i * pitch : i * pitch + size, j * pitch : j * pitch + size] = images[sample]
    return picture, size


def requests_in_mosaic(points: pd.DataFrame, shown: list[list[int]], size: int) -> np.ndarray:
    """Where the requested centres of the samples ``shown`` lie in :func:`mosaic`, shape (samples, 2), px.

    None where the requests are not x and y.
    """
    if rows.factors_in(points) != ["x", "y"]:
        return np.empty((0, 2))
    pitch = size + GAP
    centres = points.drop_duplicates("sample").set_index("sample")[["mu_x", "mu_y"]]
    corners = np.array([(j * pitch, i * pitch) for i, row in enumerate(shown) for j, _ in enumerate(row)], dtype=float)
    samples = [sample for row in shown for sample in row]
    return corners.reshape(-1, 2) + centres.loc[samples].to_numpy(dtype=float)


def as_text(image: np.ndarray) -> str:
    """An image of intensities from 0 to 1 as a grey 8-bit PNG in base64, so that a table of text can hold it."""
    levels = np.round(255 * np.nan_to_num(image).clip(0, 1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def from_text(text: str) -> np.ndarray:
    """The intensities, 0 to 1, of an image written by :func:`as_text`."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))), dtype=float) / 255
