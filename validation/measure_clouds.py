"""Measure geometry, topology and phases of clouds that are known by construction.

    python validation/measure_clouds.py [--family fresh tuned] [--clouds 100] [--processes 2] [--folder DIR]

All thresholds were set on the generators of the tuned family, none on those of the fresh one. Writes
clouds-FAMILY.parquet, a row for each cloud: known values, measured values, and the verdict.
"""

from __future__ import annotations

from functools import cache, partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

import fresh_clouds
import synthetic_clouds
from bumpscope.measure.betti import betti_numbers
from bumpscope.measure.phases import latent_phase
from bumpscope.measure.topology import persistence
from clouds import MIXTURES, Cloud
from known_values import ACCEPTED, WITHOUT_LABEL, known_values
from truth_tables import in_parallel, measure_families

FAMILIES = ("fresh", "tuned")
KINDS = {
    "fresh": list(fresh_clouds.KINDS),
    "tuned": list(synthetic_clouds.KINDS),
}
MIXED = {
    "fresh": fresh_clouds.MIXED,
    "tuned": [kind for kind in KINDS["tuned"] if not kind.startswith("scrambled") and "random" not in kind],
}
# Apart from the seeds that the generators were written and the thresholds set with.
FIRST_SEED = 5000


def cloud(
    family: str, kind: str, index: int, mixture: str = "", images: int | None = None
) -> tuple[Cloud, dict[str, object]]:
    """A cloud and its noise; noises and numbers of images take turns with ``index``.

    Args:
        mixture: none, or one of ``clouds.MIXTURES``.
        images: number of images of a fresh cloud, in place of those in use.
    """
    seed = FIRST_SEED + index
    if family == "fresh":
        noise = fresh_clouds.NOISES[index % len(fresh_clouds.NOISES)]
        used = fresh_clouds.USED[fresh_clouds.KINDS[kind].boundary]
        one = fresh_clouds.cloud(kind, noise, images or used[index % len(used)], seed, mixture)
        return one, {"noise": noise.share, "spread": noise.spread, "distribution": noise.distribution}
    share, spread = synthetic_clouds.NOISES[index % len(synthetic_clouds.NOISES)]
    written = {"whole": "in all", "coordinate": "a coordinate"}[spread]
    one = synthetic_clouds.cloud(kind, share, spread, seed, mixture)
    return one, {"noise": share, "spread": written, "distribution": "Gaussian"}


@cache
def control(family: str, boundary: str, samples: int) -> pd.DataFrame:
    """The geometry of the untrained control, with as many images as the cloud."""
    if family == "fresh":
        like = fresh_clouds.cloud(_ordered(boundary), fresh_clouds.NOISES[0], samples, 0)
        return fresh_clouds.untrained(like).measured()
    like = synthetic_clouds.cloud(_ordered(boundary), 0.1, "whole", 0)
    return synthetic_clouds.untrained(like).measured()


def _ordered(boundary: str) -> str:
    return "ordered torus" if boundary == "torus" else "ordered flat sheet"


def row(family: str, task: tuple[str, int, str, int | None]) -> dict[str, object]:
    """Known values (known_NAME) and measured values of one cloud.

    Args:
        task: kind, index, mixture and, for clouds that are not judged, a number of images that is not in use.
    """
    kind, index, mixture, images = task
    with threadpool_limits(1):
        one, noise = cloud(family, kind, index, mixture, images)
        seed, n = FIRST_SEED + index, len(one.vectors)
        geometry = one.measured(seed)
        # The clouds of the tuned family are of many sizes; one control serves them all, as it did when it was tuned.
        untrained = control(family, one.boundary, n if family == "fresh" else 0)
        verdict, _, reason = latent_phase(geometry, untrained)
        found = None
        if one.betti or verdict == "B":  # no other verdict depends on them
            found = betti_numbers(persistence(one.vectors, seed))
            verdict, _, reason = latent_phase(geometry, untrained, found)
    known = known_values(one)
    return {
        "kind": kind,
        "shape": one.shape,
        "mixture": mixture,
        **noise,
        "images": n,
        "in_use": images is None,
        "seed": seed,
        "phase": one.phase,
        "verdict": verdict,
        "reason": reason if verdict != one.phase else "",
        "betti": str(one.betti or ""),
        "betti_found": str(found) if one.betti else "",
        # Of a mixture only the phase is known.
        **{metric: np.nan if mixture else _found(geometry, metric, one) for metric in ACCEPTED},
        **{f"known_{metric}": known.get(metric, np.nan) for metric in ACCEPTED},
    }


def _found(geometry: pd.DataFrame, metric: str, one: Cloud) -> float:
    """A metric against requested centres, of the denoised cloud where there is one."""
    of_label = geometry.label.isna() if metric in WITHOUT_LABEL else geometry.label == "requested"
    numbers = geometry[(geometry.space == "raw") & of_label].set_index("metric").value
    name = f"{metric}_denoised"
    return float(numbers[name if name in numbers.index and one.dimension is not None else metric])


def measured(family: str, clouds: int, processes: int = 1) -> pd.DataFrame:
    """This many clouds of each kind, half as many of each mixture, and a quarter as many tori of fewer images than are
    in use."""
    tasks: list[tuple[str, int, str, int | None]]
    tasks = [(kind, index, "", None) for kind in KINDS[family] for index in range(clouds)]
    tasks += [
        (kind, index, mixture, None) for mixture in MIXTURES for kind in MIXED[family] for index in range(clouds // 2)
    ]
    if family == "fresh":
        tori = [kind for kind in KINDS[family] if fresh_clouds.KINDS[kind].boundary == "torus"]
        tasks += [(kind, index, "", min(fresh_clouds.SAMPLES)) for kind in tori for index in range(1, clouds // 2, 2)]
    return in_parallel(partial(row, family), tasks, processes)


if __name__ == "__main__":
    measure_families(__doc__, "clouds", measured, FAMILIES, 100)
