"""C2: each latent phase goes with one behaviour."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bumpscope.judge.data import Data, Reads
from bumpscope.judge.histories import Boundary, boundary, by_seed
from bumpscope.judge.intervals import t_interval
from bumpscope.judge.remedies import CHECKPOINTS, LONGER
from bumpscope.judge.verdicts import (
    CONTRADICTS,
    FEWEST_SEEDS,
    NEEDED,
    NONE,
    SUPPORTS,
    UNKNOWN,
    Bound,
    Check,
    Judged,
    count,
    estimate,
)

ID = "C2"
QUESTION = "Does each latent phase come with one behaviour of the model?"
STATEMENT = "Each latent phase goes with one behaviour: several bumps, one in the wrong place, one in the right place"
STATISTIC = "ln onset of the latent phase minus ln onset of the behaviour, at the boundary (B or C) further apart"
READS: Reads = (("phases", {"judged": True}),)
FIGURES = ("behaviour_mix", "phases")
CAVEAT = "Onsets lie between two checkpoints, and are known no better."
MORE = {"ln distance of checkpoints": CHECKPOINTS, "differences that are bounds": LONGER, "seeds": LONGER}

# Onsets within this ratio of each other go together.
TOGETHER = math.log(1.5)


def judge(data: Data) -> Judged:
    """Difference of ln onset, latent minus behaviour, at both boundaries (into B, into C).

    A phase that only one of the two reached counts as reached at the last step: a bound on the difference. Runs whose
    latents may have been in B unseen before the first B or C are left out of the boundary into B. Supported
    when at both boundaries the interval lies within a ratio of 1.5, no difference is a bound, and the checkpoints
    around the onsets are no further apart than that. Contradicted when at either boundary the interval lies outside by
    more than the distance of the checkpoints, so that it cannot be what parts the onsets. The estimate is that of the
    boundary further apart.
    """
    passed = data.histories
    both = {phase: boundary(passed, phase) for phase in "BC"}
    checks = [count("balanced runs on a plane", len(passed))]
    for phase, found in both.items():
        checks += _checks(phase, found)
    kappas = by_seed({key: history.kappa for key, history in passed.items() if not math.isnan(history.kappa)})
    checks += [estimate("kappa of the two verdicts", t_interval(kappas))] if kappas else []
    reached = [found.differences for found in both.values() if found.differences]
    intervals = [t_interval(by_seed(differences)) for differences in reached]
    worst = max(intervals, key=lambda interval: abs(interval[0]), default=UNKNOWN)
    return Judged(worst, len({key for differences in reached for key in differences}), checks)


def _checks(phase: str, found: Boundary) -> Iterator[Check]:
    seeds = by_seed(found.differences)
    if phase == "B":
        yield count("runs in which a B may hide", found.unseen, subject=phase)
    yield count("seeds", len(seeds), NEEDED, Bound(least=FEWEST_SEEDS), phase)
    if not seeds:
        return
    interval = t_interval(seeds)
    _, low, high = interval
    yield count("runs compared", len(found.differences), subject=phase)
    yield estimate("difference of ln onset", interval, SUPPORTS, Bound(least=-TOGETHER, most=TOGETHER), phase)
    yield count("differences that are bounds", found.bounds, SUPPORTS, NONE, phase)
    # Checkpoints exactly a ratio of 1.5 apart are close enough.
    yield count("ln distance of checkpoints", found.spacing, SUPPORTS, Bound(most=TOGETHER + 1e-9), phase)
    beyond = max(low, -high) - found.spacing
    yield count("least difference beyond this distance", beyond, CONTRADICTS, Bound(above=TOGETHER), phase)
