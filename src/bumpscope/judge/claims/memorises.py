"""F4: the plain network memorises combinations, and some bias makes it learn two tasks."""

from __future__ import annotations

import pandas as pd

from bumpscope.config.model import REFERENCES
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.leaderboard import BASELINE, setting_in_words
from bumpscope.judge.remedies import FACTORISE
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

ID = "F4"
QUESTION = "Does the plain network memorise combinations, while some bias makes it learn two tasks?"
STATEMENT = (
    "The plain network must be shown a share of all combinations (it memorises); with some bias a multiple of the "
    "values of a factor is enough (it learns each factor as a task of its own)"
)
STATISTIC = "exponent of the plain UNet's K* in N, for the setting with the smallest"
READS: Reads = (("leaderboard", {}),)
FIGURES = ("factorisation",)
CAVEAT = "The exponent rests on few numbers of positions, N."
MORE = {"settings with exponents of the plain UNet and another arm": FACTORISE}
# Between 1, a multiple of N, and 2, a share of N².
HALFWAY = 1.5
EXPONENT = ["exponent", "exponent_low", "exponent_high"]
SETTING = ["image_size", "training_steps", "design"]


def judge(data: Data) -> Judged:
    """Exponents d ln K* / d ln N of the plain UNet and of the arm whose interval ends lowest, of those with five seeds.

    Supported when the interval of the first lies above 1.5 and that of the second below. Contradicted when the first
    lies below 1.5, or when even that of the second lies above. The factorised reference does not count: it is
    factorised by construction. Image sizes, lengths of training, and designs of even spacing and of random order are
    judged apart: each of these settings must support, and one is enough to contradict.
    """
    table = data.table("leaderboard")
    known = table[~table["arm"].isin(REFERENCES)].dropna(subset=EXPONENT)
    judged = [
        _of_setting(
            setting_in_words(own.iloc[0].to_dict()),
            own.drop_duplicates("arm").set_index("arm"),
            own.groupby("arm")["seeds"].max(),
        )
        for _, own in known.groupby(SETTING, sort=False)
        if BASELINE in set(own["arm"]) and own["arm"].nunique() > 1
    ]
    needed = count("settings with exponents of the plain UNet and another arm", len(judged), NEEDED, Bound(least=1))
    checks = [needed, *(check for _, of_setting in judged for check in of_setting)]
    runs = int(known.loc[known["arm"] == BASELINE, "runs"].sum())
    return Judged(min((plain for plain, _ in judged), default=UNKNOWN), runs, checks)


def _of_setting(place: str, arms: pd.DataFrame, seeds: pd.Series) -> tuple[Interval, list[Check]]:
    """The exponent of the plain UNet, and the checks of both arms.

    Args:
        seeds: arm -> how many its exponent rests on.
    """
    rows = {str(row["arm"]): row for row in arms.reset_index().to_dict("records")}
    exponents: dict[str, Interval] = {
        name: (row[EXPONENT[0]], row[EXPONENT[1]], row[EXPONENT[2]]) for name, row in rows.items()
    }
    # An arm of fewer seeds would stand in the way of one that can be judged.
    best = min(
        (name for name in rows if name != BASELINE),
        key=lambda name: (seeds[name] < FEWEST_SEEDS, exponents[name][2]),
    )
    checks = []
    for name, memorises in ((BASELINE, True), (best, False)):
        subject = f"{name}, {place}"
        above, below = Bound(above=HALFWAY), Bound(below=HALFWAY)
        checks.append(count("seeds", int(seeds[name]), NEEDED, Bound(least=FEWEST_SEEDS), subject))
        checks.append(estimate("exponent", exponents[name], SUPPORTS, above if memorises else below, subject))
        checks.append(estimate("exponent", exponents[name], CONTRADICTS, below if memorises else above, subject))
    others = [name for name in rows if name not in (BASELINE, best)]
    checks += [estimate("exponent", exponents[name], subject=f"{name}, {place}") for name in others]
    return exponents[BASELINE], checks
