"""Learning curves as figures read them: at one timestep, and by the step at which they reach one half."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd

from bumpscope.judge.onsets import crossing, onset


def middle(times: Iterable[int]) -> int:
    """The middle one of different timesteps, the lower of two: there the directions of both labels are well apart."""
    ordered = sorted(set(times))
    return int(ordered[(len(ordered) - 1) // 2])


def half_times(rows: pd.DataFrame, measure: str | None = None) -> tuple[list[float], int]:
    """Steps at which runs first reach one half, as by :func:`bumpscope.judge.onsets.onset`.

    Args:
        rows: columns run, step, value; a curve a run.
        measure: of table ``onsets``; steps are then those of :func:`bumpscope.judge.onsets.crossing`.

    Returns:
        The steps of those runs that reach it, and how many runs there are.
    """
    find = onset if measure is None else partial(crossing, measure)
    found = [find(run["step"].to_numpy(), run["value"].to_numpy()) for _, run in rows.groupby("run")]
    return [each.time for each in found if each is not None and not each.censored], len(found)


def half_time_in_words(rows: pd.DataFrame, measure: str | None = None) -> str:
    """Geometric mean of :func:`half_times`, and in how many of the runs where not in all."""
    times, runs = half_times(rows, measure)
    if not runs:
        return "not measured"
    if not times:
        return "never"
    some = f" in {len(times)} of {runs} runs" if len(times) < runs else ""
    return f"{np.exp(np.mean(np.log(times))):.0f}{some}"
