"""Rows that figures draw: numbers of checkpoints, and the first few of many datasets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from bumpscope.store.names import Names
from bumpscope.store.results import Results

Item = TypeVar("Item")
# Columns that most figures have, with their meaning; the page of figures explains them once.
RUN = dict.fromkeys(("run", "dataset", "seed"), "")
CHECKPOINT = RUN | {"step": ""}
PLACE = dict.fromkeys(("layer", "t"), "")


def measured(results: Results, quantity: str | Sequence[str], *fields: str, **where: Any) -> pd.DataFrame:
    """Defined numbers of table ``metrics``, as columns run, dataset, seed, step, quantity, ``fields``, value.

    Args:
        fields: further columns to keep.
        where: column = value, a list of values, or None for an empty cell.
    """
    columns = [*CHECKPOINT, "quantity", *fields, "value"]
    if not results.has("metrics"):
        return pd.DataFrame(columns=columns)
    rows = results.table("metrics", columns, quantity=quantity, **where).dropna(subset="value")
    return rows.astype({"t": int} if "t" in fields else {}).reset_index(drop=True)


def correct_images(results: Results) -> pd.DataFrame:
    """Share of the images at seen centres that have one bump in the right place, as by :func:`measured`."""
    return measured(results, "share_correct", split="seen", bin=None)


def of_each_run(results: Results, table: str, columns: Sequence[str], **where: Any) -> pd.DataFrame:
    """The rows of a table of all runs that have it, with the columns run, dataset and seed in front."""
    parts = [
        run.table(table, columns, **where).assign(run=run.name, dataset=run.dataset, seed=run.seed)
        for run in results
        if run.has(table)
    ]
    found = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
    return found.reindex(columns=[*RUN, *columns])


def by_dataset(results: Results) -> pd.DataFrame:
    """Table ``runs`` with the first run of each dataset, indexed by the dataset."""
    return results.runs.drop_duplicates("dataset").set_index("dataset")


def first(names: Iterable[Item], limit: int, what: str) -> tuple[list[Item], str]:
    """The first ``limit`` different names, and a sentence that says so where some are left out."""
    found = list(dict.fromkeys(names))
    shown = "the first" if limit == 1 else f"the first {limit}"
    return found[:limit], "" if len(found) <= limit else f"Shown: {shown} of {len(found)} {what}."


def over_training(data: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows of the datasets that were measured at several checkpoints, and a sentence where others are left out.

    A single checkpoint shows no course; all are shown where no dataset has more.
    """
    several = data.groupby("dataset")["step"].transform("nunique") > 1
    if several.all() or not several.any():
        return data, ""
    left_out = data.loc[~several, "dataset"].nunique()
    return data[several], f"Not shown: {left_out} dataset{'' if left_out == 1 else 's'} probed at one checkpoint."


def that_fit(heights: Sequence[float], room: float) -> int:
    """How many blocks of these heights stand one above another in ``room`` inches; one at least."""
    return max(1, int((np.cumsum(heights) <= room).sum()))


def listed(parts: Sequence[str], limit: int = 4) -> str:
    """A part of a sentence for each dataset, separated by semicolons; those beyond ``limit`` are counted."""
    rest = len(parts) - limit
    return "; ".join(parts[:limit]) + (f"; and {rest} more" if rest > 0 else "")


def columns_of(columns: Iterable[str], names: Names) -> list[str]:
    """Columns of a figure, which are written as for x and y, in a world with these factors."""
    instead = {"x": list(names), "y": [], "xy": names.pairs}
    found: list[str] = []
    for column in columns:
        parts = column.split("_")
        about = next((part for part in parts if part in instead), None)
        named = [column] if about is None else ["_".join(n if p == about else p for p in parts) for n in instead[about]]
        found += named
    return found


def factors_in(data: pd.DataFrame) -> list[str]:
    """The factors whose requests a figure's data hold."""
    return [str(column).removeprefix("mu_") for column in data.columns if str(column).startswith("mu_")]


def alone_and_paired(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Factors, the shortest names first, and pairs of them, of names such as x, size and x_size."""
    ordered = sorted(set(names), key=lambda name: (len(name), name))
    both = {pair for a in ordered for b in ordered if a != b for pair in (a + b, f"{a}_{b}")}
    return [name for name in ordered if name not in both], [name for name in ordered if name in both]
