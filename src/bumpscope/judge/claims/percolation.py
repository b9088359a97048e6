"""F3: combinations are drawn right once those shown are connected."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice, Shown
from bumpscope.judge import remedies
from bumpscope.judge.claims.hole import shown_is_learnt
from bumpscope.judge.claims.phases_with_behaviour import TOGETHER
from bumpscope.judge.controls import lattice_of
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.leaderboard import BASELINE, SETTINGS, SHARES, at_last_step
from bumpscope.judge.onsets import LEVEL, fitted_onset
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    FEWEST_SEEDS,
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
QUESTION = "Are withheld combinations drawn right once those shown are connected?"
STATEMENT = "Withheld combinations are drawn right from the share shown on at which those shown are connected"
STATISTIC = "ln share shown at which half are right minus that from which half of the shown are connected"
READS: Reads = (("metrics", SHARES),)
FIGURES = ("errors",)
CAVEAT = "A finite lattice has no sharp threshold; both shares are where curves cross one half."
MORE = {"lattices of which random shares were shown": remedies.SHARES}


def judge(data: Data) -> Judged:
    """Where the accuracy of the plain UNet on withheld combinations crosses one half, and where percolation does.

    Percolation: the least share shown from which on half of the shown or more are in the largest group of overlapping
    bumps (:mod:`bumpscope.measure.percolation`), in the order in which the design shows them; this needs no training.
    Accuracy is a curve over the shares that were trained, fitted by isotonic regression. Supported when the difference
    of the logarithms lies within a ratio of 1.5 on every lattice, contradicted when it lies outside on one. A seed
    counts where shares on both sides of its crossing are close enough to time it. After arXiv 2408.13256.
    """
    runs = data.table("runs")
    found = runs[runs["shown"].str.startswith("share=") & (runs["denoiser"] == BASELINE) & (runs["labels"] == "own")]
    found = found[found["stripes"] == 0].join(at_last_step(data.table("metrics", **SHARES)), on="run")
    found = found.dropna(subset="heldout")
    designs = [_design(text) for text in found["shown"]]
    found = found.assign(
        share=[design.share or 0.0 for design in designs], order=[design.seed or 0 for design in designs]
    )
    alike = [*SETTINGS, "dx", "dy", "order"]
    lattices = [_of_lattice(own) for _, own in found.groupby(alike, dropna=False, sort=False)]
    needed = count("lattices of which random shares were shown", len(lattices), NEEDED, Bound(least=1))
    checks = [needed, *(check for _, of_lattice in lattices for check in of_lattice)]
    apart = [interval for interval, _ in lattices if math.isfinite(interval[0])]
    return Judged(max(apart, key=lambda interval: abs(interval[0]), default=UNKNOWN), len(found), checks)


def _design(text: str) -> Shown:
    return Shown.model_validate_strings(dict(pair.split("=") for pair in text.split(", ")))


def _of_lattice(runs: pd.DataFrame) -> tuple[Interval, list[Check]]:
    """The difference of ln shares over seeds, and the checks."""
    first = runs.iloc[0].to_dict()
    place = f"spacing {first['dx']:g} px, sigma {first['sigma']:g} px"
    place += f", order {first['order']}" if first["order"] else ""
    lattice, order = lattice_of(first), int(first["order"])
    together = connected_from(lattice, order)
    timed = [fitted_onset(own["share"].to_numpy(), own["heldout"].to_numpy()) for _, own in runs.groupby("seed")]
    apart = [math.log(one.time / together) for one in timed if one is not None and one.timed]
    interval = t_interval(apart)
    checks = [
        count("seeds", len(apart), NEEDED, Bound(least=FEWEST_SEEDS), place),
        shown_is_learnt(float(runs.groupby("share")["seen"].mean().min(skipna=False)), place),
    ]
    name = "difference of ln share shown"
    checks.append(estimate(name, interval, SUPPORTS, Bound(least=-TOGETHER, most=TOGETHER), place))
    beyond = float(np.fmax(interval[1], -interval[2]))
    checks.append(count("least distance from 0", beyond, CONTRADICTS, Bound(above=TOGETHER), place))
    checks.append(count("share from which half of the shown are connected", together, subject=place))
    for share in sorted(runs["share"].unique()):
        own = runs[runs["share"] == share]
        here = f"{place}, {share:g} shown"
        checks.append(count("share right", own["heldout"].mean(), subject=here))
        checks.append(count("largest connected share", _connected(lattice, float(share), order), subject=here))
    return interval, checks


def connected_from(lattice: Lattice, order: int) -> float:
    """The least share shown from which on half of those shown, or more, are in one group; in steps of a hundredth.

    Of very few the largest group is a large share, so that the curve falls before it rises.

    Args:
        order: ``shown.seed`` of the design, which shows combinations in this order.
    """
    shares = np.arange(1, 100) / 100
    shares = shares[shares * math.prod(lattice.counts) >= 1]
    apart = [share for share in shares if _connected(lattice, float(share), order) < LEVEL]
    return float(apart[-1]) + 0.01 if apart else float(shares[0])


def _connected(lattice: Lattice, share: float, order: int) -> float:
    """The largest connected share of what a design shows."""
    shown = lattice_points(lattice.model_copy(update={"shown": Shown(share=share, seed=order)}))
    centres = (shown.mu_x[~shown.heldout], shown.mu_y[~shown.heldout])
    away = [factor.difference(mu[:, None], mu) for factor, mu in zip(factors(lattice), centres, strict=True)]
    return largest_connected_share(np.hypot(*away), lattice.sigma)
