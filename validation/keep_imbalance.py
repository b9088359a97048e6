"""Keep the tables and figures of a finished experiment that docs/imbalance.md is made of.

python validation/keep_imbalance.py results study
python validation/keep_imbalance.py elsewhere factorised

Of the default experiment and the skewed pair, only what the coupling claims are judged by is kept.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.judge.coupling import at_timesteps, usual_timesteps
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.onsets import RESOLUTION, onset
from bumpscope.probe.frequency import ALL
from bumpscope.store.results import Results
from bumpscope.worlds.bumps import BINS
from truth_tables import DOCS, RESULTS, load, save

FIGURES = ("imbalance_curves", "coupling_index", "rare_common", "learning_and_geometry")
EXPERIMENTS = ("study", "factorised", "gated")
NETWORK = ("default", "skew")
OTHERS = (ALL, "common", "rare")


def bins(names: pd.Series) -> pd.DataFrame:
    """Columns x and y of names such as ``x=rare,y=all``."""
    return names.str.extract(r"x=(?P<x>\w+),y=(?P<y>\w+)")


def by_bin(use: pd.DataFrame) -> pd.DataFrame:
    """When the use of a label at positions of a frequency bin crosses one half, and where it ends.

    Args:
        use: rows of table ``metrics`` of this quantity at one t.
    """
    rows = []
    for (dataset, axis, place), part in use.groupby(["dataset", "factor", "bin"], sort=False):
        of = bins(pd.Series([place])).iloc[0]
        own, other = of[axis], of["y" if axis == "x" else "x"]
        if own not in BINS or other not in OTHERS:
            continue
        of_seed = [curve.sort_values("step") for _, curve in part.groupby("seed")]
        crossings = [found for curve in of_seed if (found := onset(curve["step"], curve["value"])) is not None]
        if not crossings:
            continue
        times = [np.log(found.time) for found in crossings if found.timed]
        row = {
            "dataset": dataset,
            "axis": axis,
            "bin": own,
            "other": other,
            "runs": len(crossings),
            "timed": len(times),
        }
        row |= dict(zip(("tau", "tau_low", "tau_high"), np.exp(t_interval(times)), strict=True))
        last = t_interval([curve["value"].iloc[-1] for curve in of_seed])
        rows.append(row | dict(zip(("use", "use_low", "use_high"), last, strict=True)))
    return pd.DataFrame(rows)


def accuracy(correct: pd.DataFrame) -> pd.DataFrame:
    """Share of correct images at the last checkpoint, by bin of x with y of any kind, and the other way round.

    Args:
        correct: rows of table ``metrics`` of the share of correct images by bin.
    """
    rows = []
    for (dataset, place), part in correct.groupby(["dataset", "bin"], sort=False):
        of = bins(pd.Series([place])).iloc[0]
        if ALL in tuple(of):
            last = part[part["step"] == part["step"].max()]["value"].dropna()
            row = {"dataset": dataset, "bin_x": of.x, "bin_y": of.y}
            rows.append(row | dict(zip(("correct", "low", "high"), t_interval(last), strict=True)))
    return pd.DataFrame(rows)


def keep(folder: Path, experiment: str, target: Path = RESULTS) -> None:
    """Put an experiment's tables beside those that are kept, in place of an earlier one of this name."""
    results = Results(folder)
    if experiment in NETWORK:
        _put("network", results.table("coupling", measure=RESOLUTION), experiment, target)
        return
    use = results.table("metrics", quantity="use", weights="raw")
    tables = {name: results.table(name) for name in ("runs", "coupling", "onsets", "factorisation", "claims")}
    tables["bins"] = by_bin(at_timesteps(use, usual_timesteps(use)))
    seen = results.table("metrics", quantity="share_correct", split="seen")
    tables["accuracy"] = accuracy(seen[seen["bin"].notna()])
    for name, table in tables.items():
        _put(name, table, experiment, target)


def _put(name: str, table: pd.DataFrame, experiment: str, target: Path) -> None:
    kept = load(f"imbalance-{name}", target)
    before = [] if kept is None else [kept[0][kept[0]["experiment"] != experiment]]
    both = pd.concat([*before, table.assign(experiment=experiment)], ignore_index=True)
    save(f"imbalance-{name}", both, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="output folder of the experiment")
    parser.add_argument("experiment", choices=[*EXPERIMENTS, *NETWORK])
    chosen = parser.parse_args()
    keep(chosen.folder, chosen.experiment)
    if chosen.experiment == "study":
        for figure in FIGURES:
            shutil.copyfile(chosen.folder / "figures" / f"{figure}.png", DOCS / "images" / f"study-{figure}.png")


if __name__ == "__main__":
    main()
