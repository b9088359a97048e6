"""Is a layer's code of the label needed, and is it enough?"""

from __future__ import annotations

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results, in_network_order

CAPTION = (
    "Images of centres that nothing was fitted to. Left: blocks up to a layer get the request, later ones a centre "
    "more than 4 px away; last layer: control. Right: the layer's code of the label removed, or another put in; "
    "controls: an equal random change, the layer at its mean. Large marks: mean over seeds; small: each seed."
)
TOPIC = "Representation"
WIDTH = style.DOUBLE
READS = ("interventions",)
# Line -> the intervention and the share that it shows, by panel.
BLOCKS = {
    "at the label of the blocks up to here": ("labels", "share_own"),
    "at the label of the later blocks": ("labels", "share_other"),
    "between them": ("labels", "share_between"),
}
LAYER = {
    "right, unchanged": ("none", "share_own"),
    "right, changed at random": ("random", "share_own"),
    "right, without the label": ("removed", "share_own"),
    "right, layer at its mean": ("ablated", "share_own"),
    "at the label put in": ("patched", "share_other"),
}
COLUMNS = rows.CHECKPOINT | {
    "layer": "",
    "line": f"{', '.join([*BLOCKS, *LAYER])}",
    "share": "of the images drawn",
}
NOTHING = "Nothing was interfered with (probe.interventions)."
MOST_STEPS = 3
LOOKS: dict[str, style.Look] = {
    "at the label of the blocks up to here": {"color": style.BLUE, "marker": "o", "linestyle": "-"},
    "at the label of the later blocks": {"color": style.ORANGE, "marker": "s", "linestyle": "--"},
    "between them": {"color": style.GREY, "marker": "^", "linestyle": ":"},
    "right, unchanged": {"color": style.BLACK, "marker": "_", "linestyle": ""},
    "right, changed at random": {"color": style.GREY, "marker": "D", "linestyle": ""},
    "right, without the label": {"color": style.BLUE, "marker": "o", "linestyle": ""},
    "right, layer at its mean": {"color": style.SKY, "marker": "v", "linestyle": ""},
    "at the label put in": {"color": style.ORANGE, "marker": "s", "linestyle": ""},
}


def select(results: Results) -> pd.DataFrame:
    """The share of each line, at every layer and checkpoint with interventions."""
    shares = sorted({share for _, share in (BLOCKS | LAYER).values()})
    found = rows.of_each_run(results, "interventions", ["step", "intervention", "layer", *shares])
    parts = [
        found[found["intervention"] == kind].assign(line=line).rename(columns={share: "share"})[[*COLUMNS]]
        for line, (kind, share) in (BLOCKS | LAYER).items()
    ]
    return pd.concat(parts, ignore_index=True)


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """Which label is obeyed, and what is drawn without one; a row a checkpoint of the first dataset."""
    if data.empty:
        return style.without_data(NOTHING)
    names, note = rows.first(data["dataset"], 1, "datasets")
    own = data[data["dataset"] == names[0]]
    steps, note_steps = rows.first(sorted(own["step"].unique(), reverse=True), MOST_STEPS, "checkpoints, from the last")
    figure, axes = style.panels(2 * len(steps), 2, 2.0, WIDTH, sharey=True)
    for row, step in enumerate(sorted(steps)):
        at = own[own["step"] == step]
        for lines, panel in zip((BLOCKS, LAYER), axes[2 * row : 2 * row + 2], strict=True):
            _panel(panel, at[at["line"].isin(lines)], lines)
        left, right = axes[2 * row : 2 * row + 2]
        left.set(title=f"Two labels, step {step}", ylabel="share of images", ylim=(-0.04, 1.04))
        right.set(title="One layer changed")
        last = row == len(steps) - 1
        left.set_xlabel("last layer with the request" if last else "")
        right.set_xlabel("layer" if last else "")
    marks.look_legend(figure, {line: {**look, "markersize": 4.5} for line, look in LOOKS.items()}, ncols=3)
    style.heading(figure, note, note_steps)
    return figure


def _panel(axes: Axes, own: pd.DataFrame, lines: dict[str, tuple[str, str]]) -> None:
    """Means over seeds, with a small mark a seed."""
    layers = in_network_order(own["layer"])
    names = [line for line in lines if (own["line"] == line).any()]
    shared = {
        "data": own, "x": "layer", "y": "share", "hue": "line", "order": layers, "hue_order": names, "legend": False,
        "palette": [LOOKS[line]["color"] for line in names], "ax": axes,
    }  # fmt: skip
    # As far apart as the small marks.
    apart = 0.8 * (1 - 1 / len(names)) if lines is LAYER else 0.0
    sns.stripplot(**shared, size=2, alpha=0.6, jitter=False, dodge=bool(apart))
    sns.pointplot(
        **shared, errorbar=None, markers=[LOOKS[line]["marker"] for line in names], markersize=4.5, linewidth=1.2,
        linestyles=[LOOKS[line]["linestyle"] or "none" for line in names], dodge=apart,
    )  # fmt: skip
    axes.tick_params(axis="x", labelrotation=0 if lines is LAYER else 30)


def finding(data: pd.DataFrame) -> str:
    """What is drawn without the label and with another one, at the last checkpoint, as a sentence."""
    if data.empty:
        return NOTHING
    name = data["dataset"].iloc[0]
    own = data[data["dataset"] == name]
    step = own["step"].max()
    means = own[own["step"] == step].groupby(["line", "layer"])["share"].mean()
    parts = []
    for layer in in_network_order(own.loc[own["line"].isin(LAYER), "layer"]):
        values = {line: means.get((line, layer)) for line in LAYER}
        # What remains means nothing without what there was.
        shown = ("right, unchanged", "right, without the label", "right, changed at random", "at the label put in")
        unchanged, removed, random, patched = (values[line] for line in shown)
        if None not in (unchanged, removed, random, patched):
            told = f"{removed:.0%} of {unchanged:.0%} (random change {random:.0%}), {patched:.0%} at a label put in"
            parts.append(f"{layer} {told}")
    return f"{name}, step {step}, images right without a layer's label: {'; '.join(parts)}."
