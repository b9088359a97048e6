"""One run of a finished experiment: its tables, images, activations and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.config.steps import Train
from bumpscope.store.names import XY, Names
from bumpscope.store.schemas import IMAGE, TABLES, VECTOR
from bumpscope.store.selection import UnknownName, as_list, chosen_columns, condition, judged, unknown
from bumpscope.store.tables import TableError, read_block, read_checkpoint_metadata, read_table

# Columns that tell the runs of an experiment apart, and their dtypes.
KEYS = {"run": "str", "dataset": "str", "seed": "int64"}
# Tables that hold rows of a single run, or of its dataset.
OF_A_RUN = [name for name, table in TABLES.items() if "{" in table.path or {"run", "step"} <= set(table.names)]


def missing(folder: Path, table: str, **where: str) -> TableError:
    """The error of a table that does not exist; it says what makes the table.

    Args:
        where: what stands in place of names in the table's path.
    """
    path = TABLES[table].path
    for name, value in where.items():
        path = path.replace(f"{{{name}}}", value)
    row = TABLES[table].row
    cure = row.split("; ")[-1] if "made by" in row else "run the workflow to its end"
    return TableError(f"{folder / path}: is missing; {cure}")


class Run:
    """One run: its tables as attributes (``run.behaviour``), its images and activations as arrays.

    Attributes:
        name: its id, such as ``balanced-seed0``.
        dataset, seed: the dataset and the seed that it was trained with.
        weights: raw or ema, the weights that verdicts are read from.
        info: its row of table ``runs``.
        names: of the factors of its world.
        folder: the folder of its checkpoints and tables.
    """

    def __init__(self, root: Path, info: Mapping[str, Any]):
        self.name, self.dataset, self.seed = str(info["run"]), str(info["dataset"]), int(info["seed"])
        self.weights = str(info["weights"])
        self.info = dict(info)
        self.names = Names.parse(str(info.get("factors") or XY))
        self.folder = root / str(info["path"])
        self._root = root

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):  # Python and notebooks probe for such names
            raise AttributeError(name)
        if name not in OF_A_RUN:
            raise AttributeError(unknown("table of a run", name, OF_A_RUN))
        return self.table(name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.tables})

    def __repr__(self) -> str:
        shown = ("image_size", "dx", "dy", "boundary", "training_steps")
        return f"Run {self.name} ({', '.join(f'{key} {self.info[key]}' for key in shown)}): {', '.join(self.tables)}"

    @property
    def tables(self) -> list[str]:
        """Names of its tables that exist."""
        return [name for name in OF_A_RUN if self.has(name)]

    def has(self, table: str) -> bool:
        """Whether one of its tables exists, in any variant of the probe.

        Raises:
            UnknownName: when a run has no table of this name.
        """
        return bool(self._files(table))

    def path(self, table: str, variant: str = "") -> Path:
        """The file of one of its tables, whether it exists or not.

        Args:
            variant: variant of the probe, for tables of ``snakemake sensitivity``.

        Raises:
            UnknownName: when a run has no table of this name.
        """
        names = {"path": self.info["path"], "dataset": self.dataset, "variant": variant}
        return self._root / TABLES[_known(table)].path.format(**names)

    def table(
        self, name: str, columns: Sequence[str] | None = None, *, filters: Any = None, **where: Any
    ) -> pd.DataFrame:
        """One of its tables, or part of it, without the columns run, dataset and seed.

        Tables of ``snakemake sensitivity`` have a column variant in front. Of images drawn with other weights than the
        judged ones there are rows only where ``weights`` asks for them: ``weights=["raw", "ema"]``. Arguments and
        errors are those of :meth:`bumpscope.store.results.Results.table`.
        """
        shared = {"run": self.name} if "run" in TABLES[_known(name)].names else {}
        rows = condition(name, judged(name, self.weights) | where | shared, filters, self.names)
        wanted = [column for column in chosen_columns(name, columns, self.names) if not shared or column not in KEYS]
        frames = {
            variant: read_table(name, path, wanted, rows, self.name) for variant, path in self._files(name).items()
        }
        if not frames:
            raise missing(self._root, name, path=str(self.info["path"]), dataset=self.dataset)
        for variant, frame in frames.items():
            if variant:
                frame.insert(0, "variant", variant)
        return pd.concat(frames.values(), ignore_index=True)

    def images(self, table: str = "samples", *, filters: Any = None, **where: Any) -> np.ndarray:
        """Images, shape (n, N, N), float32, row is y; one for each row of ``run.table(table, ...)``.

        Args:
            table: ``samples`` for the generated images, ``dataset`` for the images of its lattice.

        Raises:
            UnknownName: for a step, or another value, that no row has.
        """
        pixels = self._selected(table, IMAGE, filters, where)
        size = int(self.info["image_size"])
        return pixels.reshape(len(pixels), size, size)

    def vectors(self, *, filters: Any = None, **where: Any) -> np.ndarray:
        """Activations, shape (n, channels x rows x columns), float32; one for each row of ``run.latents``.

        Those of several layers, t or noises do not compare, so select one of each:
        ``run.vectors(step=1200, layer="halved3", t=39, noise="own")``.

        Raises:
            UnknownName: for a step, or another value, that no row has.
            ValueError: for rows of several layers, t or noises.
        """
        found = self.table("latents", ["layer", "t", "noise"], filters=filters, **where)
        for column in found:
            if len(there := found[column].unique()) > 1:
                listed = ", ".join(str(value) for value in sorted(there))
                raise ValueError(f"{column}: vectors of several do not compare; choose one of {listed}")
        return self._selected("latents", VECTOR, filters, where)

    def block(self, table: str, column: str, filters: Any = None) -> np.ndarray:
        """An image or vector column of one of its tables, shape (rows, numbers), float32.

        Raises:
            TableError: when the table is missing or broken, or the selected rows differ in length.
        """
        path = self.path(table)
        if table in self._left_over or not path.exists():
            raise missing(self._root, table, path=str(self.info["path"]), dataset=self.dataset)
        return read_block(table, path, column, filters, self.name)

    def _selected(self, table: str, kind: str, filters: Any, where: dict[str, Any]) -> np.ndarray:
        rows = condition(table, judged(table, self.weights) | where, filters, self.names)
        try:
            return self.block(table, _column(table, kind), rows)
        except TableError:
            if where and self._files(table):
                self._check_values(table, where)
            raise

    def _check_values(self, table: str, where: dict[str, Any]) -> None:
        there = self.table(table, list(where))
        for column, wanted in where.items():
            for value in as_list(wanted):
                if value is not None and value not in set(there[column]):
                    known = sorted(there[column].dropna().unique())
                    raise UnknownName(unknown(f"{column} in {table} of {self.name}", value, known))

    @property
    def checkpoints(self) -> list[int]:
        """The steps whose weights are kept, increasing."""
        files = (self.folder / "checkpoints").glob("step=*.safetensors")
        return sorted(int(path.stem.removeprefix("step=")) for path in files)

    def checkpoint(self, step: int) -> Path:
        """The file with the weights after ``step`` optimiser steps.

        Raises:
            UnknownName: when this step is not kept.
        """
        if step not in self.checkpoints:
            raise UnknownName(unknown(f"checkpoint of {self.name}", step, self.checkpoints))
        return self.folder / "checkpoints" / f"step={step}.safetensors"

    @cached_property
    def settings(self) -> Train:
        """The settings of its training: sections lattice, model, diffusion and training.

        Raises:
            TableError: when there is no checkpoint to read them from, or it is broken.
        """
        if not self.checkpoints:
            raise TableError(f"{self.folder}/checkpoints: holds no checkpoint; train the run first")
        metadata = read_checkpoint_metadata(self.checkpoint(self.checkpoints[-1]))
        return Train.model_validate_json(metadata["config"])

    @cached_property
    def _left_over(self) -> set[str]:
        """Tables of its own that the experiment does not ask for; an earlier one may have left them in its folder."""
        asked = self.info.get("tables")
        own = {name for name in OF_A_RUN if TABLES[name].path.startswith("{path}/")}
        return own - set(asked.split()) if isinstance(asked, str) else set()

    def _files(self, table: str) -> dict[str, Path]:
        """The existing files of a table: variant of the probe ("" for the experiment's own) -> file."""
        variants = [""]
        if "{variant}" in TABLES[_known(table)].path:
            variants = sorted(path.name for path in self._root.glob("sensitivity/*") if path.is_dir())
        elif table in self._left_over:
            return {}
        paths = {variant: self.path(table, variant) for variant in variants}
        return {variant: path for variant, path in paths.items() if path.exists()}


def _known(table: str) -> str:
    if table not in OF_A_RUN:
        raise UnknownName(unknown("table of a run", table, OF_A_RUN))
    return table


def _column(table: str, kind: str) -> str:
    """The column of a table that holds its images, or its vectors."""
    columns = {name: c.name for name in OF_A_RUN for c in TABLES[name].columns if c.kind == kind}
    if table not in columns:
        raise UnknownName(unknown(f"table of {kind}s", table, columns))
    return columns[table]
