"""Where a run's latents are looked at. A module of its own, since what imports it reads the verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from bumpscope.store.results import Results, in_network_order


def judged_place(results: Results, run: str, present: Iterable[tuple[str, int]]) -> tuple[str, int] | None:
    """Layer and timestep of a run to look at: where its last latent verdict was read.

    Args:
        present: the (layer, t) there are; of these the first layer of the network at its noisiest timestep where
            no verdict was read at any of them.

    Returns:
        None without any.
    """
    places = set(present)
    if results.has(run, "phases"):
        last = results.table(run, "phases", ["step", "layer", "t"]).sort_values("step").iloc[-1]
        if (last["layer"], last["t"]) in places:
            return str(last["layer"]), int(last["t"])
    if not places:
        return None
    first = in_network_order(layer for layer, _ in places)[0]
    return first, max(int(t) for layer, t in places if layer == first)
