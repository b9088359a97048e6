"""F1: stripes lower the number of combinations that must be shown."""

from __future__ import annotations

from bumpscope.judge.combinations import FEWEST_SEEDS
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.leaderboard import BASELINE, in_words
from bumpscope.judge.remedies import FACTORISE
from bumpscope.judge.verdicts import CONTRADICTS, NEEDED, SUPPORTS, UNKNOWN, Bound, Judged, count, estimate

ID = "F1"
QUESTION = "Do images of one coordinate alone lower the number of combinations that must be shown?"
STATEMENT = "Stripes, images of a position of one axis alone, lower the number of combinations that must be shown"
STATISTIC = "K* with stripes over that of the plain UNet, for the N with the largest"
ARM = f"{BASELINE} + stripes"
READS: Reads = (("leaderboard", {"arm": ARM}),)
FIGURES = ("factorisation",)
CAVEAT = "K* is read at one share right, 0.9, and between the numbers of combinations that were tried."
MORE = {"lattices with and without stripes": FACTORISE}


def judge(data: Data) -> Judged:
    """K* of the plain UNet with stripes in training over K* without, seeds paired.

    Supported when the interval lies below 1 for every N, contradicted when it lies at or above 1 for one. After arXiv
    2408.13256, where stripes and a few composed examples suffice.
    """
    rows = data.table("leaderboard", **READS[0][1]).dropna(subset="ratio").to_dict("records")
    checks, ratios = [count("lattices with and without stripes", len(rows), NEEDED, Bound(least=1))], []
    for row in rows:
        ratio, place = (row["ratio"], row["ratio_low"], row["ratio_high"]), in_words(row)
        ratios.append(ratio)
        checks.append(count("seeds", row["seeds"], NEEDED, Bound(least=FEWEST_SEEDS), place))
        checks.append(estimate("K* with stripes", (row["k_star"], row["low"], row["high"]), subject=place))
        checks.append(estimate("K* with stripes over K* without", ratio, SUPPORTS, Bound(below=1), place))
        checks.append(estimate("K* with stripes over K* without", ratio, CONTRADICTS, Bound(least=1), place))
    return Judged(max(ratios, default=UNKNOWN), sum(row["runs"] for row in rows), checks)
