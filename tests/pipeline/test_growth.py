"""Many runs are brought together without holding all that they have at once."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmark_modules import module
from bumpscope.judge import coupling, side_by_side
from bumpscope.judge.claims import claims, read_of_metrics
from bumpscope.judge.onset_table import onset_table
from bumpscope.store.results import Results
from bumpscope.store.tables import read_table
from many_runs import write_one_run
from synthetic_results import DATASETS, IMBALANCED, write_results

aggregation = module("aggregation")
FEW, MANY = 10, 60
# Beyond what is read at a time; the numbers of fifty more runs take four times as much.
MORE_MEMORY = 40  # MiB


@pytest.fixture(scope="module")
def one_run(tmp_path_factory) -> Path:
    return write_one_run(tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def grown(one_run) -> pd.DataFrame:
    """Peak memory of each command with few and with many runs."""
    rows = [row for count in (FEW, MANY) for row in aggregation.measure(one_run, count, ["loss", "decodability"])]
    return pd.DataFrame(rows).pivot(index="cost", columns="n", values="memory")


@pytest.mark.slow  # a minute
@pytest.mark.parametrize(
    "cost", ["runs", "metrics", "coupling", "claims", "figure loss", "figure decodability", "report"]
)
def test_memory_does_not_grow_with_the_number_of_runs(grown, cost):
    assert grown.loc[cost, MANY] < grown.loc[cost, FEW] + MORE_MEMORY


@pytest.mark.slow
def test_what_is_made_up_is_large_enough_for_that_to_show(one_run, tmp_path):
    grid = aggregation.multiply(one_run, tmp_path, 1)
    for name in ("runs", "metrics"):
        arguments = aggregation.commands(tmp_path, grid, [])[name]
        subprocess.run([sys.executable, "-m", "bumpscope", *arguments], check=True, capture_output=True)
    metrics = read_table("metrics", tmp_path / "metrics.parquet")
    assert metrics.memory_usage(deep=True).sum() * (MANY - FEW) > 4 * MORE_MEMORY * 2**20


@pytest.mark.slow
def test_made_up_runs_have_ids_and_seeds_of_their_own(one_run, tmp_path):
    grid = aggregation.multiply(one_run, tmp_path, 3)
    assert grid == {"balanced": [0, 10_000, 20_000]}
    arguments = aggregation.commands(tmp_path, grid, [])["runs"]
    subprocess.run([sys.executable, "-m", "bumpscope", *arguments], check=True, capture_output=True)
    runs = Results(tmp_path).runs
    assert runs["run"].tolist() == [f"balanced-seed{seed}" for seed in grid["balanced"]]
    assert runs["seed"].tolist() == grid["balanced"]


@pytest.fixture(scope="module", params=["plain", pytest.param("imbalanced", marks=pytest.mark.slow)])
def results(request, tmp_path_factory) -> Results:
    datasets = DATASETS if request.param == "plain" else IMBALANCED
    return Results(write_results(tmp_path_factory.mktemp(request.param), datasets, seeds=range(5), samples=16))


def test_claims_rest_on_just_the_metrics_that_they_read(results):
    def judged(metrics: pd.DataFrame) -> pd.DataFrame:
        return claims(metrics, results.runs, results.phases, results.coupling)

    read = read_of_metrics(results.metrics)
    assert 0 < len(read) < len(results.metrics) / 2
    pd.testing.assert_frame_equal(judged(read), judged(results.metrics))


def test_so_do_coupling_onsets_and_factorisation(results):
    def compared(metrics: pd.DataFrame) -> list[pd.DataFrame]:
        found, times = coupling.coupling(metrics, results.runs), onset_table(metrics, results.runs)
        return [found, times, side_by_side.side_by_side(metrics, found, times)]

    read = results.table("metrics", quantity=[*coupling.QUANTITIES, *side_by_side.QUANTITIES])
    assert 0 < len(read) < len(results.metrics)
    for few, whole in zip(compared(read), compared(results.metrics), strict=True):
        assert len(whole) or not results.runs["dx"].ne(results.runs["dy"]).any()
        pd.testing.assert_frame_equal(few, whole)
