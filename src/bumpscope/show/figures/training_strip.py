"""One model in training: its images, its latents and their phases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bumpscope.show import marks, rows, style
from bumpscope.show.manifold_view import (
    OUTCOMES,
    VIEW,
    ManifoldView,
    NothingToSee,
    chosen_samples,
    from_text,
    manifold_view,
    mosaic,
    outcome_shares,
    requests_in_mosaic,
    spaced_by_change,
)
from bumpscope.store.results import Results

CAPTION = (
    "Top: images of the same requests and noise (black 0, white 1); rings: requests. Middle: a point per image, placed "
    "by its activations, coloured by the requested coordinate decoded worse at the end. Bottom: phases (?: between; "
    "blind: disorder would not be seen) and outcomes; ticks: checkpoints. Shown: seed and place of the first dataset "
    "whose weaker R² ends highest."
)
TOPIC = "Phases"
WIDTH = style.DOUBLE
READS = ("embedding", "samples", "phases", "metrics", "runs")
COLUMNS = rows.RUN | rows.PLACE | {"boundary": "plane, or torus where a request closes", "units": "of the requests"}
COLUMNS |= {"part": "point, latents (phase), behaviour (phase), or an outcome (its share)", "step": ""}
COLUMNS |= {
    "sample": "",
    "mu_x": "request, px",
    "mu_y": "",
    "split": "",
    VIEW[0]: "to the right, as drawn",
    VIEW[1]: "up",
}
COLUMNS |= {"axis": "the factor shown", "r2": "of it from the view", "image": "PNG in base64, where shown"}
COLUMNS |= {"phase": "A, B, C, ? or blind", "value": "share at seen centres"}
NOTHING = "No run has defined latents together with its images."
CHECKPOINTS = 6
PHASES = {"latents": "latent_phase", "behaviour": "behaviour_phase"}
NAMES = {
    "none": "no bump",
    "multiple": "several bumps",
    "misplaced": "one in the wrong place",
    "correct": "one in the right place",
}


def select(results: Results) -> pd.DataFrame:
    """Latents and images of one run at the checkpoints where most changes; its phases and outcomes at all of them."""
    try:
        view = manifold_view(results)
    except NothingToSee:
        return pd.DataFrame(columns=list(COLUMNS))
    run = view.run
    steps = spaced_by_change(view.steps, outcome_shares(results, run.name, view.steps), CHECKPOINTS)
    outcomes = {f"share_{outcome}": outcome for outcome in OUTCOMES}
    measured = rows.measured(results, list(outcomes), run=run.name, split="seen", bin=None)
    measured = measured[measured["step"].isin(view.steps)].sort_values("step", kind="stable")
    shares = measured[["step", "value"]].assign(part=measured["quantity"].map(outcomes))
    parts = [_points(view, steps), *_phases(view), *([shares] if len(shares) else [])]
    data = pd.concat(parts, ignore_index=True).assign(**view.about)
    return data.reindex(columns=rows.columns_of(COLUMNS, run.names))


def _points(view: ManifoldView, steps: list[int]) -> pd.DataFrame:
    points = view.pictured(steps)
    told = {axis: {step: view.told(own, axis) for step, own in points.groupby("step")} for axis in view.run.names}
    worse = min(told, key=lambda axis: np.nan_to_num(told[axis][steps[-1]], nan=-np.inf))
    return points.assign(part="point", axis=worse, r2=points["step"].map(told[worse]))


def _phases(view: ManifoldView) -> list[pd.DataFrame]:
    """Both verdicts at every checkpoint, those of latents at the place that is shown."""
    if not view.run.has("phases"):
        return []
    found = view.run.table("phases", ["step", *PHASES.values()], layer=view.layer, t=view.t)
    named = found.sort_values("step").fillna("?")
    return [named[["step"]].assign(part=part, phase=named[column]) for part, column in PHASES.items()]


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Images above latents, a column a checkpoint; below them phases and shares of outcomes over all checkpoints."""
    points = data[data["part"] == "point"]
    if points.empty:
        return style.without_data(NOTHING)
    steps = [int(step) for step in points["step"].unique()]
    figure = Figure(figsize=(WIDTH, 4.1), layout="constrained")
    grid = figure.add_gridspec(4, len(steps), height_ratios=[1, 1.1, 0.34, 0.6])
    _columns(figure, [[figure.add_subplot(grid[row, k]) for k in range(len(steps))] for row in (0, 1)], points)
    lower = figure.add_subplot(grid[3, :])
    _strips(figure.add_subplot(grid[2, :], sharex=lower), data, steps)
    _shares(lower, data)
    patches = [Patch(color=style.OUTCOMES[name]) for name in NAMES]
    figure.legend(patches, list(NAMES.values()), loc="outside lower left", ncols=4, columnspacing=1.0, handlelength=1.3)
    return figure


