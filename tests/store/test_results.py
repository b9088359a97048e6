"""The reader of results: frames, arrays and networks, read when they are asked for, and clear errors."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import bumpscope
from bumpscope.config.lattice import Lattice
from bumpscope.config.model import Model
from bumpscope.config.steps import Train
from bumpscope.denoise.unet import new_network
from bumpscope.store import tables
from bumpscope.store.checkpoints import save_tensors
from bumpscope.store.files import FileError
from bumpscope.store.results import Results, in_network_order
from bumpscope.store.run import Run
from bumpscope.store.schemas import TABLES
from bumpscope.store.selection import UnknownName, matching
from bumpscope.store.summary import spans
from bumpscope.store.tables import TableError, open_table, read_table, write_table
from synthetic_results import DATASETS, METADATA, write_results

STEPS, SAMPLES, SEEDS = (0, 900), 32, (0, 1)
NAMES = [f"{dataset}-seed{seed}" for dataset in ("torus", "balanced") for seed in SEEDS]
PLACES = (("down3", 8), ("up1", 4))


def write_latents(path: Path, steps: tuple[int, ...] = STEPS, samples: int = SAMPLES) -> None:
    """Activations that say where they were read: the first number is the step, the second the sample."""
    with open_table("latents", path, METADATA) as table:
        for step in steps:
            for layer, length in PLACES:
                vector = np.zeros((samples, length))
                vector[:, 0], vector[:, 1] = step, np.arange(samples)
                where = {"step": step, "weights": "raw", "layer": layer, "t": 239, "noise": "own"}
                rows = {name: [value] * samples for name, value in where.items()} | {"sample": np.arange(samples)}
                table.append(rows | {"vector": vector})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two datasets of two seeds, in an order that is not the alphabet's; topology is made for two runs."""
    datasets = {name: DATASETS[name] for name in ("torus", "balanced")}
    root = write_results(tmp_path_factory.mktemp("results"), datasets, SEEDS, STEPS, samples=SAMPLES)
    (root / "runs/balanced/seed=1/topology.parquet").unlink(missing_ok=True)
    for dataset in datasets:
        centres = {"mu_x": [3.0, 4.0], "mu_y": [5.0, 5.0], "probability": [0.5, 0.5], "split": ["seen", "seen"]}
        write_table("dataset", root / f"datasets/{dataset}.parquet", centres | {"image": np.ones((2, 256))}, METADATA)
        for seed in SEEDS:
            write_latents(root / f"runs/{dataset}/seed={seed}/latents.parquet")
    write_checkpoint(root / "runs/torus/seed=1/checkpoints/step=900.safetensors", seed=1)
    return root


MODEL = Model(base_width=8, attention_resolutions=[], embedding_width=8)


def write_checkpoint(path: Path, seed: int) -> None:
    settings = Train.model_validate(
        {
            "run": f"torus-seed{seed}",
            "seed": seed,
            "lattice": Lattice(),
            "model": MODEL,
            "diffusion": {},
            "training": {},
        }
    )
    network = new_network(16, MODEL, seed).state_dict()
    tensors = {f"raw.{name}": tensor for name, tensor in network.items()}
    tensors |= {f"ema.{name}": tensor + 1 for name, tensor in network.items()}
    save_tensors(path, tensors, {"config": settings.model_dump_json()})


