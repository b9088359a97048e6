"""F1: stripes lower the number of combinations that must be shown."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bumpscope.judge.data import Data, Reads
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.leaderboard import BASELINE, SHARES, drawn_on_designs, in_words
from bumpscope.judge.remedies import FACTORISE
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Judged,
    count,
    estimate,
)

ID = "F1"
QUESTION = "Do images of one coordinate alone lower the number of combinations that must be shown?"
STATEMENT = "Stripes, images of a position of one axis alone, lower the number of combinations that must be shown"
STATISTIC = "share of withheld combinations right with stripes minus without, for the N with the smallest"
ARM = f"{BASELINE} + stripes"
READS: Reads = (("metrics", SHARES), ("leaderboard", {"arm": ARM}))
FIGURES = ("factorisation",)
CAVEAT = "The gain depends on which numbers of combinations were tried."
MORE = {"lattices with and without stripes": FACTORISE}
# A gain that is no more than this would not be worth the stripes.
SLIGHT = 0.1


def judge(data: Data) -> Judged:
    """Shares of withheld combinations that are right with stripes in training, minus those of the plain UNet.

    Of each seed it is the mean over the numbers of shown combinations, K, that all seeds of both have. Accuracy rises
    with K, so that a curve that lies higher needs fewer. Supported when the interval over seeds lies above 0 for every
    N, contradicted when it lies below 0.1 for one. The ratio of K*, which tells at one level of accuracy by how much
    fewer, is shown. After arXiv 2408.13256, where stripes and a few composed examples suffice.
    """
    runs = drawn_on_designs(data.table("runs"), data.table("metrics", **SHARES))
    runs = runs[runs["arm"].isin([BASELINE, ARM])]
    found = [*_gains(runs)]
    checks, estimates = [count("lattices with and without stripes", len(found), NEEDED, Bound(least=1))], []
    for place, gains in found:
        interval = t_interval(gains.to_numpy())
        estimates.append(interval)
        checks.append(count("seeds", len(gains), NEEDED, Bound(least=FEWEST_SEEDS), place))
        checks.append(estimate("share right with stripes minus without", interval, SUPPORTS, Bound(above=0), place))
        bound = Bound(below=SLIGHT)
        checks.append(estimate("share right with stripes minus without", interval, CONTRADICTS, bound, place))
    for row in data.table("leaderboard", **READS[1][1]).to_dict("records"):
        ratio = (row["ratio"], row["ratio_low"], row["ratio_high"])
        checks.append(estimate("K* with stripes over K* without", ratio, subject=in_words(row)))
    return Judged(min(estimates, default=UNKNOWN), len(runs) if found else 0, checks)


def _gains(runs: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    """Each lattice and kind of design in words, with the gains of seeds that trained both, over the K of all these."""
    for _, own in runs.groupby(["setting", "design", "positions"], sort=False):
        with_stripes, without = (
            own[own["arm"] == arm].pivot_table(index="shown", columns="seed", values="heldout")
            for arm in (ARM, BASELINE)
        )
        if len(with_stripes) and len(without):
            gains = (with_stripes - without).dropna(how="all").dropna(how="all", axis=1)
            yield in_words(own.iloc[0].to_dict()), gains.dropna().mean().dropna()
