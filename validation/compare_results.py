"""Compare two results folders table by table, value by value.

    python validation/compare_results.py OLD NEW

Rows are matched by order, or by their keys for tables whose order may differ. Values must be equal to the last bit.
Table metrics of versions before 0.2, which had one column of names in text, is translated to the columns of today.
Exits with status 1 if anything differs.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

# Words, and what says by which code and on which machine a table was made.
LEFT_OUT = {"reason", "code", "version", "statement", "statistic"}
KEYS = {
    "metrics": [
        "run",
        "step",
        "quantity",
        "factor",
        "layer",
        "t",
        "space",
        "label",
        "split",
        "noise",
        "weights",
        "bin",
    ],
    "evidence": ["claim", "quantity", "subject"],
}
PLACE = r"(?P<layer>[^/]+)/t=(?P<t>\d+)"
FACTOR = r"(?:_(?P<factor>xy|x|y))?"
SPLIT = "(?P<split>seen|heldout|between|all)"
BIN = r"(?:/(?P<bin>x=\w+,y=\w+))?"
# Patterns of the old names, in the order in which they are tried.
NAMES = [
    rf"outcome/(?P<share>\w+)/{SPLIT}{BIN}",
    rf"(?P<quantity>accuracy)/(?P<distance>[\d.]+px)/{SPLIT}",
    rf"(?P<quantity>accuracy)_(?P<factor>x|y)/{SPLIT}{BIN}",
    rf"(?P<quantity>error|amplitude|width)/{SPLIT}",
    rf"(?P<quantity>effect|use){FACTOR}(?P<end>_low|_high|_permuted)?/t=(?P<t>\d+)/(?P<weights>ema|raw){BIN}",
    rf"(?P<quantity>residual|excess|condition)/t=(?P<t>\d+)/(?P<weights>ema|raw){BIN}",
    rf"(?P<quantity>betti_\d|latent_phase)/{PLACE}",
    rf"(?P<quantity>r2|parallelism){FACTOR}/{PLACE}/(?P<space>\w+)/(?P<label>\w+)(?P<shared>/shared noise)?",
    rf"(?P<quantity>\w+)/{PLACE}/(?P<space>\w+)(?:/(?P<label>requested|realised|shuffled))?(?P<shared>/shared noise)?",
    r"(?P<quantity>latent_phase|behaviour_phase|loss)",
]


def columns_of(name: str) -> dict[str, object]:
    """The columns that stand for an old name of a metric."""
    for pattern in NAMES:
        if match := re.fullmatch(pattern, name):
            found = {key: value for key, value in match.groupdict().items() if value is not None}
            break
    else:
        raise ValueError(f"unknown metric {name}")
    shared, share, distance, end = (found.pop(key, None) for key in ("shared", "share", "distance", "end"))
    if share:
        found["quantity"] = f"share_{share}"
    if distance:
        found["quantity"] += f"_{distance}"
    if end:
        found["quantity"] += end
    if "space" in found:
        found["noise"] = "shared" if shared else "own"
    return found


def translated(metrics: pd.DataFrame) -> pd.DataFrame:
    """Table ``metrics`` in the columns of today."""
    if "metric" not in metrics:
        return metrics
    names = {name: columns_of(name) for name in metrics["metric"].unique()}
    wide = pd.DataFrame.from_dict(names, orient="index", columns=KEYS["metrics"][2:])
    wide["t"] = wide["t"].astype("float64")
    return metrics.join(wide, on="metric").drop(columns="metric")


def plain(path: Path) -> pd.DataFrame:
    """A table without images and vectors, whose bytes are compared as text."""
    table = pq.read_table(path, partitioning=None)
    frame = table.to_pandas()
    for name in frame.columns:
        if len(frame) and isinstance(frame[name].iloc[0], np.ndarray):
            frame[name] = [value.tobytes() for value in frame[name]]
    return frame


def difference(name: str, old: pd.DataFrame, new: pd.DataFrame) -> str:
    """What is different, in a line; nothing where all that the old table has is in the new one."""
    if name == "metrics":
        old, new = translated(old), translated(new)
    missing = [column for column in old.columns if column not in new.columns and column not in LEFT_OUT]
    if missing:
        return f"columns missing: {', '.join(missing)}"
    shared = [column for column in old.columns if column in new.columns and column not in LEFT_OUT]
    old, new = old[shared], new[shared]
    if name in KEYS:
        order = KEYS[name]
        if name == "evidence":
            new = new.merge(old[order].drop_duplicates(), on=order)
        old, new = (table.astype({"t": float}) if "t" in table else table for table in (old, new))
        old, new = (table.sort_values(order, kind="stable", ignore_index=True) for table in (old, new))
    if len(old) != len(new):
        return f"{len(old)} rows against {len(new)}"
    wrong = [
        column
        for column in shared
        if not ((old[column] == new[column]) | (old[column].isna() & new[column].isna())).all()
    ]
    return f"values differ in {', '.join(wrong)}" if wrong else ""


def main(old: Path, new: Path) -> int:
    """Compare all tables of ``old`` with those of ``new``; returns the exit status."""
    same, different = 0, 0
    for path in sorted(old.rglob("*.parquet")):
        name = path.relative_to(old)
        if any(part.startswith(".") for part in name.parts):
            continue
        other = new / name
        told = difference(path.stem, plain(path), plain(other)) if other.exists() else "missing"
        same, different = same + (not told), different + bool(told)
        if told:
            print(f"{name}: {told}")
    print(f"{same} tables equal, {different} different")
    return int(different > 0 or same == 0)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
