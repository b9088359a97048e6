"""The world that the settings of a dataset name."""

from __future__ import annotations

from functools import lru_cache

from bumpscope.config.lattice import Lattice
from bumpscope.config.section import canonical_json
from bumpscope.store.imports import ImportFault, builder
from bumpscope.worlds.world import World


class WorldError(RuntimeError):
    """A world that cannot be built or used; its one-line message begins with the key at fault."""


def world_of(lattice: Lattice) -> World:
    """The world of a dataset; one object for equal settings.

    Raises:
        WorldError: when there is none of this name, or it has no such keys.
    """
    return _world(canonical_json(lattice.model_dump(mode="json")))


@lru_cache(maxsize=64)  # reading images asks for it again and again
def _world(text: str) -> World:
    lattice = Lattice.model_validate_json(text)
    choice = lattice.world
    try:
        found = builder(choice, "world")(lattice, **choice.keys)
    except ImportFault as error:
        raise WorldError(str(error)) from None
    except Exception as error:  # whatever code from elsewhere raises
        first = (str(error).strip() or "no message").splitlines()[0]
        if isinstance(error, ValueError) and first.startswith("world."):
            raise WorldError(first) from None
        raise WorldError(f"world.kind: {choice.kind} cannot be built ({type(error).__name__}: {first})") from None
    if not isinstance(found, World):
        made = f"world.kind: {choice.kind} makes a {type(found).__name__}"
        raise WorldError(f"{made}; allowed: a World of {World.__module__}")
    return found
