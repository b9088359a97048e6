"""The latents and the images of one run, at a few checkpoints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.figures import style
from bumpscope.results import Results, in_network_order

CAPTION = (
    "Upper rows: one point a generated image, placed by the first three principal components of its activations "
    "and coloured by the centre that was requested. All checkpoints are turned onto each other and seen from one "
    "side: the one from which, at the last checkpoint, requested x runs most to the right and y down (on a torus:"
    " along the third component). Each panel has its own zoom; the bar gives its scale, in units of activation. "
    "R²: share of the requested x or y that a linear fit to the two coordinates drawn explains (on a torus: of "
    "its sine and cosine). Bottom: images for the same requests and the same noise at every checkpoint; a ring "
    "marks the centre that was requested; x runs right, y down. The checkpoints shown lie close together where "
    "the mix of outcomes changes."
)
COLUMNS = 5
GRID = 3  # thumbnails a side
COORDINATES = ["aligned_1", "aligned_2", "aligned_3"]
VIEW = ["view_1", "view_2"]  # to the right and up


@style.apply()
def draw(results: Results) -> tuple[Figure, pd.DataFrame]:
    """Latents coloured by requested x and y above thumbnails, a column a checkpoint; the first run that has them.

    Returns:
        The figure, and columns run, dataset, seed, layer, t, step, sample, mu_x, mu_y, aligned_1 to aligned_3, view_1,
        view_2 (what is drawn), r2_x, r2_y; thumbnail says whether the sample's image is shown.
    """
    columns = ["run", "dataset", "seed", "layer", "t", "step", "sample", "mu_x", "mu_y"]
    columns += [*COORDINATES, *VIEW, "r2_x", "r2_y", "thumbnail"]
    embedded = [run for run in results.having("embedding") if results.has(run.run, "samples")]
    if not embedded:
        return style.without_data("No run has an embedding of its latents."), pd.DataFrame(columns=columns)
    run = embedded[0]
    points = results.table(run.run, "embedding").dropna(subset=COORDINATES)
    layer, t = _place(results, run.run, points)
    points = points[(points["layer"] == layer) & (points["t"] == t)]
    requests = results.table(run.run, "samples", ["step", "sample", "mu_x", "mu_y", "split"])
    points = points.merge(requests, on=["step", "sample"])
    if points.empty:
        return style.without_data(f"The embedding of {run.run} has no defined point."), pd.DataFrame(columns=columns)
    steps = _choose_steps(results, run.run, np.unique(points["step"]))
    points = points[points["step"].isin(steps)].assign(run=run.run, dataset=run.dataset, seed=run.seed)
    period = float(run.image_size) if run.boundary == "torus" else None
    side = viewpoint(points[points["step"] == steps[-1]]) if period is None else np.eye(3)[:, :2]
    points[VIEW] = points[COORDINATES].to_numpy(dtype=float) @ side
    shown = _thumbnail_samples(points)
    points["thumbnail"] = points["sample"].isin([sample for row in shown for sample in row])

    figure = Figure(figsize=(max(style.WIDTH * len(steps) / COLUMNS, 3.0), 4.9), layout="constrained")
    axes = figure.subplots(3, len(steps), squeeze=False)
    for axis, panels in zip(("x", "y"), axes, strict=False):
        low, high = points[f"mu_{axis}"].min(), points[f"mu_{axis}"].max()
        for panel, step in zip(panels, steps, strict=True):
            rows = points["step"] == step
            explained = explained_variance(points[rows], f"mu_{axis}", period)
            points.loc[rows, f"r2_{axis}"] = explained
            # A torus needs colours that meet at both ends.
            colours = "twilight_shifted" if period else "viridis"
            drawn = _cloud(panel, points[rows], f"mu_{axis}", colours, (low, high))
            panel.set_title(f"step {step}\nR² = {explained:.2f}" if axis == "x" else f"R² = {explained:.2f}")
        bar = figure.colorbar(drawn, ax=list(panels), shrink=0.75, aspect=14, pad=0.01)
        bar.set_label(f"requested {axis}, px")
    for panel, step in zip(axes[2], steps, strict=True):
        _thumbnails(panel, results, run.run, step, shown, points[points["step"] == step], run.image_size)
    for row, text in enumerate(("latents by x", "latents by y", "images")):
        axes[row, 0].set_ylabel(text)
    data = points[columns].sort_values(["step", "sample"], ignore_index=True)
    style.heading(figure, finding(data))
    return figure, data


def _place(results: Results, run: str, points: pd.DataFrame) -> tuple[str, int]:
    """Layer and timestep to draw: where the last latent verdict was read, else the first layer, at its noisiest."""
    present = set(zip(points["layer"], points["t"], strict=True))
    if results.has(run, "phases"):
        last = results.table(run, "phases", ["step", "layer", "t"]).sort_values("step").iloc[-1]
        if (last["layer"], last["t"]) in present:
            return str(last["layer"]), int(last["t"])
    layer = in_network_order(points["layer"])[0] if present else ""
    return layer, int(points.loc[points["layer"] == layer, "t"].max()) if present else 0


def _choose_steps(results: Results, run: str, available: np.ndarray) -> list[int]:
    mix = results.select("outcome/{outcome}/seen").query("run == @run")
    shares = mix.pivot_table(index="step", columns="outcome", values="value")
    shares = shares.reindex(available).interpolate(limit_direction="both").fillna(0.0)
    return spaced_by_change(available, shares.to_numpy(), COLUMNS)


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


def viewpoint(points: pd.DataFrame) -> np.ndarray:
    """Two perpendicular directions in the space of the three coordinates: the right and the top of the picture.

    Right is the direction of the least-squares fit of requested x, down as much of that of requested y as is
    perpendicular to it. One view for all checkpoints cannot make order where there is none: it has three free angles.

    Returns:
        Shape (3, 2), orthonormal; the first two coordinates where the fits have no two directions.
    """
    place, request = (points[names].to_numpy(dtype=float) for names in (COORDINATES, ["mu_x", "mu_y"]))
    slopes = np.linalg.lstsq(place - place.mean(axis=0), request - request.mean(axis=0), rcond=None)[0]
    if np.linalg.matrix_rank(slopes) < 2:
        return np.eye(3)[:, :2]
    directions, lengths = np.linalg.qr(slopes * [1.0, -1.0])
    return directions * np.sign(np.diag(lengths))


def explained_variance(points: pd.DataFrame, target: str, period: float | None) -> float:
    """R² of the least-squares fit of a requested coordinate to the two coordinates drawn.

    Args:
        period: of the coordinate, px; its sine and cosine are then fitted, since the coordinate itself has a jump.
    """
    values = points[[target]].to_numpy(dtype=float)
    if period:
        values = np.concatenate([np.cos(2 * np.pi * values / period), np.sin(2 * np.pi * values / period)], axis=1)
    values = values - values.mean(axis=0)
    predictors = np.column_stack([np.ones(len(points)), points[VIEW].to_numpy(dtype=float)])
    rest = values - predictors @ np.linalg.lstsq(predictors, values, rcond=None)[0]
    total = float((values**2).sum())
    return 1.0 - float((rest**2).sum()) / total if total > 0 else float("nan")


def _cloud(axes: Axes, rows: pd.DataFrame, colour: str, colours: str, limits: tuple[float, float]) -> Any:
    first, second = (rows[name].to_numpy(dtype=float) for name in VIEW)
    drawn = axes.scatter(
        first, second, c=rows[colour], cmap=colours, vmin=limits[0], vmax=limits[1], s=4, linewidths=0, rasterized=True
    )
    half = 0.5 * max(np.ptp(first), np.ptp(second)) * 1.12 or 1.0
    middle_x, middle_y = (first.min() + first.max()) / 2, (second.min() + second.max()) / 2
    # Room below the points for the scale.
    axes.set(
        xlim=(middle_x - half, middle_x + half), ylim=(middle_y - 1.25 * half, middle_y + half), xticks=[], yticks=[]
    )
    axes.set_box_aspect(1.125)
    axes.spines[["left", "bottom"]].set_visible(False)
    length = _round_number(0.5 * half)
    left, bottom = middle_x - 0.95 * half, middle_y - 1.17 * half
    axes.plot([left, left + length], [bottom, bottom], color=style.BLACK, linewidth=1.2, solid_capstyle="butt")
    axes.text(left + length + 0.06 * half, bottom, f"{length:g}", va="center", fontsize=6.5)
    return drawn


def _round_number(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above ``value``."""
    power = 10.0 ** np.floor(np.log10(value))
    return float(max(digit * power for digit in (1, 2, 5) if digit * power <= value * (1 + 1e-9)))