def _columns(figure: Figure, panels: list[list[Axes]], points: pd.DataFrame) -> None:
    points = points.astype({"step": int, "sample": int})
    axis, torus = points["axis"].iloc[0], points["boundary"].iloc[0] == "torus"
    unit = dict(zip(rows.factors_in(points), str(points["units"].iloc[0]).split(" "), strict=True))[axis]
    request, shown = points[f"mu_{axis}"], chosen_samples(points)
    look: Any = {"cmap": style.request_colours(torus), "vmin": request.min(), "vmax": request.max()}
    for above, below, (step, own) in zip(*panels, points.groupby("step"), strict=True):
        above.set_title(f"step {step}")
        above.set(xticks=[], yticks=[])
        above.spines[:].set_visible(False)
        images = {row.sample: from_text(row.image) for row in own.dropna(subset="image").itertuples()}
        if shown and images:
            picture, size = mosaic(images, shown)
            above.imshow(picture, cmap="gray", vmin=0, vmax=1)
            above.plot(*requests_in_mosaic(points, shown, size).T, linestyle="", **style.REQUEST | {"markersize": 3})
        right, up = (own[name].to_numpy(dtype=float) for name in VIEW)
        drawn = below.scatter(right, up, c=own[f"mu_{axis}"], s=3, linewidths=0, rasterized=True, **look)
        half = 0.5 * max(np.ptp(right), np.ptp(up)) * 1.12 or 1.0
        marks.scaled_frame(below, ((right.min() + right.max()) / 2, (up.min() + up.max()) / 2), half)
        below.set_title(f"R² = {own['r2'].iloc[0]:.2f}")
    figure.colorbar(drawn, ax=panels[1], aspect=12, pad=0.01, panchor=False).set_label(f"requested {axis}, {unit}")
    panels[0][0].set_ylabel("images")
    panels[1][0].set_ylabel("latents")


def _strips(axes: Axes, data: pd.DataFrame, steps: list[int]) -> None:
    """The phases of latents and behaviour, with a mark at each checkpoint that is shown above."""
    drawn: list[tuple[float, float, float, str]] = []
    for height, part in enumerate(PHASES):
        own = data[data["part"] == part].sort_values("step")
        if own.empty:
            marks.note(axes, "not judged", 0.5, height, transform=axes.get_yaxis_transform())
            continue
        stretches = marks.phase_strip(axes, height, 0.8, own["step"], own["phase"])
        drawn += [(start, end, height, phase) for start, end, phase in stretches]
    axes.plot(steps, np.full(len(steps), -0.75), "v", color=style.BLACK, markersize=4, clip_on=False)
    axes.set_yticks(range(len(PHASES)), ["latent phase", "behaviour phase"])
    axes.set_ylim(len(PHASES) - 0.5, -0.8)
    marks.strip_axes(axes, data["step"], drawn)
    axes.set_xlabel("")
    axes.tick_params(axis="x", labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    marks.name_stretches(axes, drawn)


def _shares(axes: Axes, data: pd.DataFrame) -> None:
    own = data[data["part"].isin(NAMES)].pivot(index="step", columns="part", values="value").astype(float)
    own = own.reindex(columns=list(NAMES)).dropna()
    if own.empty:
        axes.set(yticks=[])
        style.step_axis(axes, data["step"].unique())
        marks.note(axes, "outcomes not measured")
        return
    upwards = list(reversed(NAMES))
    axes.stackplot(
        own.index.to_numpy(), *(own[name] for name in upwards), colors=[style.OUTCOMES[name] for name in upwards]
    )
    axes.set(ylim=(0, 1), yticks=[0, 1], yticklabels=["0", "100%"], ylabel="images")
    limits = axes.get_xlim()
    style.step_axis(axes, own.index.to_numpy())
    if len(own) > 1:
        axes.set_xlim(limits if axes.get_xscale() == "linear" else axes.get_xlim())


def finding(data: pd.DataFrame) -> str:
    """What the model that is shown draws at its last checkpoint, and in which phases it was, as a sentence."""
    points = data[data["part"] == "point"]
    if points.empty:
        return NOTHING
    first = points.iloc[0]
    parts = []
    for part in PHASES:
        passed = data.loc[data["part"] == part].sort_values("step")["phase"].tolist()
        order = [phase for k, phase in enumerate(passed) if k == 0 or phase != passed[k - 1]]
        parts += [f"phases of {part} {', '.join(order)}"] if order else []
    right = data[data["part"] == "correct"].sort_values("step").tail(1)
    parts += [
        f"{share:.0%} of the images right at step {step:.0f}" for step, share in right[["step", "value"]].to_numpy()
    ]
    where = f"{first['dataset']}, seed {int(first['seed'])}, {first['layer']}, t = {int(first['t'])}"
    return f"{where}: {'; '.join(parts) or 'not judged'}."
