"""The reader of results: the tables of an experiment's output folder, read when they are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc

from bumpscope.config.model import IMAGE_LAYER, LAYERS
from bumpscope.config.world import parsed
from bumpscope.store.provenance import with_worlds
from bumpscope.store.run import KEYS, Run, missing
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import JUDGED, UnknownName, as_list, chosen_columns, condition, judged, unknown
from bumpscope.store.summary import as_html, as_text
from bumpscope.store.tables import TableError, read_table


class Results:
    """The tables under an output folder.

    ``results.claims`` is a whole table, ``results.table(...)`` part of one, ``results["balanced-seed0"]`` one run.
    Iterating goes through the runs in the order of the configuration. Only tables of the whole experiment are kept in
    memory, until their file changes; tables of a run are read at each call.
    """

    def __init__(self, folder: str | Path):
        """Open an output folder; only table ``runs`` is read.

        Raises:
            TableError: when the folder has no table ``runs``, or a broken one.
        """
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
            UnknownName: when there is no such run.
        """
        if isinstance(name, tuple) and len(name) == 2:
            return self.select(dataset=name[0], seed=name[1])[0]
        if name not in self.names:
            raise UnknownName(unknown("run", name, self.names))
        return self.select(run=name)[0]

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):  # Python and notebooks probe for such names
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

    def code(self, *modules: str) -> tuple[str, ...]:
        """Modules that run on all runs, with the worlds of these where they build them."""
        return with_worlds(modules, {parsed(text).path for text in self._whole("runs")["world"]})

    @property
    def names(self) -> list[str]:
        """Ids of all runs, in the order of the configuration."""
        return [str(name) for name in self._whole("runs")["run"]]

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets, in the order of the configuration."""
        return [str(name) for name in self._whole("runs")["dataset"].unique()]

    @property
    def tables(self) -> dict[str, int]:
        """The tables that exist, and how many runs have each; a table of the whole experiment counts for all runs."""
        runs = self.select()
        counts = {
            name: sum(run.has(name) for run in runs) if "{" in table.path else len(runs) * self.has(name)
            for name, table in TABLES.items()
        }
        return {name: count for name, count in counts.items() if count}

    def has(self, name: str) -> bool:
        """Whether a table exists: for the whole experiment, or for any run.

        Raises:
            UnknownName: when there is no table of this name.
        """
        if name not in TABLES:
            raise UnknownName(unknown("table", name, TABLES))
        if "{" in TABLES[name].path:
            return any(run.has(name) for run in self)
        return (self.folder / TABLES[name].path).exists()

    def files(self, *tables: str) -> list[Path]:
        """The existing files of tables, each once.

        Raises:
            UnknownName: when there is no table of one of these names.
        """
        found = []
        for name in tables:
            if "{" in TABLES[name].path:
                found += [run.path(name) for run in self if run.has(name)]
            elif self.has(name):
                found.append(self.folder / TABLES[name].path)
        return list(dict.fromkeys(found))

    def of_dataset(self, name: str) -> dict[str, Any]:
        """The row of table ``runs`` of the first run of a dataset.

        Raises:
            UnknownName: when there is no such dataset.
        """
        return self.select(dataset=name)[0].info

    def select(self, run: Any = None, dataset: Any = None, seed: Any = None) -> list[Run]:
        """The runs with any of these ids, datasets and seeds (one value or several), in the configuration's order.

        Raises:
            UnknownName: when one of these does not exist, or no run has them all.
        """
        rows = self._whole("runs")
        asked = {"run": run, "dataset": dataset, "seed": seed}
        given = {key: as_list(wanted) for key, wanted in asked.items() if wanted is not None}
        for key, wanted in given.items():
            there = set(rows[key])
            for value in wanted:
                if value not in there:
                    raise UnknownName(unknown(key, value, rows[key].unique()))
        for key, wanted in given.items():
            rows = rows[rows[key].isin(wanted)]
        if given and rows.empty:
            raise UnknownName(f"no run has {' and '.join(f'{key} {_listed(wanted)}' for key, wanted in given.items())}")
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
        """A table of all runs, or part of it, as one frame.

        Args:
            name: name of the table, as in docs/tables.md.
            columns: columns to read; images and activations come from :meth:`Run.images` and :meth:`Run.vectors`.
            run, dataset, seed: the runs to read, one value or several each.
            filters: rows to read, as a pyarrow filter such as ``[("step", ">=", 800)]``.
            where: rows to read, as column = value or column = [values]; None selects empty cells. Of images drawn with
                other weights than the judged ones there are rows only where ``weights`` asks for them.

        Returns:
            The table; if each run has one, those of the runs below each other, with columns run, dataset and seed in
            front. Runs without it are left out with a warning.

        Raises:
            UnknownName: for a table, column, run, dataset or seed that does not exist.
            ValueError: for a value that does not fit its column.
            TableError: when the table is missing or broken.
        """
        if name not in TABLES:
            raise UnknownName(unknown("table", name, TABLES))
        asked = {"run": run, "dataset": dataset, "seed": seed}
        given = {key: wanted for key, wanted in asked.items() if wanted is not None}
        if "{" in TABLES[name].path:
            return self._put_together(name, columns, self.select(**given), filters, where)
        if given:
            self.select(**given)  # so that a run that does not exist is an error and not an empty table
        if columns is None and filters is None and not given and not where:
            return self._whole(name)
        if name in JUDGED and "weights" not in where:
            filters = self._of_judged_weights(name, filters)
        path, rows = self.folder / TABLES[name].path, condition(name, given | where, filters)
        if not path.exists():
            raise missing(self.folder, name)
        return read_table(name, path, chosen_columns(name, columns), rows)

    def _of_judged_weights(self, name: str, filters: Any) -> pc.Expression | None:
        """Filters, with the condition that rows are of the weights that their run is judged by."""
        of_runs = self._whole("runs").groupby("weights")["run"]
        each = [condition(name, judged(name, str(weights)) | {"run": list(runs)}) for weights, runs in of_runs]
        # Runs that are judged by the same weights share a condition.
        either = reduce(or_, (rows for rows in each if rows is not None), pc.scalar(False))
        own = condition(name, {}, filters)
        return either if own is None else own & either

    def _put_together(
        self, name: str, columns: Sequence[str] | None, runs: Sequence[Run], filters: Any, where: Mapping[str, Any]
    ) -> pd.DataFrame:
        """A table that every run, or every dataset, has a file of."""
        of_dataset = "{dataset}" in TABLES[name].path
        if of_dataset:
            runs = list({run.dataset: run for run in runs}.values())
        there = [run for run in runs if run.has(name)]
        if not there:
            raise missing(self.folder, name)
        if len(there) < len(runs):
            left_out = [run.name for run in runs if run not in there]
            warnings.warn(f"table {name} is missing for {_listed(left_out)}; left out", stacklevel=3)
        keys = {"dataset": "str"} if of_dataset else KEYS
        wanted = None if columns is None else [column for column in as_list(columns) if column not in keys]
        frames = []
        for run in there:
            frame = run.table(name, wanted, filters=filters, **where)
            for place, (key, kind) in enumerate(keys.items()):
                frame.insert(place, key, pd.Series(run.info[key], frame.index, dtype=kind))
            frames.append(frame)
        return pd.concat(frames, ignore_index=True)

    def _whole(self, name: str) -> pd.DataFrame:
        """A table of the whole experiment, of judged weights; read again when its file has changed."""
        path = self.folder / TABLES[name].path
        if not path.exists():
            raise missing(self.folder, name)
        stamp = path.stat().st_mtime_ns
        if name not in self._kept or self._kept[name][0] != stamp:
            rows = self._of_judged_weights(name, None) if name in JUDGED else None
            self._kept[name] = stamp, read_table(name, path, None, rows)
        # pandas copies columns on write, so what the caller changes does not change the kept frame.
        return self._kept[name][1].copy(deep=False)


def in_network_order(layers: Iterable[str]) -> list[str]:
    """Different layers in the order in which the denoiser computes them, the images last."""
    return sorted(set(layers), key=[*LAYERS, IMAGE_LAYER].index)


def _listed(values: Sequence[object], shown: int = 5) -> str:
    more = f" and {len(values) - shown} more" if len(values) > shown else ""
    return ", ".join(str(value) for value in values[:shown]) + more