@pytest.fixture
def runs(folder: Path) -> Results:
    return bumpscope.open(folder)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the Parquet files whose rows were read."""
    files, read = [], tables._read

    def counted(name: str, path: Path, *options: object) -> pa.Table:
        files.append(path.name)
        return read(name, path, *options)

    monkeypatch.setattr(tables, "_read", counted)
    return files


# Lazily


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, bumpscope; print(*({'torch', 'numpy', 'pandas', 'pyarrow', 'umap'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_opening_and_looking_at_tables_imports_no_torch(folder: Path) -> None:
    script = (
        "import sys, bumpscope; runs = bumpscope.open(sys.argv[1]); runs.metrics; runs.samples; print(runs);"
        "assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, check=True)


def test_opening_reads_the_runs_and_nothing_else(folder: Path, read: list[str]) -> None:
    runs = bumpscope.open(folder)
    assert len(runs) == 4 and list(runs) and runs["torus", 1] and repr(runs) and runs._repr_html_() and dir(runs)
    assert read == ["runs.parquet"]


def test_a_table_is_read_when_it_is_asked_for_and_of_the_chosen_runs_alone(runs: Results, read: list[str]) -> None:
    assert runs.table("samples", dataset="torus", seed=1)["run"].unique().tolist() == ["torus-seed1"]
    assert read == ["samples.parquet"]
    assert len(runs.losses) and read.count("losses.parquet") == 4


def test_a_table_over_all_runs_is_read_once_until_its_file_changes(
    folder: Path, tmp_path: Path, read: list[str]
) -> None:
    root = write_results(tmp_path, {"torus": DATASETS["torus"]}, (0,), STEPS, samples=SAMPLES)
    runs = bumpscope.open(root)
    assert runs.metrics.equals(runs.metrics)
    assert read == ["runs.parquet", "metrics.parquet"]
    write_results(root, {"torus": DATASETS["torus"], "balanced": DATASETS["balanced"]}, (0,), STEPS, samples=SAMPLES)
    assert set(runs.metrics["dataset"]) == {"torus", "balanced"} == set(runs.runs["dataset"])
    assert runs.metrics["run"].notna().all()


def test_what_a_reader_changes_stays_with_the_reader(runs: Results) -> None:
    before, mine = runs.metrics, runs.metrics
    mine.loc[:, "value"] = 7.0
    mine["step"] = 8
    pd.testing.assert_frame_equal(runs.metrics, before)


def test_memory_does_not_grow_with_the_runs_that_are_gone_through(tmp_path: Path) -> None:
    seeds = range(8)
    root = write_results(tmp_path, {"torus": DATASETS["torus"]}, seeds, (0,), samples=SAMPLES)
    for seed in seeds:
        write_latents(root / f"runs/torus/seed={seed}/latents.parquet", steps=(0,), samples=50_000)
    runs, pool = bumpscope.open(root), pa.default_memory_pool()
    start, size = pool.bytes_allocated(), 50_000 * 8 * 4
    highest = 0
    for run in runs:
        vectors = run.vectors(layer="down3")
        assert vectors.nbytes == size
        highest = max(highest, pool.bytes_allocated() - start)
        del vectors
    # Arrow holds a copy while a column is put together.
    assert size <= highest < 4 * size
    # Whoever keeps them all has them all: the measure sees what it should.
    kept = [run.vectors(layer="down3") for run in runs]
    assert len(kept) == 8
    assert pool.bytes_allocated() - start >= len(runs) * size


def test_conditions_reach_the_parquet_reader(runs: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are selected before they are in memory."""
    seen, read = [], tables._read
    monkeypatch.setattr(tables, "_read", lambda *given: seen.append(given) or read(*given))
    assert runs["torus-seed0"].images(step=900).shape[0] == SAMPLES
    ((_, _, columns, filters, run),) = seen
    assert columns == ["image"] and run == "torus-seed0" and "900" in str(filters)


# Frames


def test_a_table_of_all_runs_is_one_tidy_frame(runs: Results) -> None:
    frame = runs.samples
    own = ["step", "weights", "sample", "mu_x", "mu_y", "split", "noise_seed"]
    assert list(frame.columns) == ["run", "dataset", "seed", *own]
    assert frame["run"].unique().tolist() == NAMES and frame["dataset"].unique().tolist() == ["torus", "balanced"]
    assert frame.dtypes[["run", "dataset", "seed"]].astype(str).tolist() == ["str", "str", "int64"]
    assert len(frame) == 4 * len(STEPS) * SAMPLES and frame.index.is_unique
    pd.testing.assert_frame_equal(
        frame[frame["run"] == "torus-seed1"].iloc[:, 3:].reset_index(drop=True), runs["torus-seed1"].samples
    )


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"dataset": "torus"}, NAMES[:2]),
        ({"seed": 1}, [NAMES[1], NAMES[3]]),
        ({"seed": range(2), "dataset": ["balanced", "torus"]}, NAMES),
        ({"seed": np.array([0])}, [NAMES[0], NAMES[2]]),
        ({"run": "balanced-seed1"}, [NAMES[3]]),
        ({}, NAMES),
    ],
    ids=str,
)
def test_runs_are_chosen_by_what_they_are(runs: Results, choice: dict, names: list[str]) -> None:
    assert [run.name for run in runs.select(**choice)] == names
    assert runs.table("losses", **choice)["run"].unique().tolist() == names
    assert runs.table("metrics", **choice)["run"].unique().tolist() == names


