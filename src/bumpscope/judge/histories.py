"""The phases that a run goes through, and how far apart its latent and its behaviour phases begin."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pandas as pd

from bumpscope.judge.onsets import Onset, onset
from bumpscope.measure.phases import BLIND, FULL, NONE, PARTIAL

PHASES = {"A": 0.0, "B": 1.0, "C": 2.0}
# A cloud tells the drawn centre and not the requested one from this kNN R2, and this far above the requested one's.
FOLLOWS_LEAST = 0.4
FOLLOWS_MARGIN = 0.1
# A run: dataset, seed.
RunKey = tuple[str, int]


@dataclass(frozen=True)
class History:
    """The phases of a run: ``latent`` and ``behaviour`` are 0, 1, 2 for A, B, C, else NaN; shape (steps,).

    ``order`` is that of table ``phases``; ``blind`` says at which checkpoints a manifold in disorder would not have
    been seen. The latent verdicts were read at ``layer`` and timestep ``t``.
    """

    steps: np.ndarray
    latent: np.ndarray
    behaviour: np.ndarray
    order: np.ndarray
    blind: np.ndarray
    layer: str
    t: int

    @property
    def in_order(self) -> bool:
        """Whether the latents show A, B and C, each first after the one before, and end in C; ? aside."""
        return in_order(self.latent)

    @property
    def partly_ordered(self) -> np.ndarray:
        """Which latents are ordered at least in part, so that they are not in disorder, even where the verdict is ?."""
        return np.isin(self.order, [PARTIAL, FULL])

    @property
    def window(self) -> slice:
        """The checkpoints at which a B would stand: after the last A that precedes the first C, and before that C."""
        return self._between_a_and(self.latent == PHASES["C"])

    def _between_a_and(self, later: np.ndarray) -> slice:
        """The checkpoints after the last A that precedes the first of these, and before that one."""
        end = int(later.argmax()) if later.any() else len(self.latent)
        before = np.flatnonzero(self.latent[:end] == PHASES["A"])
        return slice(int(before[-1]) + 1 if len(before) else 0, end)

    @property
    def blind_before_order(self) -> bool:
        """Whether a B may have gone unseen in the window."""
        return bool(self.blind[self.window].any())

    @property
    def told(self) -> bool:
        """Whether the verdicts tell if the latents pass A, B, C: not where a B may hide between A and C."""
        if PHASES["B"] in self.latent:
            return True
        if self.blind_before_order:
            return False
        return PHASES["C"] not in self.latent or self.skips_disorder

    @property
    def skips_disorder(self) -> bool:
        """Whether the latents went from no structure to order without room for a disordered manifold between.

        So it is where no verdict is B, and every checkpoint from the first that is not A on is ordered at least in
        part, and that one follows the last A closely enough for its onset to be timed, and none between A and C is
        blind.
        """
        after_a = np.flatnonzero(self.latent != PHASES["A"])
        if PHASES["B"] in self.latent or len(after_a) == 0 or after_a[0] == 0 or self.blind_before_order:
            return False
        # Step 0 has no logarithm: structure at the first trained checkpoint cannot be timed.
        first = after_a[0]
        begin = onset(self.steps[: first + 1], np.arange(first + 1) == first)
        return bool(self.partly_ordered[first:].all()) and begin is not None and begin.timed

    def latent_onset(self, phase: str) -> Onset | None:
        """When the latents first were in ``phase``, B or C, or a later one: in log step the middle of its bracket.

        What is blind, or ``?`` and not ordered in full, is not C, though it may be B. None where a B may have gone
        unseen before the onset of B.
        """
        if phase == "C":
            maybe = np.isnan(self.latent) & ~self.blind & ~np.isin(self.order, [NONE, PARTIAL])
            return onset(self.steps, np.where(maybe, np.nan, self.latent == PHASES["C"]))
        if self.blind[self._between_a_and(self.latent >= PHASES["B"])].any():
            return None
        return _first_in(phase, self.steps, self.latent)

    def behaviour_onset(self, phase: str) -> Onset | None:
        """When the images first showed the behaviour of ``phase`` or of a later one."""
        return _first_in(phase, self.steps, self.behaviour)

    @property
    def kappa(self) -> float:
        """Cohen's kappa of the two verdicts where both are decided; NaN where only one phase occurs."""
        from sklearn.metrics import cohen_kappa_score  # takes as long to import as most figures to draw

        decided = ~(np.isnan(self.latent) | np.isnan(self.behaviour))
        latent, behaviour = self.latent[decided].astype(int), self.behaviour[decided].astype(int)
        if len(np.union1d(latent, behaviour)) < 2:
            return math.nan
        return float(cohen_kappa_score(latent, behaviour))


