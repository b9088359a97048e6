"""Learning curves, and when they cross a level: the time that densities, axes and phases are compared by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

LEVEL = 0.5
# The measure that coupling is judged by: how well a label is known, in px. Half an effect is another skill on every
# lattice (1.8 px at spacings up to 1 px, 3.6 px at 6 px), so that times to half an effect compare yardsticks as well.
RESOLUTION = "resolution"
# The level, px, at which all lattices tell best: at t = 450 and spacings up to 2 px the estimates change with ln s
# about equally between 0.6 and 3.5 px, at 6 px most at 3 px and hardly below 2 px. There the label has 0.3 of its
# effect at 1 px and 0.75 at 6 px: a network need not be perfect to cross it, and its curve is not yet noise.
RESOLUTION_LEVEL = 3.0
# A crossing known only to lie between steps further apart than this cannot be timed.
WIDEST_BRACKET = math.log(1.5)


@dataclass(frozen=True)
class Onset:
    """When a curve first crossed a level: interpolated ``time``, infinite if never; and what it is known from.

    Attributes:
        time: optimiser steps, linear in log step between ``after`` and the next measured step.
        after: last positive step measured below the level before it; 0 if there is none.
        by: first step measured at or above the level; the last step measured if the curve never got there.
    """

    time: float
    after: float
    by: float

    @property
    def censored(self) -> bool:
        return math.isinf(self.time)

    @property
    def timed(self) -> bool:
        """Whether the crossing is bracketed closely enough for its time to mean something."""
        return not self.censored and self.after > 0 and math.log(self.by / self.after) <= WIDEST_BRACKET + 1e-9


def onset(
    steps: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray, level: float = LEVEL
) -> Onset | None:
    """First crossing of ``level`` by a curve, linear in log step.

    The untrained network, step 0, has no logarithm and is left out, and so are undefined values. A curve that is
    already at the level at its first step has that step for a time and ``after`` = 0.

    Returns:
        None when no positive step has a value.
    """
    step, value = _in_order(steps, values)
    if len(step) == 0:
        return None
    above = np.flatnonzero(value >= level)
    if len(above) == 0:
        return Onset(math.inf, float(step[-1]), float(step[-1]))
    first = above[0]
    if first == 0:
        return Onset(float(step[0]), 0.0, float(step[0]))
    share = (level - value[first - 1]) / (value[first] - value[first - 1])
    time = step[first - 1] * (step[first] / step[first - 1]) ** share
    return Onset(float(time), float(step[first - 1]), float(step[first]))


def fitted_onset(
    steps: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray, level: float = LEVEL
) -> Onset | None:
    """Crossing of ``level`` by the best rising curve (isotonic regression), linear in log step.

    The first crossing of a noisy curve comes too early, the more so the more often it is measured; this one does not.
    A curve that never falls has the same onset by :func:`onset`, which says what counts as a value. One that rises
    and falls back for good may have none.

    Returns:
        None when no positive step has a value.
    """
    from sklearn.isotonic import IsotonicRegression  # takes as long to import as most figures to draw

    step, value = _in_order(steps, values)
    return onset(step, IsotonicRegression().fit_transform(step, value), level) if len(step) else None


def crossing(
    measure: str,
    steps: Sequence[int] | np.ndarray,
    values: Sequence[float] | np.ndarray,
    resolution: float = RESOLUTION_LEVEL,
) -> Onset | None:
    """When a learning curve crosses the level of its measure, by :func:`fitted_onset`.

    The level is one half, of the resolution, which falls, ``resolution``.
    """
    if measure != RESOLUTION:
        return fitted_onset(steps, values)
    return fitted_onset(steps, -np.log(np.asarray(values, dtype=np.float64)), -math.log(resolution))


def _in_order(steps: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The positive steps that have a value, increasing, and their values."""
    step, value = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    known = (step > 0) & np.isfinite(value)
    order = np.argsort(step[known], kind="stable")
    return step[known][order], value[known][order]


def onset_time(steps: Sequence[int] | np.ndarray, values: Sequence[float] | np.ndarray, level: float = LEVEL) -> float:
    """Step of the first crossing as by :func:`onset`: infinite if it never came, NaN without any value."""
    found = onset(steps, values, level)
    return math.nan if found is None else found.time


def curves(metrics: pd.DataFrame, by: Sequence[str] = ()) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    """Learning curves: (dataset, seed, and the columns ``by``) -> (steps, values), in the order of the steps.

    Args:
        metrics: rows of table ``metrics``, selected so that a run has one value at each step and each value of ``by``.
            Undefined values are kept.
        by: qualifying columns that tell the curves of a run apart.
    """
    if metrics.empty:
        return {}
    rows = metrics.sort_values("step", kind="stable")
    return {
        key: (part["step"].to_numpy(), part["value"].to_numpy()) for key, part in rows.groupby(["dataset", "seed", *by])
    }