def test_rows_and_columns_are_chosen(runs: Results) -> None:
    frame = runs.table("samples", ["mu_x", "run"], step=900, split=["seen"], filters=[("sample", "<", 5)])
    assert list(frame.columns) == ["run", "dataset", "seed", "mu_x"] and len(frame) == 4 * 5
    whole = runs.samples
    wanted = whole[(whole["step"] == 900) & (whole["split"] == "seen") & (whole["sample"] < 5)]
    assert frame["mu_x"].tolist() == wanted["mu_x"].tolist()
    assert runs.table("metrics", step=0)["step"].unique().tolist() == [0]
    assert runs.table("samples", step=1).empty and runs.table("samples", step=[]).empty


def test_an_empty_cell_can_be_asked_for(folder: Path, runs: Results) -> None:
    rows = [(0, "raw", "down3", 239, "own", "raw", label, "r2", 1.0) for label in ("requested", None)]
    path = folder / "runs/torus/seed=0/geometry.parquet"
    write_table("geometry", path, pd.DataFrame(rows, columns=TABLES["geometry"].names), METADATA)
    run = runs["torus-seed0"]
    assert run.table("geometry", label=None)["label"].isna().tolist() == [True]
    assert len(run.table("geometry", label=[None, "requested"])) == 2
    path.unlink()


def test_a_lattice_is_shared_by_the_runs_of_its_dataset(runs: Results) -> None:
    frame = runs.table("dataset")
    assert list(frame.columns) == ["dataset", "mu_x", "mu_y", "probability", "split"] and len(frame) == 4
    assert runs["balanced", 1].table("dataset")["mu_x"].tolist() == [3.0, 4.0]
    assert runs["balanced", 1].images("dataset").shape == (2, 16, 16)


def test_a_run_has_its_own_rows_of_tables_over_all_runs(runs: Results) -> None:
    own = runs["torus-seed1"].metrics
    assert list(own.columns) == TABLES["metrics"].names[3:]
    assert len(own) == (runs.metrics["run"] == "torus-seed1").sum()
    pd.testing.assert_frame_equal(own, runs["torus-seed1"].table("metrics", TABLES["metrics"].names[3:]))


def test_runs_without_a_table_are_left_out_and_told(runs: Results) -> None:
    with pytest.warns(UserWarning, match="table topology is missing for balanced-seed0, balanced-seed1; left out"):
        frame = runs.topology
    assert set(frame["dataset"]) == {"torus"}
    assert runs.tables["topology"] == 2 and "topology" not in runs["balanced-seed1"].tables


def test_it_is_known_which_tables_there_are(runs: Results) -> None:
    assert runs.has("topology") and runs.has("metrics") and not runs.has("behaviour") and not runs.has("sensitivity")
    assert runs["torus", 0].has("topology") and not runs["balanced", 1].has("topology")
    assert runs["torus", 0].has("metrics")
    assert runs["torus", 0].path("geometry") == runs.folder / "runs/torus/seed=0/geometry.parquet"
    assert runs.datasets == ["torus", "balanced"] and runs.of_dataset("torus")["boundary"] == "torus"


def test_layers_come_in_the_order_of_the_network() -> None:
    assert in_network_order(["up1", "bottleneck", "down3", "up1"]) == ["down3", "bottleneck", "up1"]
    assert in_network_order(["image", "up3", "down1"]) == ["down1", "up3", "image"]