def follows_the_drawn(drawn: pd.Series, requested: pd.Series) -> pd.Series:
    """Whether clouds tell the centre that was drawn clearly better than the one that was requested, by kNN R2."""
    return (drawn - requested > FOLLOWS_MARGIN) & (drawn >= FOLLOWS_LEAST)


def in_order(verdicts: np.ndarray) -> bool:
    """Whether verdicts 0, 1, 2 (NaN for ?) show all three, each first after the one before, and end in C; ? aside."""
    decided = verdicts[~np.isnan(verdicts)].tolist()
    if not set(PHASES.values()) <= set(decided):
        return False
    first_a, first_b, first_c = (decided.index(phase) for phase in PHASES.values())
    return first_a < first_b < first_c and decided[-1] == PHASES["C"]


def without_return(phases: Sequence[str]) -> bool:
    """Whether the verdicts, left out where there is none, are A, then B, then C, with no return."""
    decided = [phase for phase in phases if phase in PHASES]
    changes = [phase for k, phase in enumerate(decided) if k == 0 or phase != decided[k - 1]]
    return changes == ["A", "B", "C"]


def counted_without_return(verdicts: pd.DataFrame) -> str:
    """How many runs pass A, then B, then C with no return, as ``1 of 5``; columns run, step, phase."""
    strips = verdicts.sort_values("step").groupby("run")["phase"].apply(list)
    return f"{sum(map(without_return, strips))} of {len(strips)}"


def _first_in(phase: str, steps: np.ndarray, verdicts: np.ndarray) -> Onset | None:
    return onset(steps, np.where(np.isnan(verdicts), np.nan, verdicts >= PHASES[phase]))


def histories(phases: pd.DataFrame, datasets: Container[str]) -> dict[RunKey, History]:
    """The history of each run of these datasets.

    Args:
        phases: columns dataset, seed and those of the table ``phases``.
    """
    if phases.empty:
        return {}
    found = {}
    for key, part in phases.sort_values("step").groupby(["dataset", "seed"]):
        run = cast("RunKey", key)
        if run[0] in datasets:
            latent, behaviour = (part[name].map(PHASES).to_numpy(float) for name in ("latent_phase", "behaviour_phase"))
            layer, t = part["layer"].iloc[0], part["t"].iloc[0]
            steps, order = part["step"].to_numpy(), part["order"].to_numpy(object)
            blind = (part["latent_phase"] == BLIND).to_numpy()
            found[run] = History(steps, latent, behaviour, order, blind, str(layer), int(t))
    return found


@dataclass(frozen=True)
class Boundary:
    """Where a phase begins in latents and in behaviour, in the runs in which either of them reached it.

    Attributes:
        differences: ln onset of the latents minus that of the behaviour. What was not reached counts as reached at
            the last step, which makes the difference a bound.
        spacing: mean over runs of the distance in ln steps of the checkpoints around the onsets; infinite where a
            phase was there at the first trained checkpoint.
        bounds: number of differences that are bounds.
        unseen: number of runs left out because the latents do not tell when the phase began.
    """

    differences: dict[RunKey, float]
    spacing: float
    bounds: int
    unseen: int


def boundary(runs: Mapping[RunKey, History], phase: str) -> Boundary:
    """Compare the onsets of ``phase`` (B or C) in latents and behaviour, run by run."""
    differences, spacings, bounds, unseen = {}, [], 0, 0
    for key, history in runs.items():
        both = history.latent_onset(phase), history.behaviour_onset(phase)
        unseen += both[0] is None
        known = [found for found in both if found is not None]
        if len(known) < 2 or all(found.censored for found in known):
            continue
        latent, behaviour = (math.log(found.by if found.censored else found.time) for found in known)
        differences[key] = latent - behaviour
        spacings.append(max(math.log(found.by / found.after) if found.after > 0 else math.inf for found in known))
        bounds += any(found.censored for found in known)
    return Boundary(differences, float(np.mean(spacings)) if spacings else math.nan, bounds, unseen)


def by_seed(values: Mapping[RunKey, float]) -> list[float]:
    """The mean over the runs of each seed, in the order of the seeds."""
    grouped = defaultdict(list)
    for (_, seed), value in values.items():
        grouped[seed].append(value)
    return [float(np.mean(grouped[seed])) for seed in sorted(grouped)]
