"""bumpscope: watches a diffusion model learn where things are, and says by number what it has learnt and when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bumpscope.denoise.denoiser import Denoiser
    from bumpscope.store.results import Results
    from bumpscope.store.run import Run

__version__ = "0.1.0"
# Not `open`, which `from bumpscope import *` would put over Python's own.
__all__ = ["__version__"]

# Functions import what they need: every command imports this module, and pandas and torch take long to load.


def open(folder: str | Path = "results") -> Results:
    """Open the results of an experiment; only the table of its runs is read.

    Args:
        folder: the output folder of the experiment.

    Raises:
        bumpscope.store.tables.TableError: when there are no results in it.
    """
    from bumpscope.store.results import Results

    return Results(folder)


def network(run: Run, step: int, weights: str = "ema") -> Denoiser:
    """The denoiser of a run after ``step`` optimiser steps, on the CPU and in evaluation mode.

    Args:
        run: a run of :func:`open`, such as ``runs["balanced-seed0"]``.
        step: a step of ``run.checkpoints``.
        weights: ``ema`` for the moving average of the weights, ``raw`` for the weights themselves.

    Raises:
        bumpscope.store.selection.UnknownName: when this step is not kept, or there are no such weights.
        bumpscope.store.files.FileError: when the weights do not fit the denoiser of the current code.
    """
    from bumpscope.probe.checkpoint import Checkpoints
    from bumpscope.store.selection import UnknownName, unknown

    path = run.checkpoint(step)
    if weights not in ("ema", "raw"):
        raise UnknownName(unknown("weights", weights, ("ema", "raw")))
    trained = run.settings
    return Checkpoints(
        path.parent,
        trained.lattice,
        trained.model,
        trained.diffusion,
        run.seed,
        run.name,
        denoiser=trained.denoiser,
    ).load(step, weights)
