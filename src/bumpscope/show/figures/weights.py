"""Raw and averaged weights: how far the average lags behind training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bumpscope.judge.learning_curves import half_time_in_words, middle
from bumpscope.measure.metrics import OUTCOMES
from bumpscope.show import marks, rows, style
from bumpscope.store.results import Results

CAPTION = (
    "The same checkpoints with raw weights (solid) and with their moving average (dashed). Left: share of images at "
    "seen centres that show one bump, in the wrong or in the right place. Right: use of the x and of the y label at "
    "one timestep t. Verdicts are read from raw weights. Thick: mean over seeds; thin: each seed."
)
TOPIC = "Training"
WIDTH = style.DOUBLE
READS = ("metrics",)
NOTHING = "No run was probed with both raw and averaged weights."
PANELS = {"misplaced": "one bump, misplaced", "correct": "one bump, correct"}
LOOKS: dict[str, style.Look] = {
    "raw": {"color": style.BLUE, "linestyle": "-"},
    "ema": {"color": style.VERMILLION, "linestyle": "--"},
}
WORDS = {"raw": "raw weights", "ema": "moving average"}
COLUMNS = rows.CHECKPOINT | {
    "weights": "raw or ema",
    "t": "−1 for outcomes",
    "quantity": ", ".join([*PANELS, "x", "y"]),
    "value": "",
}


def select(results: Results) -> pd.DataFrame:
    """Outcomes and label effects with both weights, of the dataset that has both and the most seeds."""
    both = list(LOOKS)
    names = [f"share_{outcome}" for outcome in OUTCOMES]
    shares = rows.measured(results, names, "weights", split="seen", bin=None, weights=both)
    shares = shares.assign(quantity=shares["quantity"].str.removeprefix("share_"), t=-1)
    counts = shares.groupby("dataset", sort=False).agg(weights=("weights", "nunique"), seeds=("seed", "nunique"))
    counts = counts[counts["weights"] == len(both)]
    if counts.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    name = counts["seeds"].idxmax()
    names_of = list(next(run for run in results if run.dataset == name).names)
    where = {"factor": names_of, "bin": None, "weights": both, "dataset": name}
    effects = rows.measured(results, "effect", "factor", "t", "weights", **where)
    effects = effects.assign(quantity=effects["factor"])
    if len(effects):
        effects = effects[effects["t"] == middle(effects["t"])]
    found = pd.concat([part for part in (shares[shares["dataset"] == name], effects) if len(part)], ignore_index=True)
    return found[found["quantity"].isin([*PANELS, *names_of])][[*COLUMNS]].reset_index(drop=True)


@style.apply()
def draw(data: pd.DataFrame) -> Figure:
    """A panel for each outcome of a single bump and for each label."""
    if data.empty:
        return style.without_data(NOTHING)
    factors = [str(name) for name in data["quantity"].unique() if name not in PANELS] or ["x", "y"]
    panels = PANELS | {name: f"effect of {name}" for name in sorted(factors, key=lambda name: (len(name), name))}
    figure, axes = style.panels(len(panels), len(panels), 1.9, WIDTH, sharex=True, sharey=True)
    for panel, (quantity, text) in zip(np.ravel(np.array(axes)), panels.items(), strict=True):
        own = data[data["quantity"] == quantity]
        marks.curves(panel, own, "weights", LOOKS)
        panel.set_title(text if own.empty or quantity in PANELS else f"{text}, t = {own['t'].iloc[0]}")
        style.step_axis(panel, data["step"].to_numpy())
    axes[0].set_ylabel("share, or effect")
    marks.look_legend(figure, {WORDS[name]: look for name, look in LOOKS.items()}, ncols=2, handlelength=3)
    return figure


def finding(data: pd.DataFrame) -> str:
    """When half of the images are right with either weights, and the largest share of misplaced ones."""
    if data.empty:
        return NOTHING
    parts = []
    for weights, own in data.groupby("weights", sort=False):
        of = dict(iter(own.groupby("quantity")))
        told = []
        if "correct" in of:
            when = half_time_in_words(of["correct"])
            told.append(f"half of the images right {f'at step {when}' if when[0].isdigit() else when}")
        if "misplaced" in of:
            most = of["misplaced"].groupby("run")["value"].max().mean()
            told.append(f"at most {most:.0%} misplaced")
        parts.append(f"{WORDS[str(weights)]}: {', '.join(told)}")
    return f"{data['dataset'].iloc[0]}, means over seeds. {'; '.join(parts)}."