def test_metrics_are_selected_by_their_columns(runs: Results) -> None:
    choice = {"quantity": "r2", "space": "pca3", "noise": "own", "label": ["requested", "shuffled"]}
    frame = runs.table("metrics", dataset="torus", **choice)
    assert set(frame["layer"]) == {"down3", "up1", "image"} and set(frame["label"]) == {"requested", "shuffled"}
    assert frame["t"].dtype == "int64" and set(frame["t"]) == {239, 39, 0}
    whole = runs.metrics
    of_torus = matching(whole, dataset="torus", **choice).reset_index(drop=True)
    pd.testing.assert_frame_equal(frame, of_torus, check_dtype=False)
    verdicts = runs.table("metrics", quantity="latent_phase", layer=None)
    assert len(verdicts) == len(runs) * len(STEPS) == len(matching(whole, quantity="latent_phase", layer=None))


def test_whole_numbers_stay_whole_beside_empty_cells(runs: Results) -> None:
    assert runs.metrics["t"].dtype == "Int64" and runs.metrics["step"].dtype == "int64"


def test_tables_of_the_sensitivity_run_name_their_variant(folder: Path, runs: Results) -> None:
    names = TABLES["varied_geometry"].names
    for variant in ("samples=8", "samples=16"):
        path = folder / f"sensitivity/{variant}/runs/torus/seed=0/geometry.parquet"
        row = (0, "raw", "down3", 239, "own", "raw", "requested", "r2", 0.5)
        write_table("varied_geometry", path, pd.DataFrame([row], columns=names), METADATA)
    with pytest.warns(UserWarning, match="missing for torus-seed1"):
        frame = runs.varied_geometry
    assert list(frame.columns) == ["run", "dataset", "seed", "variant", *names]
    assert frame["variant"].tolist() == ["samples=16", "samples=8"]


# Arrays and networks


def test_images_are_square_and_go_with_their_rows(folder: Path, runs: Results) -> None:
    run = runs["torus-seed0"]
    images, rows = run.images(step=900, split="between"), run.table("samples", step=900, split="between")
    assert images.shape == (len(rows), 16, 16) and images.dtype == np.float32
    file = pq.read_table(folder / "runs/torus/seed=0/samples.parquet", filters=[("step", "==", 900)]).to_pandas()
    expected = file[file["split"] == "between"]["image"].iloc[0].reshape(16, 16)
    np.testing.assert_array_equal(images[0], expected)


def test_vectors_go_with_their_rows(runs: Results) -> None:
    run = runs["balanced-seed0"]
    choice = {"step": 900, "layer": "up1", "t": 239, "noise": "own"}
    vectors, rows = run.vectors(**choice), run.table("latents", **choice)
    assert vectors.shape == (SAMPLES, 4) and vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors[:, 1], rows["sample"])
    assert set(vectors[:, 0]) == {900}


def test_vectors_that_do_not_compare_are_refused(runs: Results) -> None:
    run = runs["balanced-seed0"]
    with pytest.raises(ValueError, match=r"layer: vectors of several do not compare; choose one of down3, up1"):
        run.vectors(step=900)
    several = pd.DataFrame({"layer": "up1", "t": 239, "noise": ["own", "shared"]})
    with (
        patch.object(Run, "table", lambda *_, **__: several),
        pytest.raises(ValueError, match=r"noise: .* one of own, shared"),
    ):
        run.vectors(step=900, layer="up1", t=239)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"step": 901}, "no step in latents of balanced-seed0 901; there are: 0, 900"),
        ({"step": 900, "layer": "up3"}, r"no layer .* 'up3' \(did you mean up1\?\); there are: down3, up1"),
        ({"t": 3}, "no t .* 3; there are: .*239"),
    ],
)
def test_a_value_that_no_vector_has_is_told_with_those_there_are(runs: Results, where: dict, told: str) -> None:
    with pytest.raises(UnknownName, match=told):
        runs["balanced-seed0"].vectors(**where)
    with pytest.raises(UnknownName, match="no step in samples of balanced-seed0 5; there are: 0, 900"):
        runs["balanced-seed0"].images(step=5)


