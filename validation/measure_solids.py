"""Judge the phases of clouds of three factors that are known by construction.

    python validation/measure_solids.py [--family fresh tuned] [--clouds 40] [--processes 2] [--folder DIR]

Thresholds were set on the generators of the tuned family with other seeds, none on those of the fresh one. Writes
solids-FAMILY.parquet, a row for each cloud: its phase, the verdict, and that by the thresholds of two factors.
"""

from __future__ import annotations

from functools import cache, partial

import pandas as pd
from threadpoolctl import threadpool_limits

from bumpscope.measure import phases
from bumpscope.measure.betti import betti_numbers
from bumpscope.measure.phases import THRESHOLDS, latent_phase, number
from bumpscope.measure.topology import persistence
from clouds import MIXTURES
from solid_clouds import FAMILIES, KINDS, MIXED, NOISES_OF, SAMPLES, cloud, untrained
from truth_tables import in_parallel, measure_families

# Apart from the seeds that the thresholds were set with.
FIRST_SEED = 5000
NUMBERS = ("breadth", "thickness", "gaussian_p", "least_visible_sheet")
ORDER = ("trustworthiness_denoised", "knn_r2_denoised", "r2")


@cache
def control(family: str, samples: int) -> pd.DataFrame:
    """The geometry of the untrained control, with as many images as the cloud."""
    like = cloud(family, next(iter(KINDS[family])), NOISES_OF[family][0], samples, 0)
    return untrained(like).measured()


def row(family: str, task: tuple[str, int, str]) -> dict[str, object]:
    """The phase of one cloud, what it is judged to be, and the numbers behind it.

    Args:
        task: kind, index and mixture; noises and numbers of images take turns with the index.
    """
    kind, index, mixture = task
    noise = NOISES_OF[family][index % len(NOISES_OF[family])]
    samples, seed = SAMPLES[family][index % len(SAMPLES[family])], FIRST_SEED + index
    with threadpool_limits(1):
        one = cloud(family, kind, noise, samples, seed, mixture)
        geometry, against = one.measured(seed), control(family, samples)
        verdict, _, reason = latent_phase(geometry, against)
        if verdict == "B":  # no other verdict depends on topology
            found = betti_numbers(persistence(one.vectors, seed))
            verdict, _, reason = latent_phase(geometry, against, found)
        unchanged = _by_thresholds_of_two(geometry, against)
    return {
        "kind": kind,
        "shape": one.shape,
        "mixture": mixture,
        "noise": noise.share,
        "spread": noise.spread,
        "distribution": noise.distribution,
        "images": samples,
        "in_use": True,
        "seed": seed,
        "phase": one.phase,
        "verdict": verdict,
        "verdict_of_two": unchanged,
        "reason": reason if verdict != one.phase else "",
        "betti": "",
        **{name: number(geometry, None, name) for name in NUMBERS},
        **{name: number(geometry, "requested", name) for name in ORDER},
    }


def _by_thresholds_of_two(geometry: pd.DataFrame, against: pd.DataFrame) -> str:
    own = phases.THRESHOLDS_OF[3]
    phases.THRESHOLDS_OF[3] = THRESHOLDS
    try:
        return latent_phase(geometry, against)[0]
    finally:
        phases.THRESHOLDS_OF[3] = own


def measured(family: str, clouds: int, processes: int = 1) -> pd.DataFrame:
    """This many clouds of each kind, and half as many of each mixture."""
    tasks = [(kind, index, "") for kind in KINDS[family] for index in range(clouds)]
    tasks += [(kind, index, mixture) for mixture in MIXTURES for kind in MIXED[family] for index in range(clouds // 2)]
    return in_parallel(partial(row, family), tasks, processes)


if __name__ == "__main__":
    measure_families(__doc__, "solids", measured, FAMILIES, 40)
