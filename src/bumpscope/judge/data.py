"""The tables that claims are judged on, and the runs that most of them look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from bumpscope.judge.controls import balanced_planes
from bumpscope.judge.histories import History, RunKey, histories
from bumpscope.store.names import XY, Names
from bumpscope.store.run import KEYS
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import matching

# Pairs of a table and which of its rows, as in :meth:`bumpscope.store.results.Results.table`.
Reads = tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True)
class Data:
    """Tables by name; those that each run has, such as ``phases``, with the columns run, dataset and seed besides."""

    tables: Mapping[str, pd.DataFrame]

    def table(self, name: str, **where: Any) -> pd.DataFrame:
        """The rows of a table that fit, as by :func:`.selection.matching`; none without the table."""
        found = self.tables.get(name)
        if found is None or found.empty:
            of_each_run = [] if "{" not in TABLES[name].path else list(KEYS)
            return pd.DataFrame(columns=[*of_each_run, *TABLES[name].names])
        return matching(found, **where)

    @cached_property
    def planes(self) -> pd.DataFrame:
        """A row for each balanced dataset on a plane (dx = dy, no skew), indexed by its name; no reference models."""
        return balanced_planes(self.table("runs"))

    @cached_property
    def names(self) -> Names:
        """The factors of these datasets."""
        return XY if self.planes.empty else Names.parse(str(self.planes["factors"].iloc[0]))

    @cached_property
    def with_most_seeds(self) -> pd.DataFrame:
        """Those of :attr:`planes` with the most seeds."""
        return _with_most(self.planes, self.table("runs"), "seed")

    @cached_property
    def best_timed(self) -> pd.DataFrame:
        """Those of :attr:`with_most_seeds` with the most probed checkpoints, and of these those trained as the first.

        A dataset with fewer seeds or checkpoints would blur the onsets of one that was made to time them, and runs of
        another network or training are no further seeds of the same model.
        """
        timed = _with_most(self.with_most_seeds, self.table("phases", judged=True), "step")
        return timed if timed.empty else timed[timed["trained"] == timed["trained"].iloc[0]]

    @cached_property
    def histories(self) -> dict[RunKey, History]:
        """The phases of each run of :attr:`best_timed`."""
        return histories(self.table("phases", judged=True), self.best_timed.index)


def _with_most(planes: pd.DataFrame, table: pd.DataFrame, counted: str) -> pd.DataFrame:
    """The rows of those datasets for which ``table`` has the most different values of ``counted``."""
    if planes.empty or table.empty:
        return planes
    counts = table.groupby("dataset")[counted].nunique().reindex(planes.index, fill_value=0)
    return planes[counts.to_numpy() == counts.max()]
