"""bumpscope: watches a diffusion model learn where things are, and says by number what it has learnt and when."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bumpscope.version import __version__

if TYPE_CHECKING:
    from bumpscope.experiment import Experiment

# Not `open`, which `from bumpscope import *` would put over Python's own.
__all__ = ["__version__"]


def open(folder: str | Path = "results") -> Experiment:
    """The results of an experiment, for a notebook; nothing is read yet but the table of its runs.

    Args:
        folder: the output folder of the experiment.

    Raises:
        bumpscope.tables.TableError: when there are no results in it.
    """
    # Here, since every command imports this module and few need tables.
    from bumpscope.experiment import Experiment

    return Experiment(folder)
