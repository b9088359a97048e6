"""Results for tests of the explorer: of synthetic_results, with label effects and what was found in the images."""

from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.config.lattice import Lattice
from bumpscope.judge.controls import lattice_of
from bumpscope.store.names import XY, Names
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from bumpscope.worlds.behaviour import classify
from bumpscope.worlds.named import world_of
from bumpscope.worlds.reading import judged
from synthetic_results import METADATA, STEPS, rise, write_results

FEW_STEPS = (0, 400, 800, 1500)
# Two factors of which one is logarithmic, and three.
WORLDS = {
    "sized": ('{"kind": "sized", "ratio": 3.0, "sizes": 9}', "x size"),
    "solid": ('{"kind": "sized_xy", "ratio": 3.0, "sizes": 7}', "x+y size"),
}


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


def _effects(names: Names = XY) -> pd.DataFrame:
    rows = pd.DataFrame(
        [(step, t, weights) for step in STEPS for t in (300, 450, 600) for weights in ("ema", "raw")],
        columns=["step", "t", "weights"],
    )
    use = rise(rows["step"].to_numpy(dtype=float), 600) * np.where(rows["weights"] == "raw", 1.0, 0.5)
    columns = {name: use for name in TABLES["effects"].of(names).names if name not in rows}
    return rows.assign(**columns | {"effect_x_low": use - 0.1, "effect_x_high": use + 0.1})


def add_worlds(root: Path, worlds: dict[str, tuple[str, str]] = WORLDS, samples: int = 40) -> Results:
    """Add runs of other worlds to an output folder that has runs; they draw what they are asked for at the last step.

    Args:
        worlds: dataset -> world and factors as in table ``runs``.
    """
    for dataset, (world, factors) in worlds.items():
        _add_world(root, dataset, world, factors, samples)
    return Results(root)


def _add_world(root: Path, dataset: str, world: str, factors: str, samples: int) -> None:
    runs = Results(root).table("runs")
    path = f"runs/{dataset}/seed=0"
    row = runs.iloc[0].to_dict() | {"run": f"{dataset}-seed0", "dataset": dataset, "seed": 0, "path": path}
    row |= {"world": world, "factors": factors}
    write_table("runs", root / TABLES["runs"].path, pd.concat([runs, pd.DataFrame([row])], ignore_index=True), METADATA)
    run, made = Results(root)[f"{dataset}-seed0"], world_of(lattice_of(row))
    labels = made.points.labels[np.random.default_rng(0).integers(len(made.points.labels), size=samples)]
    tables: dict[str, list[pd.DataFrame]] = {"samples": [], "behaviour": [], "embedding": []}
    for step, drawn in ((0, np.roll(labels, 1, axis=0)), (1500, labels)):
        asked = pd.DataFrame({f"mu_{factor.name}": labels[:, k] for k, factor in enumerate(made.factors)})
        asked = asked.assign(step=step, weights="raw", sample=range(samples), split="seen")
        images = list(made.render(drawn).reshape(samples, -1))
        found = pd.DataFrame(drawn, columns=[factor.name for factor in made.factors])
        found = judged(made, found.assign(bumps=1, amplitude=1.0, width=1.0), labels, made.tolerances(1.0))
        cloud = np.column_stack([drawn, drawn.sum(axis=1), drawn[:, 0]])[:, :3]
        columns = {f"{space}_{k + 1}": cloud[:, k] for space in ("pca", "umap", "aligned") for k in range(3)}
        tables["samples"].append(asked.assign(noise_seed=0, image=images))
        tables["behaviour"].append(asked.join(found))
        tables["embedding"].append(asked[["step", "weights", "sample"]].assign(layer="down3", t=239, **columns))
    frames = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    for name, frame in (frames | {"effects": _effects(made.names)}).items():
        columns = {name: frame[name] for name in TABLES[name].of(made.names).names}
        if name == "samples":
            columns["image"] = np.stack(frame["image"])
        write_table(name, run.path(name), columns, METADATA | {"factors": str(made.names)})
