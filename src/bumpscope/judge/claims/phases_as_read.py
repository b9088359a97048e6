"""C1-umap: the phases come in order, as the paper reads them from UMAPs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bumpscope.judge.claims.phases_in_order import majority
from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import PHASES, History, RunKey, by_seed, histories
from bumpscope.judge.intervals import proportion_interval
from bumpscope.judge.remedies import CLOSER_PROBES
from bumpscope.judge.verdicts import FEWEST_SEEDS, NEEDED, Bound, Check, Judged, count
from bumpscope.measure.phases import BLIND

ID = "C1-umap"
QUESTION = "Do the phases come in this order when they are read from UMAPs, as in the paper?"
STATEMENT = "As the paper reads UMAPs, training passes three latent phases in order"
STATISTIC = "share of seeds whose latents pass A, B, C in order in UMAPs"
READS: Reads = (("phases", {}),)
FIGURES = ("phases_as_read", "contact_sheet")
CAVEAT = "UMAP draws a circle like a sheet, and may tear an ordered one."
MORE = {"seeds": CLOSER_PROBES, "power: share of checkpoints before C with sight": CLOSER_PROBES}

# Share of the checkpoints before C at which a planted sheet in disorder must be seen.
SIGHT = 0.8


def judge(data: Data) -> Judged:
    """The rule of C1, with phases read from UMAPs as :func:`bumpscope.measure.as_read.as_read` says.

    The verdict is that of the first layer and timestep. Other places, and images that share their noise, are shown.
    Runs that end ordered in part tell nothing either: a UMAP may tear an ordered sheet. The power is the share of the
    checkpoints before C at which a sheet in disorder, planted in the cloud, would be read as B; below 0.8 the claim is
    undetermined.
    """
    phases = data.table("phases")
    phases = phases[phases["dataset"].isin(data.best_timed.index) & phases["latent_phase_umap"].notna()]
    read = _histories(phases[phases["judged"].astype(bool)])
    finished = {key: run for key, run in read.items() if PHASES["C"] in run.latent or PHASES["C"] in run.behaviour}
    torn = [key for key, run in finished.items() if PHASES["C"] not in run.latent and run.partly_ordered[-1]]
    told = {key: run for key, run in finished.items() if run.told and key not in torn}
    shares = by_seed({key: float(run.in_order) for key, run in told.items()})
    seeds, good = len(shares), sum(share == 1 for share in shares)
    where = ", ".join(sorted({f"{run.layer} at t={run.t}" for run in read.values()}))
    checks = [
        count("runs read", len(read)),
        count("runs that reached C", len(finished)),
        count("runs that end ordered in part", len(torn)),
        count("runs in which a B may hide", len(finished) - len(torn) - len(told)),
        count("seeds", seeds, NEEDED, Bound(least=FEWEST_SEEDS)),
        count("seeds in order", good, subject=where),
    ]
    if finished:
        share = float(np.mean(by_seed({key: _sight(phases, key) for key in finished})))
        checks.append(count("power: share of checkpoints before C with sight", share, NEEDED, Bound(least=SIGHT)))
    checks += majority(finished, told)
    checks += _shown(phases)
    return Judged(proportion_interval(good, seeds), len(told), checks)


def _histories(phases: pd.DataFrame, verdict: str = "latent_phase_umap") -> Mapping[RunKey, History]:
    """The phases of each run as UMAPs show them."""
    own = {"latent_phase": phases[verdict], "order": phases["order_umap"]}
    return histories(phases.assign(**own), phases["dataset"].unique())


def _sight(phases: pd.DataFrame, key: RunKey) -> float:
    """Share of a run's checkpoints before the first C, or of all, that are not blind; 1 where none is before it."""
    dataset, seed = key
    own = phases[phases["judged"].astype(bool) & (phases["dataset"] == dataset) & (phases["seed"] == seed)]
    verdicts = own.sort_values("step")["latent_phase_umap"].tolist()
    before = verdicts[: verdicts.index("C")] if "C" in verdicts else verdicts
    return float(np.mean([verdict != BLIND for verdict in before])) if before else 1.0


def _shown(phases: pd.DataFrame) -> Iterator[Check]:
    """In how many runs a B is seen, and the phases come in order, at other places and with shared noise."""
    for (layer, t, judged), place in phases.groupby(["layer", "t", "judged"], sort=False):
        where = f"{layer} at t={t:g}"
        if not judged:
            yield from _of_place(_histories(place), where)
        shared = place.dropna(subset="latent_phase_umap_shared")
        if len(shared):
            yield from _of_place(_histories(shared, "latent_phase_umap_shared"), f"{where}, shared noise")


def _of_place(found: Mapping[RunKey, History], where: str) -> Iterator[Check]:
    yield count("runs read there", len(found), subject=where)
    yield count("runs with a B", sum(PHASES["B"] in run.latent for run in found.values()), subject=where)
    yield count("runs in order there", sum(run.in_order for run in found.values()), subject=where)
