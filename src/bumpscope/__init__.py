"""bumpscope: watches a diffusion model learn where things are, and says by number what it has learnt and when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bumpscope.store.experiment import Experiment

__version__ = "0.1.0"
# Not `open`, which `from bumpscope import *` would put over Python's own.
__all__ = ["__version__"]


def open(folder: str | Path = "results") -> Experiment:
    """The results of an experiment, for a notebook; nothing is read yet but the table of its runs.

    Args:
        folder: the output folder of the experiment.

    Raises:
        bumpscope.store.tables.TableError: when there are no results in it.
    """
    # Here, since every command imports this module and few need tables.
    from bumpscope.store.experiment import Experiment

    return Experiment(folder)