def test_a_network_is_that_of_its_checkpoint(runs: Results) -> None:
    run = runs["torus", 1]
    assert run.checkpoints == [900] and run.settings.model == MODEL
    raw, averaged = bumpscope.network(run, 900, weights="raw"), bumpscope.network(run, 900)
    torch.testing.assert_close(raw.state_dict(), new_network(16, MODEL, 1).state_dict(), rtol=0, atol=0)
    assert not averaged.training
    torch.testing.assert_close(averaged.state_dict()["first.bias"], raw.state_dict()["first.bias"] + 1)
    answer = averaged(torch.zeros(2, 1, 16, 16), torch.tensor([0, 9]), torch.zeros(2, 2))
    assert answer.shape == (2, 1, 16, 16)


def test_weights_of_another_denoiser_are_one_line(folder: Path, runs: Results) -> None:
    path = folder / "runs/torus/seed=0/checkpoints/step=900.safetensors"
    write_checkpoint(path, seed=0)
    tensors = {"ema.other": torch.zeros(3), "raw.other": torch.zeros(3)}
    settings = runs["torus", 0].settings.model_dump_json()
    save_tensors(path, tensors, {"config": settings})
    with pytest.raises(FileError, match=r"step=900\.safetensors: holds the weights of another network") as told:
        bumpscope.network(runs["torus", 0], 900)
    assert "\n" not in str(told.value)
    path.unlink()
    with pytest.raises(TableError, match="holds no checkpoint"):
        _ = runs["torus", 0].settings


def test_results_without_a_column_of_this_version_say_which_and_what_to_do(folder: Path, tmp_path: Path) -> None:
    table = pq.read_table(folder / "runs.parquet")
    pq.write_table(table.drop_columns(["trained"]), tmp_path / "runs.parquet")
    with pytest.raises(TableError, match=r"column trained is missing\); delete it and run the workflow again") as told:
        bumpscope.open(tmp_path)
    assert "\n" not in str(told.value)


# What is there, and what is not


def test_a_look_says_what_there_is(runs: Results) -> None:
    text, page = repr(runs), runs._repr_html_()
    for told in (text, page):
        for word in (
            "4 runs of 2 datasets, seeds 0–1",
            "torus",
            "balanced",
            "metrics",
            "topology (of 2 runs)",
            "sensitivity",
        ):
            assert word in told
    not_there = text.split("Tables not there: ")[1]
    assert "sensitivity" in not_there and "metrics" not in not_there
    assert page.startswith("<div>") and "<table" in page
    assert "torus-seed0" in repr(runs["torus-seed0"]) and "samples" in repr(runs["torus-seed0"])


def test_names_are_escaped_in_a_page(tmp_path: Path) -> None:
    root = write_results(tmp_path / "<b>", {"torus": DATASETS["torus"]}, (0,), (0,), samples=SAMPLES)
    assert "/&lt;b&gt;:" in bumpscope.open(root)._repr_html_()


@pytest.mark.parametrize(("numbers", "text"), [([0, 1, 2], "0–2"), ([4], "4"), ([7, 0, 1, 9, 8, 3], "0–1, 3, 7–9")])
def test_seeds_are_told_as_spans(numbers: list[int], text: str) -> None:
    assert spans(pd.Series(numbers)) == text


def test_names_can_be_completed(runs: Results) -> None:
    assert {"metrics", "claims", "samples", "table", "select"} <= set(dir(runs))
    assert "sensitivity" not in dir(runs) and "places" not in dir(runs)
    assert {"samples", "latents", "images", "checkpoints", "metrics"} <= set(dir(runs["torus-seed0"]))
    assert runs._ipython_key_completions_() == runs.names == NAMES
    assert "torus-seed0" in runs and "nobody" not in runs


def test_a_copy_and_a_question_for_what_it_can_do_read_nothing(runs: Results, read: list[str]) -> None:
    assert copy.copy(runs).names == NAMES and copy.copy(runs["torus", 0]).name == "torus-seed0"
    assert not hasattr(runs, "_repr_png_") and not hasattr(runs["torus", 0], "__array__")
    assert read == []


