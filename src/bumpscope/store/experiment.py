"""The results of an experiment for a notebook: tidy frames of one run or of all, read when they are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bumpscope.store.results import Results
from bumpscope.store.run import KEYS, Run, missing
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import UnknownName, as_list, chosen_columns, condition, unknown
from bumpscope.store.summary import as_html, as_text
from bumpscope.store.tables import TableError, read_table


class Experiment:
    """The tables under an output folder; made by :func:`bumpscope.open`.

    ``runs.claims``, ``runs.behaviour`` and so on are whole tables, ``runs.table(...)`` is a part of one,
    ``runs["balanced-seed0"]`` one run, and ``for run in runs`` goes through all, one at a time. Only tables that there
    is one of (runs, metrics, claims, …) are kept in memory, until their file changes.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).absolute()
        self._kept: dict[str, tuple[int, pd.DataFrame]] = {}
        if not (self.folder / TABLES["runs"].path).exists():
            raise TableError(
                f"{folder}: holds no results (no {TABLES['runs'].path}); run the workflow, or open the folder that its "
                "key output names"
            )
        self._whole("runs")

    def __len__(self) -> int:
        return len(self._whole("runs"))

    def __iter__(self) -> Iterator[Run]:
        return iter(self.select())

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str | tuple[str, int]) -> Run:
        """A run by its id, ``"balanced-seed0"``, or by dataset and seed, ``"balanced", 0``.

        Raises:
            UnknownName: when there is no such run; says which there are.
        """
        if isinstance(name, tuple) and len(name) == 2:
            return self.select(dataset=name[0], seed=name[1])[0]
        if name not in self.names:
            raise UnknownName(unknown("run", name, self.names))
        return self.select(run=name)[0]

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):  # Python and notebooks look for these to know what an object can do
            raise AttributeError(name)
        if name not in TABLES:
            raise AttributeError(unknown("table", name, TABLES))
        return self.table(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables})

    def _ipython_key_completions_(self) -> list[str]:
        return self.names

    def __repr__(self) -> str:
        return as_text(self.folder, self._whole("runs"), self.tables)

    def _repr_html_(self) -> str:
        return as_html(self.folder, self._whole("runs"), self.tables)

    @property
    def names(self) -> list[str]:
        """Ids of all runs, in the order of the configuration."""
        return [str(name) for name in self._whole("runs")["run"]]

    @property
    def tables(self) -> dict[str, int]:
        """The tables that are there, and how many runs have each; those that there is one of have it for all."""
        runs = self.select()
        counts = {name: sum(bool(run.places(name)) for run in runs) for name in TABLES if "{" in TABLES[name].path}
        counts |= {name: len(runs) for name, table in TABLES.items() if (self.folder / table.path).exists()}
        return {name: counts[name] for name in TABLES if counts.get(name)}

    def select(self, run: Any = None, dataset: Any = None, seed: Any = None) -> list[Run]:
        """The runs with any of these ids, datasets and seeds (a value or several each), in the configuration's order.

        Raises:
            UnknownName: when one of these does not exist, or no run has them all.
        """
        rows = self._whole("runs")
        asked = {"run": run, "dataset": dataset, "seed": seed}
        given = {key: as_list(wanted) for key, wanted in asked.items() if wanted is not None}
        for key, wanted in given.items():
            for value in wanted:
                if value not in set(rows[key]):
                    raise UnknownName(unknown(key, value, rows[key].unique()))
        for key, wanted in given.items():
            rows = rows[rows[key].isin(wanted)]
        if rows.empty:
            raise UnknownName(f"no run has {' and '.join(f'{key} {_told(wanted)}' for key, wanted in given.items())}")
        return [Run(self.folder, {str(key): value for key, value in row.items()}) for row in rows.to_dict("records")]

    def table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        *,
        run: Any = None,
        dataset: Any = None,
        seed: Any = None,
        filters: Any = None,
        **where: Any,
    ) -> pd.DataFrame:
        """A table of all runs, or of some, as one tidy frame.

        Args:
            name: of the table, as in docs/tables.md.
            columns: which columns to read; images and activations come from :meth:`Run.images` and
                :meth:`Run.vectors`.
            run, dataset, seed: which runs: a value or several.
            filters: which rows: a filter of pyarrow's, such as ``[("step", ">=", 800)]``.
            where: which rows: column = value, or several of which a row has one; None for an empty cell.

        Returns:
            Columns run, dataset and seed, as far as the table can have them, as categoricals in the order of the
            configuration; then those of the table, for tables of `snakemake sensitivity` after a column variant.

        Raises:
            UnknownName: for a table, column, run, dataset or seed that is not there; says what is.
            ValueError: for a value that its column cannot have.
            TableError: when the table is missing or broken.
        """
        if name not in TABLES:
            raise UnknownName(unknown("table", name, TABLES))
        asked = {"run": run, "dataset": dataset, "seed": seed}
        given = {key: wanted for key, wanted in asked.items() if wanted is not None}
        runs = self.select(**given)
        if "{" in TABLES[name].path:
            return self._put_together(name, columns, runs, filters, where)
        if columns is None and filters is None and not given and not where:
            return _tidy(self._whole(name), runs)
        path, rows = self.folder / TABLES[name].path, condition(name, given | where, filters)
        if not path.exists():
            raise missing(self.folder, name)
        return _tidy(read_table(name, path, chosen_columns(name, columns), rows), runs)

    def metric(self, pattern: str) -> pd.DataFrame:
        """Metrics whose name fits a pattern such as ``r2/{layer}/t={t}/pca3/{label}``, its fields as columns.

        See :meth:`bumpscope.store.results.Results.select`.
        """
        return _tidy(Results(self.folder).select(pattern), self.select())

    def _put_together(
        self, name: str, columns: Sequence[str] | None, runs: Sequence[Run], filters: Any, where: Mapping[str, Any]
    ) -> pd.DataFrame:
        """A table that every run, or every dataset, has a file of."""
        of_dataset = "{dataset}" in TABLES[name].path
        if of_dataset:
            runs = list({run.dataset: run for run in runs}.values())
        keys = ("dataset",) if of_dataset else KEYS
        wanted = None if columns is None else [column for column in as_list(columns) if column not in keys]
        there = [run for run in runs if run.places(name)]
        if not there:
            raise missing(self.folder, name)
        if len(there) < len(runs):
            left_out = [run.name for run in runs if run not in there]
            warnings.warn(f"table {name} is missing for {_told(left_out)}, left out here", stacklevel=3)
        kinds = _kinds(there)
        frames = []
        for run in there:
            frame = run.table(name, wanted, filters=filters, **where)
            for place, key in enumerate(keys):
                frame.insert(place, key, pd.Series(run.info[key], frame.index).astype(kinds[key]))
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def _whole(self, name: str) -> pd.DataFrame:
        """A table that there is one of; read again when its file is another."""
        path = self.folder / TABLES[name].path
        if not path.exists():
            raise missing(self.folder, name)
        stamp = path.stat().st_mtime_ns
        if name not in self._kept or self._kept[name][0] != stamp:
            self._kept[name] = stamp, read_table(name, path)
        # What a reader changes in it stays with the reader: columns are shared until they are written to.
        return self._kept[name][1].copy(deep=False)


def _kinds(runs: Sequence[Run]) -> dict[str, pd.CategoricalDtype]:
    """Categories of the columns that tell runs apart, in the order of these runs; seeds are ordered as numbers."""
    found = {key: list(dict.fromkeys(run.info[key] for run in runs)) for key in KEYS}
    return {"seed": pd.CategoricalDtype(sorted(found.pop("seed")), ordered=True)} | {
        key: pd.CategoricalDtype(values) for key, values in found.items()
    }


def _tidy(frame: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    return frame.astype({key: kind for key, kind in _kinds(runs).items() if key in frame.columns})


def _told(values: Sequence[object], shown: int = 5) -> str:
    more = f" and {len(values) - shown} more" if len(values) > shown else ""
    return ", ".join(str(value) for value in values[:shown]) + more
