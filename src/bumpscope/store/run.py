"""One run of a finished experiment for a notebook: its tables, images, activations and networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bumpscope.config.settings import StepSettings
from bumpscope.store.schemas import IMAGE, TABLES, VECTOR
from bumpscope.store.selection import UnknownName, chosen_columns, condition, unknown
from bumpscope.store.tables import TableError, read_block, read_checkpoint_metadata, read_table

if TYPE_CHECKING:
    from torch import nn

# What tells the runs of an experiment apart.
KEYS = ("run", "dataset", "seed")
# Tables that hold rows of a single run, or of its dataset.
OF_A_RUN = [name for name, table in TABLES.items() if "{" in table.path or {"run", "step"} <= set(table.names)]


def missing(folder: Path, table: str) -> TableError:
    """The error of a table that is not there, with what makes it."""
    row = TABLES[table].row
    cure = row.split("; ")[-1] if "made by" in row else "run the workflow to its end"
    return TableError(f"{folder / TABLES[table].path}: is missing; {cure}")


class Run:
    """One run: its tables as attributes (``run.behaviour``), its images and activations as arrays, its networks.

    Attributes:
        name: its id, such as ``balanced-seed0``.
        dataset, seed: what it was trained on, and with which seed.
        info: its row of table ``runs``.
        folder: where its checkpoints and tables lie.
    """

    def __init__(self, root: Path, info: Mapping[str, Any]):
        self.name, self.dataset, self.seed = str(info["run"]), str(info["dataset"]), int(info["seed"])
        self.info = pd.Series(dict(info), name=self.name)
        self.folder = root / str(info["path"])
        self._root = root

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_"):  # Python and notebooks look for these to know what an object can do
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
        """Names of its tables that are there."""
        return [name for name in OF_A_RUN if self.places(name)]

    def places(self, table: str) -> dict[str, Path]:
        """Where a table of this run lies, as far as it is there: variant of the probe ("" for its own) -> file."""
        pattern, variants = TABLES[table].path, [""]
        if "{variant}" in pattern:
            variants = sorted(path.name for path in self._root.glob("sensitivity/*") if path.is_dir())
        names = {"path": self.info["path"], "dataset": self.dataset}
        paths = {variant: self._root / pattern.format(variant=variant, **names) for variant in variants}
        return {variant: path for variant, path in paths.items() if path.exists()}

    def table(
        self, name: str, columns: Sequence[str] | None = None, *, filters: Any = None, **where: Any
    ) -> pd.DataFrame:
        """Rows of one of its tables, as :meth:`.experiment.Experiment.table` but without run, dataset, seed.

        Raises:
            UnknownName, ValueError, TableError: as there.
        """
        if name not in OF_A_RUN:
            raise UnknownName(unknown("table of a run", name, OF_A_RUN))
        shared = {"run": self.name} if "run" in TABLES[name].names else {}
        rows = condition(name, where | shared, filters)
        wanted = [column for column in chosen_columns(name, columns) if not shared or column not in KEYS]
        frames = {variant: read_table(name, path, wanted, rows) for variant, path in self.places(name).items()}
        if not frames:
            raise missing(self._root, name)
        for variant, frame in frames.items():
            if variant:
                frame.insert(0, "variant", variant)
        return pd.concat(frames.values(), ignore_index=True)

    def images(self, table: str = "samples", *, filters: Any = None, **where: Any) -> np.ndarray:
        """Images, shape (n, N, N), float32, row is y; one for each row of ``run.table(table, ...)``.

        Args:
            table: ``samples`` for what was generated, ``dataset`` for the images of its lattice.
        """
        pixels = self._block(table, IMAGE, filters, where)
        size = int(self.info["image_size"])
        return pixels.reshape(len(pixels), size, size)

    def vectors(self, *, filters: Any = None, **where: Any) -> np.ndarray:
        """Activations, shape (n, channels x rows x columns), float32; one for each row of ``run.latents``.

        Layers differ in length, so name one; rows that can be compared have one step, t and noise:
        ``run.vectors(step=1600, layer="down3", t=239, noise="own")``.
        """
        return self._block("latents", VECTOR, filters, where)

    def _block(self, table: str, kind: str, filters: Any, where: Mapping[str, Any]) -> np.ndarray:
        columns = {name: c.name for name in OF_A_RUN for c in TABLES[name].columns if c.kind == kind}
        if table not in columns:
            raise UnknownName(unknown(f"table of {kind}s", table, columns))
        rows, places = condition(table, where, filters), self.places(table)
        if not places:
            raise missing(self._root, table)
        return read_block(table, places[""], columns[table], rows)

    @property
    def checkpoints(self) -> list[int]:
        """The steps whose weights are kept, increasing."""
        files = (self.folder / "checkpoints").glob("step=*.safetensors")
        return sorted(int(path.stem.removeprefix("step=")) for path in files)

    @cached_property
    def settings(self) -> StepSettings:
        """What it was trained with: sections lattice, model, diffusion and training.

        Raises:
            TableError: when there is no checkpoint that could tell, or it is broken.
        """
        if not self.checkpoints:
            raise TableError(f"{self.folder}/checkpoints: holds no checkpoint; train the run first")
        metadata = read_checkpoint_metadata(self._checkpoint(self.checkpoints[-1]))
        return StepSettings.model_validate_json(metadata["config"])

    def network(self, step: int, weights: str = "ema") -> nn.Module:
        """Its denoiser after ``step`` optimiser steps, on the CPU and in evaluation mode, for probes of your own.

        It answers as :meth:`bumpscope.denoise.unet.UNet.forward`.

        Args:
            weights: ``ema`` for their moving average, ``raw`` for the weights themselves.

        Raises:
            UnknownName: when this step is not kept, or there are no such weights; says what there is.
            TableError: when the weights are not those of the denoiser that the code describes now.
        """
        if step not in self.checkpoints:
            raise UnknownName(unknown(f"checkpoint of {self.name}", step, self.checkpoints))
        if weights not in ("ema", "raw"):
            raise UnknownName(unknown("weights", weights, ("ema", "raw")))
        # Here, since torch takes seconds to import and most notebooks look at tables alone.
        from bumpscope.denoise.denoiser import new_denoiser
        from bumpscope.store.checkpoints import load_weights

        lattice, model, diffusion = self.settings.lattice, self.settings.model, self.settings.diffusion
        assert lattice is not None and model is not None and diffusion is not None
        network = new_denoiser(lattice, model, diffusion, self.seed)
        path = self._checkpoint(step)
        tensors = load_weights(path, weights)
        try:
            network.load_state_dict(tensors)
        except RuntimeError:  # which has a line for each tensor
            raise TableError(f"{path}: is of another denoiser than the code describes; train the run again") from None
        return network.eval()

    def _checkpoint(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"step={step}.safetensors"