def test_the_folder_may_be_left_after_opening(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(folder.parent)
    runs = bumpscope.open(folder.name)
    monkeypatch.chdir(tmp_path)
    assert len(runs.metrics) and runs["torus", 0].images(step=0).shape == (SAMPLES, 16, 16)


@pytest.mark.parametrize(
    ("ask", "error", "line"),
    [
        (lambda runs: runs["torus-sed0"], UnknownName, r"no run 'torus-sed0' \(did you mean torus-seed0"),
        (lambda runs: runs["torrus", 0], UnknownName, r"no dataset 'torrus' \(did you mean torus\?\); there"),
        (lambda runs: runs["torus", 7], UnknownName, "no seed 7; there are: 0, 1"),
        (lambda runs: runs.select(run="torus-seed0", seed=1), UnknownName, "no run has run torus-seed0 and seed 1"),
        (lambda runs: runs.behavior, AttributeError, r"no table 'behavior' \(did you mean behaviour"),
        (lambda runs: runs.table("sample"), UnknownName, r"no table 'sample' \(did you mean samples"),
        (lambda runs: runs["torus", 0].claims, AttributeError, "no table of a run 'claims'"),
        (lambda runs: runs["torus", 0].table("claims"), UnknownName, "no table of a run 'claims'"),
        (lambda runs: runs.sensitivity, TableError, "is missing; made by `snakemake sensitivity`"),
        (lambda runs: runs.behaviour, TableError, "behaviour.parquet: is missing; run the workflow"),
        (lambda runs: runs["torus", 0].behaviour, TableError, "torus/seed=0/behaviour.parquet: is missing; run the"),
        (lambda runs: runs["torus", 0].images(step=5), UnknownName, "no step in samples of torus-seed0 5; there"),
        (lambda runs: runs.table("samples", ["mux"]), UnknownName, r"no plain column of samples 'mux' \(did"),
        (lambda runs: runs.table("samples", ["image"]), UnknownName, "no plain column of samples 'image'"),
        (lambda runs: runs.table("samples", stp=3), UnknownName, r"no column of samples 'stp' \(did you mean step\?\)"),
        (lambda runs: runs.table("samples", step="3"), ValueError, "step: holds '3'; column .* of kind int"),
        (lambda runs: runs.table("samples", step=True), ValueError, "step: holds True"),
        (lambda runs: runs.table("samples", split=[0]), ValueError, "split: holds 0; .* kind text"),
        (lambda runs: runs.table("claims", dataset="torus"), UnknownName, "no column of claims 'dataset'"),
        (lambda runs: runs["torus", 0].images("losses"), UnknownName, "'losses'; there are: dataset, samples"),
        (lambda runs: bumpscope.network(runs["torus", 1], 800), UnknownName, "no checkpoint of torus-seed1 800; there"),
        (lambda runs: bumpscope.network(runs["torus", 1], 900, "mean"), UnknownName, "no weights 'mean'; there"),
        (lambda runs: bumpscope.open("no/such"), TableError, r"no/such: holds no results \(no runs\.parquet\)"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_in_one_line(runs: Results, ask, error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line) as told:
        ask(runs)
    assert len(str(told.value).splitlines()) == 1


def test_a_broken_table_is_told(tmp_path: Path) -> None:
    root = write_results(tmp_path, {"torus": DATASETS["torus"]}, (0,), (0,), samples=SAMPLES)
    path = root / "runs/torus/seed=0/losses.parquet"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(FileError, match=r"losses\.parquet: does not match its checksum"):
        _ = bumpscope.open(root).losses


def test_a_table_that_the_experiment_no_longer_asks_for_is_not_read(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "results"))
    frame = read_table("runs", other / "runs.parquet").assign(tables="losses effects")
    write_table("runs", other / "runs.parquet", frame, METADATA)
    left = bumpscope.open(other)["torus", 0]
    assert left.path("samples").exists() and not left.has("samples")
    with pytest.raises(TableError, match="is missing"):
        left.images(step=0)
