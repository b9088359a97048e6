"""UMAPs of the latents of one run over training, to judge order by eye."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.show import rows, style
from bumpscope.show.manifold_view import outcome_shares, spaced_by_change
from bumpscope.store.results import Results
from bumpscope.store.run import Run

CAPTION = (
    "UMAP of the activations of one run, a point per image, coloured by one requested factor, then the other (dark: "
    "small). Only which colours lie together means anything. Letter: phase as read from UMAPs to three dimensions. "
    "Number: cross-validated R² of a linear regression on the UMAP, median of three seeds. UMAP draws a surface even "
    "of noise (step 0)."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
READS = ("umaps", "samples", "phases", "metrics", "runs")
COLUMNS = rows.RUN | rows.PLACE | {"variant": "what was read", "step": "", "sample": "", "mu_x": "request, px"}
COLUMNS |= {"mu_y": "", "umap_1": "", "umap_2": "", "r2_x": "of requested x from UMAPs", "r2_y": ""}
COLUMNS |= {"phase": "A, B, C, ? or blind, as read from UMAPs; empty: not judged"}
NOTHING = "No run has UMAPs of its latents together with its requests."
CHECKPOINTS = 8
WEIGHTS = {"raw": "raw weights", "ema": "averaged weights"}


def select(results: Results) -> pd.DataFrame:
    """The UMAPs of the first run that has them, at the checkpoints where most changes."""
    run = next((run for run in results if run.has("umaps") and run.has("samples") and run.has("phases")), None)
    points = pd.DataFrame() if run is None else run.table("umaps", weights=["raw", "ema"]).dropna()
    if run is None or points.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    steps = np.unique(points["step"])
    points = points[points["step"].isin(spaced_by_change(steps, outcome_shares(results, run.name, steps), CHECKPOINTS))]
    requests = run.table("samples", ["sample", *run.names.asked]).drop_duplicates("sample")
    points = points.merge(requests, on="sample").merge(_verdicts(run), how="left")
    r2 = _r2(results, run)
    none = {f"r2_{name}": np.nan for name in run.names}
    points = points.merge(r2, how="left") if len(r2) else points.assign(**none)
    parts = []
    for variant, own in _variants(points, run):
        parts.append(own.assign(variant=variant, run=run.name, dataset=run.dataset, seed=run.seed))
    return pd.concat(parts, ignore_index=True)[rows.columns_of(COLUMNS, run.names)]


def _variants(points: pd.DataFrame, run: Run) -> list[tuple[str, pd.DataFrame]]:
    """The judged place; with shared noise; with other weights; and the last t at which its layer was read."""
    judged = run.table("phases", ["layer", "t"], judged=True).iloc[0]
    layer, t = str(judged["layer"]), int(judged["t"])
    of_layer = points[points["layer"] == layer]
    here, own, weights = of_layer["t"] == t, of_layer["noise"] == "own", of_layer["weights"] == run.weights
    last = int(of_layer.loc[own & weights, "t"].min()) if len(of_layer) else t
    chosen = [(f"{layer}, t = {t}", here & own & weights), ("shared noise", here & ~own & weights)]
    if last != t:
        chosen.insert(1, (f"{layer}, t = {last}", (of_layer["t"] == last) & own & weights))
    chosen += [(WEIGHTS[name], here & own & (of_layer["weights"] == name)) for name in WEIGHTS if name != run.weights]
    return [(name, of_layer[rows_]) for name, rows_ in chosen if rows_.any()]


def _verdicts(run: Run) -> pd.DataFrame:
    """Phases as read from UMAPs, by step, weights, layer, t and noise."""
    place = ["step", "weights", "layer", "t"]
    names = {"latent_phase_umap": "own", "latent_phase_umap_shared": "shared"}
    found = run.table("phases", [*place, *names], weights=["raw", "ema"]).rename(columns=names)
    return found.melt(place, list(names.values()), "noise", "phase")


def _r2(results: Results, run: Run) -> pd.DataFrame:
    """Columns r2_x and r2_y, or those of other factors, by step, weights, layer, t and noise."""
    place = ["step", "weights", "layer", "t", "noise"]
    where = {"run": run.name, "space": "umap2", "label": "requested", "weights": ["raw", "ema"]}
    found = rows.measured(results, "r2_median", "weights", "layer", "t", "noise", "factor", **where)
    wide = found.pivot_table(index=place, columns="factor", values="value").reset_index()
    named = {name: f"r2_{name}" for name in run.names}
    return wide.rename(columns=named).reindex(columns=[*place, *named.values()])


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """A column per checkpoint; of each variant a row for each requested factor, coloured by it."""
    if data.empty:
        return style.without_data(NOTHING)
    steps, variants = sorted(data["step"].unique()), list(data["variant"].unique())
    side = (WIDTH - 0.5) / max(len(steps), 5)
    names = rows.factors_in(data)
    height = min((side + 0.14) * len(names) * len(variants) + 0.9, style.TALLEST)
    figure = Figure(figsize=(0.5 + side * len(steps), height), layout="constrained")
    lines = figure.subplots(len(names) * len(variants), len(steps), squeeze=False)
    for number, (variant, axis) in enumerate((variant, axis) for variant in variants for axis in names):
        request = data[f"mu_{axis}"]
        look: style.Look = {"cmap": "viridis", "vmin": request.min(), "vmax": request.max()}
        for panel, step in zip(lines[number], steps, strict=True):
            own = data[(data["variant"] == variant) & (data["step"] == step)]
            _cloud(panel, own, axis, look, verdict=axis == names[0])
            if number == 0:
                panel.set_title(f"step {step}\n{panel.get_title(loc='left')}", fontsize=style.FONT_SIZE - 1.5, pad=2)
        lines[number][0].set_ylabel(f"{variant}\nby {axis}" if axis == names[0] else f"by {axis}")
    return figure


def _cloud(axes: Axes, own: pd.DataFrame, axis: str, look: style.Look, verdict: bool) -> None:
    """One UMAP, coloured by a requested factor, below its phase, where asked for, and its R²."""
    axes.set(xticks=[], yticks=[])
    axes.set_box_aspect(1)
    axes.spines[:].set_visible(False)
    if own.empty:
        return
    axes.scatter(own["umap_1"], own["umap_2"], c=own[f"mu_{axis}"], s=1.5, linewidths=0, rasterized=True, **look)
    first = own.iloc[0]
    r2 = first[f"r2_{axis}"]
    phase = f"{first['phase']}   " if verdict and isinstance(first["phase"], str) else ""
    axes.set_title(f"{phase}{r2:.2f}" if np.isfinite(r2) else phase, fontsize=style.FONT_SIZE - 1.5, pad=2)


def finding(data: pd.DataFrame) -> str:
    """The phases as read at the judged place, as a sentence."""
    if data.empty:
        return NOTHING
    first = data.iloc[0]
    own = data[data["variant"] == first["variant"]].drop_duplicates("step").sort_values("step")
    told = ", ".join(f"{phase} at {step}" for step, phase in zip(own["step"], own["phase"].fillna("–"), strict=True))
    return f"{first['dataset']}, seed {first['seed']}, {first['variant']}: {told}."
