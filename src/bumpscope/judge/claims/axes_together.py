"""C5: with imbalanced data, x and y are learnt together."""

from __future__ import annotations

from bumpscope.judge.data import Data, Reads
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    NONE,
    SUPPORTS,
    UNDETERMINED,
    UNKNOWN,
    Bound,
    Judged,
    count,
    estimate,
)

ID = "C5"
STATEMENT = "With imbalanced data x and y are still learnt together: learning is coupled, not factorised"
STATISTIC = "coupling index of the label effects: 0 factorised, 1 coupled"
EFFECTS = {"measure": "effects", "reference": "none"}
READS: Reads = (("coupling", EFFECTS),)
FIGURES = ("coupling_index", "imbalance_curves", "onset_map", "rare_common", "learning_and_geometry")


def judge(data: Data) -> Judged:
    """The coupling index of the label effects, over all imbalanced datasets whose verdict is determined.

    Contradicted when one of them is factorised or reversed; supported when all are coupled; partial coupling decides
    nothing. The estimate is that of the dataset whose nulls differ most clearly; ``runs`` counts its seeds.
    """
    rows = data.table("coupling", **EFFECTS)
    verdicts = rows["verdict"]
    coupled, apart = (verdicts == "coupled").sum(), verdicts.isin(["factorised", "reversed"]).sum()
    other = len(rows) - coupled - (verdicts == UNDETERMINED).sum()
    checks = [
        count("imbalanced datasets", len(rows)),
        count("datasets that are coupled", coupled, SUPPORTS, Bound(least=1)),
        count("datasets with another verdict", other, SUPPORTS, NONE),
        count("datasets that are factorised or reversed", apart, CONTRADICTS, Bound(least=1)),
    ]
    if rows.empty:
        return Judged(UNKNOWN, 0, checks)
    records = rows.to_dict("records")
    for row in records:
        checks.append(count("seeds", row["runs"], subject=row["dataset"]))
        index = (row["coupling"], row["low"], row["high"])
        checks.append(estimate("coupling index", index, subject=f"{row['dataset']} ({row['verdict']})"))
        nulls = (row["null_gap"], row["null_low"], row["null_high"])
        checks.append(estimate("ln difference of the nulls", nulls, subject=row["dataset"]))
    clarity = rows["null_gap"].abs() / (rows["null_high"] - rows["null_low"])
    clearest = records[int(clarity.fillna(-1.0).to_numpy().argmax())]
    return Judged((clearest["coupling"], clearest["low"], clearest["high"]), int(clearest["runs"]), checks)
