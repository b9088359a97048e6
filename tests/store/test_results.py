"""Results find the tables of an experiment and the metrics that fit a pattern."""

import pytest
from matplotlib.figure import Figure

from bumpscope.show.figures import loss
from bumpscope.store.results import Results, in_network_order
from bumpscope.store.tables import TableError
from synthetic_results import BALANCED, DATASETS, write_results


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Results:
    """Three datasets, one of them a torus; topology is made for the first and for the torus alone."""
    datasets = {name: DATASETS[name] for name in ("balanced", "torus", "fine-x")}
    return Results(write_results(tmp_path_factory.mktemp("full"), datasets, steps=(0, 900), samples=32))


def test_layers_come_in_the_order_of_the_network():
    assert in_network_order(["up1", "bottleneck", "down3", "up1"]) == ["down3", "bottleneck", "up1"]
    assert in_network_order(["image", "up3", "down1"]) == ["down1", "up3", "image"]


def test_selected_metrics_have_their_fields_and_no_undefined_values(full):
    rows = full.select("r2/{layer}/t={t}/pca3/{label}")
    assert set(rows["layer"]) == {"down3", "up1", "image"} and set(rows["t"]) == {239, 39, 0}
    assert set(rows["label"]) == {"requested", "realised", "shuffled"} and rows["value"].notna().all()
    assert list(full.select("r2/{layer}/nothing").columns) == ["run", "dataset", "seed", "step", "layer", "value"]


def test_a_field_stands_for_no_slash(full):
    assert full.select("r2/{rest}").empty
    assert set(full.select("{quantity}/t={t}/ema")["quantity"]) >= {"effect_x", "excess"}


def test_results_read_tables_of_a_run_and_know_which_are_there(full):
    block = full.block("balanced-seed0", "samples", "image", [("step", "==", 0), ("sample", "in", [3, 5])])
    assert block.shape == (2, 256)
    assert not full.has("fine-x-seed1", "topology") and full.has("torus-seed1", "topology")
    assert [run.run for run in full.having("topology")][-1] == "torus-seed2"
    with pytest.raises(TableError, match="is missing"):
        full.table("fine-x-seed1", "topology")
    with pytest.raises(KeyError, match="no run 'nobody'"):
        full.table("nobody", "losses")


def test_missing_tables_over_all_runs_are_none(tmp_path):
    results = Results(
        write_results(tmp_path, {"d": BALANCED}, (0,), (0,), samples=32, without=("metrics", "claims", "coupling"))
    )
    assert results.metrics is None and results.claims is None and results.coupling is None
    assert results.select("outcome/{outcome}/seen").empty and isinstance(loss.draw(results)[0], Figure)
