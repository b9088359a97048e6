"""Which figures there are, and what they are about."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from bumpscope.show import figures

# In the order in which a reader needs them.
TOPICS = ("Behaviour", "Phases", "Representation", "Imbalance", "Training")

# The first figure of the report, and those that it shows with the claims; the others are its appendix.
OPENING = "training_strip"
MAIN = (
    OPENING, "behaviour_mix", "places", "decodability", "event_order", "imbalance_curves", "prediction",
)  # fmt: skip


def names() -> list[str]:
    """Names of all figures, which are those of the modules that draw them; sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(figures.__path__))


def figure(name: str) -> ModuleType:
    """The module that draws a figure: its title, ``CAPTION``, ``select``, ``draw`` and ``finding``."""
    return importlib.import_module(f"bumpscope.show.figures.{name}")


def title(module: ModuleType) -> str:
    """The first line of a module's docstring, without its full stop."""
    return (module.__doc__ or "").strip().splitlines()[0].rstrip(".")
