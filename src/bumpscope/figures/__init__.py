"""Figures of the report: each module draws one from the tables."""

from __future__ import annotations

import pkgutil

# What figures are about, in the order in which a reader needs them.
TOPICS = ("Behaviour", "Phases", "Representation", "Imbalance", "Training")


def names() -> list[str]:
    """Names of all figures, which are those of the modules that draw them; sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "style")
