"""The layer and timestep of a run that figures look at; a module of its own, since its importers read the verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from bumpscope.store.results import in_network_order
from bumpscope.store.run import Run


def judged_place(run: Run, present: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
    """The layer and timestep at which the run's last latent verdict was read.

    Args:
        present: the (layer, t) to choose from. If the verdict was read at none of them, the first layer of the network
            at its noisiest timestep is taken.

    Returns:
        None if ``present`` is empty.
    """
    places = set(present)
    if run.has("phases"):
        last = run.table("phases", ["layer", "t"], judged=True).iloc[-1]
        if (last["layer"], last["t"]) in places:
            return str(last["layer"]), int(last["t"])
    if not places:
        return None
    first = in_network_order(layer for layer, _ in places)[0]
    return first, max(int(t) for layer, t in places if layer == first)
