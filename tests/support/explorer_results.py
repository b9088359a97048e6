"""Results for tests of the explorer: of synthetic_results, with label effects and what was found in the images."""

from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from bumpscope.worlds.behaviour import classify
from synthetic_results import METADATA, STEPS, rise, write_results

FEW_STEPS = (0, 400, 800, 1500)


def write_explored(root: Path, samples: int = 60, steps=FEW_STEPS, without=(), **other) -> Results:
    """Write an output folder.

    Args:
        without: names of tables to leave out, of those that the explorer reads.
        other: as for ``write_results``.
    """
    write_results(root, samples=samples, steps=steps, without=without, **other)
    results = Results(root)
    for run in results:
        if not run.has("samples"):
            continue
        asked, boundary = run.samples, run.info["boundary"]
        margin = 0.0 if boundary == "torus" else 2.0
        lattice = Lattice(image_size=run.info["image_size"], margin=margin, boundary=boundary)
        found = classify(run.images().astype(float), asked["mu_x"], asked["mu_y"], lattice, 1.0, 0.25)
        table = asked[["step", "weights", "sample", "mu_x", "mu_y", "split"]].join(found)
        write_table("behaviour", run.path("behaviour"), table, METADATA)
        if "effects" not in without:
            write_table("effects", run.path("effects"), _effects(), METADATA)
    return results


def _effects() -> pd.DataFrame:
    rows = pd.DataFrame(
        [(step, t, weights) for step in STEPS for t in (300, 450, 600) for weights in ("ema", "raw")],
        columns=["step", "t", "weights"],
    )
    use = rise(rows["step"].to_numpy(dtype=float), 600) * np.where(rows["weights"] == "raw", 1.0, 0.5)
    columns = {name: use for name in TABLES["effects"].names if name not in rows}
    return rows.assign(**columns | {"effect_x_low": use - 0.1, "effect_x_high": use + 0.1})
