"""Which figures there are, and what they are about."""

from __future__ import annotations

import pkgutil

from bumpscope.show import figures

# In the order in which a reader needs them.
TOPICS = ("Behaviour", "Phases", "Representation", "Imbalance", "Training")


def names() -> list[str]:
    """Names of all figures, which are those of the modules that draw them; sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(figures.__path__) if module.name != "style")
