"""F3: combinations are drawn right once those shown hang together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Shown
from bumpscope.judge import remedies
from bumpscope.judge.claims.phases_with_behaviour import TOGETHER
from bumpscope.judge.combinations import FEWEST_SEEDS
from bumpscope.judge.controls import lattice_of
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.leaderboard import BASELINE, SETTINGS, SHARES, at_last_step
from bumpscope.judge.onsets import fitted_onset
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    NEEDED,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Check,
    Interval,
    Judged,
    count,
    estimate,
)
from bumpscope.measure.percolation import largest_connected_share
from bumpscope.worlds.bumps import factors, lattice_points

ID = "F3"
QUESTION = "Are withheld combinations drawn right once those shown hang together?"
STATEMENT = "Withheld combinations are drawn right from the share shown on at which those shown hang together"
STATISTIC = "ln share shown at which half are right minus that at which half of the shown hang together"
READS: Reads = (("metrics", SHARES),)
FIGURES = ("errors",)
CAVEAT = "A finite lattice has no sharp threshold; both shares are where curves cross one half."
MORE = {"lattices of which random shares were shown": remedies.SHARES}


def judge(data: Data) -> Judged:
    """Where the accuracy of the plain UNet on withheld combinations crosses one half, and where percolation does.

    Percolation: the share of the shown combinations that the largest group of overlapping bumps holds
    (:mod:`bumpscope.measure.percolation`). Both are curves over the random share that training shows, fitted by
    isotonic regression. Supported when the difference of the logarithms lies within a ratio of 1.5 on every lattice,
    contradicted when it lies outside on one. A seed counts where shares on both sides of both crossings are close
    enough to time them. After arXiv 2408.13256.
    """
    runs = data.table("runs")
    found = runs[runs["shown"].str.startswith("share=") & (runs["denoiser"] == BASELINE) & (runs["labels"] == "own")]
    found = found[found["stripes"] == 0].join(at_last_step(data.table("metrics", **SHARES)), on="run")
    found = found.dropna(subset="heldout")
    found = found.assign(share=[_design(row).share or 0.0 for row in found.to_dict("records")])
    lattices = [_of_lattice(own) for _, own in found.groupby([*SETTINGS, "dx", "dy"], dropna=False, sort=False)]
    needed = count("lattices of which random shares were shown", len(lattices), NEEDED, Bound(least=1))
    checks = [needed, *(check for _, of_lattice in lattices for check in of_lattice)]
    apart = [interval for interval, _ in lattices if math.isfinite(interval[0])]
    return Judged(max(apart, key=lambda interval: abs(interval[0]), default=UNKNOWN), len(found), checks)


def _design(run: dict[Any, Any]) -> Shown:
    return Shown.model_validate_strings(dict(pair.split("=") for pair in run["shown"].split(", ")))


def _of_lattice(runs: pd.DataFrame) -> tuple[Interval, list[Check]]:
    """The difference of ln shares over seeds, and the checks."""
    first = runs.iloc[0]
    place = f"spacing {first['dx']:g} px, sigma {first['sigma']:g} px"
    connected = {row["dataset"]: _connected(row) for row in runs.drop_duplicates("dataset").to_dict("records")}
    runs = runs.assign(connected=runs["dataset"].map(connected))
    apart = []
    for _, own in runs.groupby("seed"):
        right, together = (
            fitted_onset(own["share"].to_numpy(), own[name].to_numpy()) for name in ("heldout", "connected")
        )
        if right is not None and together is not None and right.timed and together.timed:
            apart.append(math.log(right.time / together.time))
    interval = t_interval(apart)
    checks = [count("seeds", len(apart), NEEDED, Bound(least=FEWEST_SEEDS), place)]
    name = "difference of ln share shown"
    checks.append(estimate(name, interval, SUPPORTS, Bound(least=-TOGETHER, most=TOGETHER), place))
    beyond = float(np.fmax(interval[1], -interval[2]))
    checks.append(count("least distance from 0", beyond, CONTRADICTS, Bound(above=TOGETHER), place))
    for share, own in runs.groupby("share"):
        here = f"{place}, {share:g} shown"
        checks.append(count("share right", own["heldout"].mean(), subject=here))
        checks.append(count("largest connected share", own["connected"].mean(), subject=here))
    return interval, checks


def _connected(run: dict[Any, Any]) -> float:
    """The largest connected share of what a run was shown."""
    lattice = lattice_of(run).model_copy(update={"shown": _design(run)})
    points = lattice_points(lattice)
    centres = (points.mu_x[~points.heldout], points.mu_y[~points.heldout])
    away = [factor.difference(mu[:, None], mu) for factor, mu in zip(factors(lattice), centres, strict=True)]
    return largest_connected_share(np.hypot(*away), lattice.sigma)
