"""Results for tests of the explorer: of synthetic_results, with label effects and what was found in the images."""

from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.bumps import Lattice
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
    for run in results.having("samples"):
        asked = results.table(run.run, "samples")
        images = results.block(run.run, "samples", "image").reshape(-1, run.image_size, run.image_size)
        margin = 0.0 if run.boundary == "torus" else 2.0
        lattice = Lattice(image_size=run.image_size, margin=margin, boundary=run.boundary)
        found = classify(images.astype(float), asked["mu_x"], asked["mu_y"], lattice, 1.0, 0.25)
        table = asked[["step", "sample", "mu_x", "mu_y", "split"]].join(found)
        write_table("behaviour", _path(results, run.run, "behaviour"), table, METADATA)
        if "effects" not in without:
            write_table("effects", _path(results, run.run, "effects"), _effects(), METADATA)
    return results


def _path(results: Results, run: str, name: str) -> Path:
    path = results.runs.set_index("run").loc[run, "path"]
    return results.root / TABLES[name].path.format(path=path)


def _effects() -> pd.DataFrame:
    rows = pd.DataFrame(
        [(step, t, weights) for step in STEPS for t in (300, 450, 600) for weights in ("ema", "raw")],
        columns=["step", "t", "weights"],
    )
    use = rise(rows["step"].to_numpy(dtype=float), 600) * np.where(rows["weights"] == "ema", 1.0, 0.5)
    columns = {name: use for name in TABLES["effects"].names if name not in rows}
    return rows.assign(**columns | {"effect_x_low": use - 0.1, "effect_x_high": use + 0.1})
