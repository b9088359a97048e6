"""Read clouds that are known by construction as the paper would, from UMAPs.

    python validation/measure_umaps.py [--family fresh tuned] [--clouds 10] [--processes 2] [--folder DIR]

Thresholds were set on the kinds of the tuned family, none on those of the fresh one. Writes umaps-FAMILY.parquet, a row
for each cloud: its phase, the verdict and the numbers behind it.
"""

from __future__ import annotations

from functools import partial

import pandas as pd
from threadpoolctl import threadpool_limits

import synthetic_clouds
from bumpscope.measure.as_read import as_read, rest_of
from bumpscope.measure.components import decompose
from bumpscope.measure.umaps import umap_numbers
from measure_clouds import FAMILIES, FIRST_SEED, KINDS, cloud
from truth_tables import in_parallel, measure_families

# The kinds on which the topology rule was set as well: codes, and noise of two components.
ASKED = KINDS | {"tuned": [*KINDS["tuned"], *synthetic_clouds.HARDER]}


def row(family: str, task: tuple[str, int]) -> dict[str, object]:
    """The phase of one cloud and what UMAPs make of it."""
    kind, index = task
    with threadpool_limits(1):
        one, noise = cloud(family, kind, index)
        numbers, _ = umap_numbers(decompose(one.vectors), one.centres, FIRST_SEED + index)
        verdict, order, _ = as_read(numbers)
    of_request = numbers[(numbers.space == "umap3") & (numbers.label == "requested")].set_index("metric").value
    return {
        "kind": kind,
        "shape": one.shape,
        **noise,
        "images": len(one.vectors),
        "phase": one.phase,
        "verdict": verdict,
        "order": order,
        "rest": rest_of(numbers),
        "rest_planted": rest_of(numbers, "_planted"),
        "r2": of_request[["r2_x_median", "r2_y_median"]].min(),
        "knn_r2": of_request["knn_r2_median"],
        "spread": max(of_request[f"r2_{axis}_high"] - of_request[f"r2_{axis}_low"] for axis in "xy"),
    }


def measured(family: str, clouds: int, processes: int = 1) -> pd.DataFrame:
    """This many clouds of each kind."""
    tasks = [(kind, index) for index in range(clouds) for kind in ASKED[family]]
    return in_parallel(partial(row, family), tasks, processes)


if __name__ == "__main__":
    measure_families(__doc__, "umaps", measured, FAMILIES, 10)