def _thumbnail_samples(points: pd.DataFrame) -> list[list[int]]:
    """Samples that all chosen checkpoints have, on a grid of requested centres: rows by y, columns by x."""
    everywhere = points.groupby("sample")["step"].nunique() == points["step"].nunique()
    candidates = points[points["sample"].isin(everywhere.index[everywhere])].drop_duplicates("sample")
    seen = candidates[candidates["split"] == "seen"]
    candidates = candidates if seen.empty else seen
    if candidates.empty:
        return []
    low, high = candidates[["mu_x", "mu_y"]].min(), candidates[["mu_x", "mu_y"]].max()
    places = (np.arange(GRID) + 0.5) / GRID
    wanted = {axis: low[axis] + places * (high[axis] - low[axis]) for axis in ("mu_x", "mu_y")}
    nearest = [
        [np.hypot(candidates["mu_x"] - x, candidates["mu_y"] - y).idxmin() for x in wanted["mu_x"]]
        for y in wanted["mu_y"]
    ]
    return [[int(candidates.loc[index, "sample"]) for index in row] for row in nearest]


def _thumbnails(
    axes: Axes, results: Results, run: str, step: int, shown: list[list[int]], points: pd.DataFrame, size: int
) -> None:
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if not shown:
        return
    chosen = [("step", "==", step), ("sample", "in", sorted({sample for row in shown for sample in row}))]
    order = results.table(run, "samples", ["sample"], chosen)["sample"].tolist()
    images = results.block(run, "samples", "image", chosen).reshape(-1, size, size)
    centres = {int(sample): (x, y) for sample, x, y in points[["sample", "mu_x", "mu_y"]].to_numpy(dtype=float)}
    pitch = size + 2
    mosaic = np.full((GRID * pitch - 2, GRID * pitch - 2), np.nan)
    for i, row in enumerate(shown):
        for j, sample in enumerate(row):
            mosaic[i * pitch : i * pitch + size, j * pitch : j * pitch + size] = images[order.index(sample)]
            x, y = j * pitch + centres[sample][0], i * pitch + centres[sample][1]
            axes.plot(x, y, marker="o", markersize=5.5, markerfacecolor="none", color=style.ORANGE, markeredgewidth=0.8)
    axes.imshow(mosaic, cmap="gray", vmin=0, vmax=1)


def finding(data: pd.DataFrame) -> str:
    """How much of the request the two coordinates drawn explain at the first and the last checkpoint, as a sentence."""
    if data.empty:
        return "No run has an embedding of its latents."
    first = data.iloc[0]
    shares = data.groupby("step")[["r2_x", "r2_y"]].first()
    parts = [
        f"{x:.2f} of x and {y:.2f} of y at step {step}"
        for step, (x, y) in zip(shares.index, shares.values, strict=True)
    ]
    ends = parts if len(parts) == 1 else [parts[0], parts[-1]]
    where = f"{first['dataset']}, seed {first['seed']}, {first['layer']}, t = {first['t']}"
    return f"{where}: the two coordinates drawn explain (R²) {', and '.join(ends)}."
