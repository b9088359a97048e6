"""Numbers of docs/sized.md, from tables made up so that they are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import sized_page
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from made_up_designs import drawn
from made_up_runs import run_row
from synthetic_results import MACHINE, METADATA, metrics_table

SIZED = {"world": '{"kind": "sized", "sizes": 12}', "factors": "x+size"}
HOLE = {"holdout": "x=[4.0, 11.0]", "n_images": 80}


def results_of(folder, runs, metrics):
    tables = {"runs": pd.DataFrame(runs, columns=TABLES["runs"].names).assign(**MACHINE)}
    for name, table in (tables | {"metrics": metrics_table(metrics)}).items():
        write_table(name, folder / TABLES[name].path, table, METADATA)
    return Results(folder)


def test_a_point_of_a_curve_is_the_mean_over_seeds_with_its_t_interval(tmp_path):
    effects = {200: (0.1, 0.2, 0.6), 400: (0.9, 0.9, 0.9)}
    runs, metrics = [], []
    for seed in range(3):
        for dataset, steps in (("sized", effects), ("once", {400: effects[400]})):
            run = run_row(dataset, seed, **SIZED)
            who = {name: run[name] for name in ("run", "dataset", "seed")} | {"weights": "raw"}
            runs.append(run)
            for step, values in steps.items():
                row = who | {"step": step, "quantity": "effect", "factor": "size", "t": 450, "value": values[seed]}
                metrics += [row, row | {"weights": "ema", "value": 0.0}, row | {"bin": "rare", "value": 5.0}]
                place = who | {"step": step, "quantity": "r2", "layer": "halved3", "t": 39, "label": "requested"}
                place |= {"noise": "own", "space": "pca3"}
                metrics += [place | {"factor": "x", "value": step / 1000}, place | {"value": 7.0}]
    found = sized_page.checkpoints(results_of(tmp_path, runs, metrics))
    # Averaged weights, bins, R² of all factors together and datasets with one checkpoint are left out.
    assert set(found["dataset"]) == {"sized"} and len(found) == 4
    first = found[(found["quantity"] == "effect") & (found["step"] == 200)].iloc[0]
    half = stats.t.ppf(0.975, 2) * np.std(effects[200], ddof=1) / np.sqrt(3)
    assert (first.factor, first.t) == ("size", 450)
    assert (first.value, first.low, first.high) == pytest.approx((0.3, 0.3 - half, 0.3 + half))
    scores = found[found["quantity"] == "r2"]
    assert set(scores["space"]) == {"pca3"} and scores["value"].tolist() == pytest.approx([0.2, 0.4])


def test_shares_in_the_hole_are_those_of_a_world_and_a_denoiser(tmp_path):
    made = [
        drawn("unet", seed, heldout, 0.95, denoiser="unet", **HOLE, **SIZED) for seed, heldout in enumerate((0.9, 0.7))
    ]
    made += [
        drawn("rendering", 0, 0.86, 0.94, denoiser="rendering", **HOLE, **SIZED),
        drawn("plane", 0, 0.5, denoiser="unet", **HOLE),
        drawn("whole", 0, 0.1, denoiser="unet", **SIZED),
    ]
    runs = [run for run, _ in made]
    found = sized_page.holes(results_of(tmp_path, runs, [number for _, numbers in made for number in numbers]))
    found = found.set_index(["factors", "denoiser", "split"])
    assert len(found) == 6  # what withholds nothing is left out
    both = found.loc[("x+size", "unet", "heldout")]
    assert both.share == pytest.approx(0.8) and both.low < 0.7 and both.high > 0.9 and both.seeds == 2
    alone = found.loc[("x+size", "rendering", "heldout")]
    assert alone.share == pytest.approx(0.86) and alone.seeds == 1 and np.isnan([alone.low, alone.high]).all()
    assert found.loc[("x+size", "rendering", "seen")].share == pytest.approx(0.94)
    assert found.loc[("x+y", "unet", "heldout")].share == pytest.approx(0.5)
