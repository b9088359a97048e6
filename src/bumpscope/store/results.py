"""What a finished experiment left in its output folder, read when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bumpscope.config.model import IMAGE_LAYER, LAYERS
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import read_block, read_matching, read_table


class Run(NamedTuple):
    """What tells a run from the others: a few columns of table ``runs``."""

    run: str
    dataset: str
    seed: int
    boundary: str
    image_size: int


class Results:
    """The tables under an output folder.

    Tables over all runs are read once and kept; the tables of a single run are read at each call and never kept, so
    that memory does not grow with the number of runs. Of ``metrics``, which has every number of every run, ask for what
    is needed: :meth:`select`, :meth:`metrics_like`.
    """

    def __init__(self, root: str | Path):
        self.root = Path(root)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Table ``runs``, in the order of the configuration.

        Raises:
            TableError: when it is missing or broken; without it nothing else can be found.
        """
        return read_table("runs", self._global("runs"))

    @cached_property
    def metrics(self) -> pd.DataFrame | None:
        """Table ``metrics``, or None where the file is missing."""
        path = self._global("metrics")
        return read_table("metrics", path) if path.exists() else None

    def metrics_like(self, pattern: str) -> pd.DataFrame:
        """Rows of table ``metrics`` whose name fits a regular expression whole; none where the file is missing.

        Unlike :attr:`metrics` this keeps nothing, and never holds the numbers of all runs but those that fit.
        """
        path = self._global("metrics")
        if not path.exists():
            return pd.DataFrame(columns=TABLES["metrics"].names)
        return read_matching("metrics", path, "metric", pattern)

    @cached_property
    def claims(self) -> pd.DataFrame | None:
        """Table ``claims``, or None where the file is missing."""
        path = self._global("claims")
        return read_table("claims", path) if path.exists() else None

    @cached_property
    def evidence(self) -> pd.DataFrame | None:
        """Table ``evidence``, or None where the file is missing."""
        path = self._global("evidence")
        return read_table("evidence", path) if path.exists() else None

    @cached_property
    def coupling(self) -> pd.DataFrame | None:
        """Table ``coupling``, or None where the file is missing."""
        path = self._global("coupling")
        return read_table("coupling", path) if path.exists() else None

    @cached_property
    def onsets(self) -> pd.DataFrame | None:
        """Table ``onsets``, or None where the file is missing."""
        path = self._global("onsets")
        return read_table("onsets", path) if path.exists() else None

    @cached_property
    def factorisation(self) -> pd.DataFrame | None:
        """Table ``factorisation``, or None where the file is missing."""
        path = self._global("factorisation")
        return read_table("factorisation", path) if path.exists() else None

    @cached_property
    def by_dataset(self) -> pd.DataFrame:
        """Table ``runs`` with the first run of each dataset, indexed by the dataset's name."""
        return self.runs.drop_duplicates("dataset").set_index("dataset")

    def of_dataset(self, name: str) -> dict[str, Any]:
        """What table ``runs`` says of the first run of a dataset."""
        return {str(column): value for column, value in self.by_dataset.loc[name].items()}

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order of the configuration."""
        return list(self.runs["dataset"].unique())

    def path(self, run: str, name: str) -> Path:
        """Where table ``name`` of a run lies.

        Raises:
            KeyError: when there is no such run or table.
        """
        if run not in self._folders:
            raise KeyError(f"no run {run!r} in {self._global('runs')}")
        return self.root / TABLES[name].path.format(path=self._folders[run])

    @cached_property
    def _folders(self) -> dict[str, str]:
        return dict(zip(self.runs["run"], self.runs["path"], strict=True))

    def has(self, run: str, name: str) -> bool:
        """Whether table ``name`` of a run is there; some are made for some runs only."""
        return self.path(run, name).exists()

    def having(self, name: str) -> list[Run]:
        """Runs that have table ``name``, in the order of the configuration."""
        return [run for run in self._listed() if self.has(run.run, name)]

    def _listed(self) -> list[Run]:
        rows = self.runs[list(Run._fields)].itertuples(index=False, name=None)
        return list(map(Run._make, rows))

    def table(self, run: str, name: str, columns: Sequence[str] | None = None, filters: Any = None) -> pd.DataFrame:
        """Plain columns of a run's table, as :func:`bumpscope.store.tables.read_table`."""
        return read_table(name, self.path(run, name), columns, filters, run)

    def block(self, run: str, name: str, column: str, filters: Any = None) -> np.ndarray:
        """An image or vector column of a run's table, (rows, numbers), as :func:`bumpscope.store.tables.read_block`."""
        return read_block(name, self.path(run, name), column, filters, run)

    def phases_of_all_runs(self) -> pd.DataFrame:
        """Tables ``phases`` of all runs but for their reasons, with the columns run, dataset and seed besides."""
        columns = [name for name in TABLES["phases"].names if name != "reason"]
        parts = [
            self.table(run.run, "phases", columns).assign(run=run.run, dataset=run.dataset, seed=run.seed)
            for run in self._listed()
        ]
        return pd.concat(parts, ignore_index=True)

    def select(self, pattern: str) -> pd.DataFrame:
        """Metrics whose name fits a pattern, its fields as columns.

        Args:
            pattern: a metric name with fields in braces, such as ``r2/{layer}/t={t}/pca3/{label}``; a field stands for
                any text without a slash. Columns named t are made whole numbers.

        Returns:
            Columns run, dataset, seed, step, the fields, value; undefined values are left out, and without metrics
            there are no rows.
        """
        fields = re.findall(r"{(\w+)}", pattern)
        columns = ["run", "dataset", "seed", "step", *fields, "value"]
        if not self._global("metrics").exists():
            return pd.DataFrame(columns=columns)
        # The odd pieces of the split are the fields, the even ones stand for themselves.
        pieces = re.split(r"{(\w+)}", pattern)
        text = "".join(f"(?P<{p}>[^/]+)" if k % 2 else re.escape(p) for k, p in enumerate(pieces))
        found = self.metrics_like(text)
        rows = found[found["value"].notna()]
        matches = {name: re.fullmatch(text, name) for name in rows["metric"].unique()}
        fitting = {name: match.groupdict() for name, match in matches.items() if match}
        for field in fields:
            rows = rows.assign(**{field: rows["metric"].map({name: values[field] for name, values in fitting.items()})})
        if "t" in fields:
            rows = rows.assign(t=rows["t"].astype("int64"))
        return rows[columns].reset_index(drop=True)

    def _global(self, name: str) -> Path:
        return self.root / TABLES[name].path


def in_network_order(layers: Iterable[str]) -> list[str]:
    """Different layers in the order in which the denoiser computes them, the images last."""
    return sorted(set(layers), key=[*LAYERS, IMAGE_LAYER].index)
