"""F2: in a hole of withheld combinations the plain network fails, and rendered labels repair it."""

from __future__ import annotations

import pandas as pd

from bumpscope.judge.combinations import RIGHT, SEEN
from bumpscope.judge.controls import datasets
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.intervals import clustered_share_interval, t_interval
from bumpscope.judge.leaderboard import BASELINE, SETTINGS, SHARES, at_last_step
from bumpscope.judge.remedies import FACTORISE
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Check,
    Judged,
    count,
    estimate,
)

ID = "F2"
QUESTION = "Does a network fail on a block of combinations never shown, unless labels are rendered into pixels?"
STATEMENT = (
    "Given the labels alone a network fails on combinations of a withheld block; given labels rendered into pixels it "
    "draws them"
)
STATISTIC = "share right in the block with rendered labels minus that of the plain UNet"
READS: Reads = (("metrics", SHARES),)
FIGURES = ("errors",)
CAVEAT = "One block, one share withheld and one way to render labels were tried."
MORE = {"seeds of both networks": FACTORISE}
REPAIRED = "rendering"


def judge(data: Data) -> Judged:
    """Shares right in the largest block that both networks were trained without, after the last step, seeds paired.

    Supported when the interval of the plain UNet lies below 0.9, that with rendered labels at or above 0.9, and their
    difference above 0. Contradicted when the first lies at or above 0.9, or the second below. After arXiv 2501.18797,
    where decoders with disentangled labels failed and those that render them did not.
    """
    runs = _of_largest_block(data.table("runs")).join(at_last_step(data.table("metrics", **SHARES)), on="run")
    runs = runs.dropna(subset="heldout")
    paired = runs[runs["seed"].map(runs.groupby("seed")["denoiser"].nunique()) == 2]
    seeds = int(paired["seed"].nunique())
    checks = [count("seeds of both networks", seeds, NEEDED, Bound(least=FEWEST_SEEDS))]
    if not seeds:
        return Judged(UNKNOWN, 0, checks)
    checks.append(count("share of the combinations withheld", float(paired["withheld"].iloc[0])))
    shares = paired.pivot_table(index="seed", columns="denoiser", values="heldout")
    for name, wanted, against in (
        (BASELINE, Bound(below=RIGHT), Bound(least=RIGHT)),
        (REPAIRED, Bound(least=RIGHT), Bound(below=RIGHT)),
    ):
        checks += _of_network(name, paired[paired["denoiser"] == name], wanted, against)
    gain = t_interval((shares[REPAIRED] - shares[BASELINE]).to_numpy())
    checks.append(estimate("share right with rendered labels minus that without", gain, SUPPORTS, Bound(above=0)))
    return Judged(gain, len(paired), checks)


def _of_largest_block(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs of both networks that withhold the largest block and agree in everything else, with ``withheld``."""
    names = [BASELINE, REPAIRED]
    found = runs[(runs["holdout"] != "none") & runs["denoiser"].isin(names)]
    found = found[(found["labels"] == "own") & (found["stripes"] == 0)]
    if found.empty:
        return found.assign(withheld=0.0)
    points = found["dataset"].map(datasets(found)["points"])
    found = found.assign(withheld=1 - found["n_images"] / points)
    alike = ["world", *SETTINGS, "dx", "dy", "holdout"]
    both = found[found.groupby(alike, dropna=False)["denoiser"].transform("nunique") == 2]
    largest = both[both["withheld"] == both["withheld"].max()]
    # By number, since a world without dy has none that equals another.
    group = largest.groupby(alike, dropna=False, sort=False).ngroup()
    return largest[group == 0]


def shown_is_learnt(seen: float, subject: str) -> Check:
    """A needed check: a network that does not draw what it was shown tells nothing about what was withheld.

    Args:
        seen: share of the requests for combinations that were shown that it draws right.
    """
    return count("share right of what was shown", seen, NEEDED, Bound(least=SEEN), subject)


def _of_network(name: str, runs: pd.DataFrame, wanted: Bound, against: Bound) -> list[Check]:
    share = clustered_share_interval(runs.groupby("seed")["heldout"].mean().to_numpy(), runs["requests"].sum())
    return [
        shown_is_learnt(runs["seen"].mean(), name),
        estimate("share right in the block", share, SUPPORTS, wanted, name),
        estimate("share right in the block", share, CONTRADICTS, against, name),
    ]
