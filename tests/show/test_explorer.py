"""What the explorer shows is what the tables have, however little of it fits."""

import base64
import importlib.util
import io
import json
import re
import shutil
import sys
import tracemalloc
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from bumpscope.config.lattice import Lattice
from bumpscope.judge.controls import lattice_of
from bumpscope.measure.metrics import OUTCOMES
from bumpscope.show.explorer import page, payload, selection, sprites
from bumpscope.show.explorer.payload import NOTHING, quantised
from bumpscope.store.results import Results
from bumpscope.store.run import Run
from bumpscope.store.tables import write_table
from bumpscope.worlds.named import world_of
from bumpscope.worlds.position import Bumps
from explorer_results import FEW_STEPS, WORLDS, add_worlds, write_explored
from synthetic_results import BALANCED, METADATA

ROOT = Path(__file__).parents[2]
PLANE = {"balanced": BALANCED}
CENTRE = Bumps(Lattice()).factors


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return write_explored(tmp_path_factory.mktemp("explored"), datasets=PLANE, seeds=(0, 1))


def unpacked(packed: dict) -> np.ndarray:
    integers = np.frombuffer(base64.b64decode(packed["data"]), "<i2")
    return np.where(integers == NOTHING, np.nan, packed["offset"] + packed["scale"] * integers.astype(float))


def whole_page(results: Results, limit: int = page.LIMIT) -> tuple[str, dict, dict[str, dict]]:
    """The page, what it says of itself, and the data of each run in it."""
    file = io.StringIO()
    said = page.write(results, file, limit)
    blocks = re.findall(r'<script type="application/json" id="([\w-]+)">(.*?)</script>', file.getvalue())
    data = {name: json.loads(text) for name, text in blocks}
    return file.getvalue(), said, {entry["run"]: data[entry["id"]] for entry in data["index"]["runs"]}


@given(
    arrays(float, st.integers(0, 40), elements=st.floats(-1e300, 1e300) | st.sampled_from([np.nan, np.inf, -np.inf]))
)
def test_numbers_come_back_to_within_half_a_step(values):
    packed = quantised(values)
    found, finite = unpacked(packed), np.isfinite(values)
    assert np.isnan(found[~finite]).all()
    size = np.abs(values[finite]).max(initial=0)
    assert (np.abs(found[finite] - values[finite]) <= packed["scale"] * 0.5001 + 1e-13 * size).all()
    if finite.any():
        span = values[finite].max() / 131068 - values[finite].min() / 131068
        assert packed["scale"] / 2 == pytest.approx(span, rel=1e-3) or packed["scale"] == 1.0


def test_thumbnails_are_the_images_to_half_a_grey_level():
    images = np.random.default_rng(0).uniform(-0.2, 1.2, (70, 16, 16))
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(sprites.sheet(images)))))
    assert picture.shape == (3 * 16, sprites.COLUMNS * 16)
    for k, image in enumerate(images):
        row, column = divmod(k, sprites.COLUMNS)
        tile = picture[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] / 255
        assert np.abs(tile - image.clip(0, 1)).max() <= 0.5 / (sprites.LEVELS - 1) + 0.5 / 255


@pytest.mark.parametrize(("size", "side"), [(8, 8), (16, 16), (32, 32), (64, 32), (48, 24), (96, 32)])
def test_large_images_are_averaged_over_whole_blocks(size, side):
    assert sprites.thumbnail_size(size) == side
    ramp = np.broadcast_to(np.linspace(0, 1, size), (1, size, size))
    expected = ramp[0, 0].reshape(side, -1).mean(axis=1) * 255
    assert np.abs(sprites.thumbnails(ramp)[0, 0] - expected).max() <= 0.5 * 255 / (sprites.LEVELS - 1) + 0.5


def test_images_that_are_not_finite_do_not_break_a_sheet():
    assert sprites.thumbnails(np.full((1, 8, 8), np.nan)).max() == 0


def test_a_run_is_shown_as_its_tables_have_it(results):
    _, said, data = whole_page(results)
    assert [entry["run"] for entry in said["runs"]] == ["balanced-seed0", "balanced-seed1"]
    for run, shown in data.items():
        behaviour = results[run].table("behaviour")
        assert shown["steps"] == list(FEW_STEPS)
        assert shown["samples"] == list(range(60))
        for step, found in zip(shown["steps"], shown["found"], strict=True):
            rows = behaviour[behaviour["step"] == step].sort_values("sample")
            codes = np.frombuffer(base64.b64decode(found["outcome"]), np.uint8)
            assert [OUTCOMES[code] for code in codes] == rows["outcome"].tolist()
            for axis, values in zip("xy", found["values"], strict=True):
                np.testing.assert_allclose(unpacked(values), rows[axis], atol=1e-3)
            np.testing.assert_allclose(unpacked(found["distances"][0]), rows["error"], atol=1e-3)
            seen = rows[rows["split"] == "seen"]
            at = shown["mix"]["steps"].index(step)
            for outcome in OUTCOMES:
                share = (seen["outcome"] == outcome).mean()
                assert shown["mix"]["shares"][outcome][at] == pytest.approx(share, abs=1e-6)


@pytest.fixture(scope="module")
def mixed(results, tmp_path_factory) -> Results:
    """Bumps and other worlds in one experiment."""
    return add_worlds(shutil.copytree(results.folder, tmp_path_factory.mktemp("mixed") / "results"))


def test_runs_of_other_worlds_are_shown_as_their_tables_have_them(mixed):
    _, said, data = whole_page(mixed)
    assert [entry["factors"] for entry in said["runs"]] == ["x+y", "x+y", "x size", "x+y size"]
    for name, groups in (("sized", ("x", "size")), ("solid", ("x,y", "size"))):
        run, shown = mixed[f"{name}-seed0"], data[f"{name}-seed0"]
        table = run.table("behaviour")
        asked = table[table["step"] == 0].sort_values("sample")
        np.testing.assert_allclose(np.transpose(shown["requests"]), asked[run.names.asked], rtol=1e-5)
        for step, found in zip(shown["steps"], shown["found"], strict=True):
            rows = table[table["step"] == step].sort_values("sample")
            np.testing.assert_allclose(np.transpose([*map(unpacked, found["values"])]), rows[[*run.names]], atol=1e-3)
            first, size = map(unpacked, found["distances"])
            np.testing.assert_allclose(first, rows["error"], atol=1e-3)
            np.testing.assert_allclose(size, np.abs(np.log(rows["size"] / rows["mu_size"])), atol=1e-3)
            bits = np.frombuffer(base64.b64decode(found["misses"]), np.uint8)
            misses = [",".join(group for k, group in enumerate(groups) if code >> k & 1) for code in bits]
            assert misses == rows["misses"].tolist()
            assert step or len(set(misses)) > 1
        of_size = shown["factors"][-1]
        assert (of_size["name"], of_size["unit_of_distance"], of_size["logarithmic"]) == ("size", "ln", True)
        effects = run.table("effects", weights="raw", t=shown["effects"]["t"]).sort_values("step")
        assert [*shown["effects"]["looks"]] == [*run.names, *run.names.pairs]
        for column in ("effect_size", "effect_x_low", *(f"effect_{pair}" for pair in run.names.pairs)):
            np.testing.assert_allclose(shown["effects"][column], effects[column], rtol=1e-4)


@pytest.mark.parametrize("name", WORLDS)
def test_images_and_samples_are_chosen_on_the_scales_of_their_factors(mixed, name):
    """Sizes differ by a factor of three, and places by many pixels."""
    world = world_of(lattice_of(mixed[f"{name}-seed0"].info))
    labels = world.points.labels
    requests = pd.DataFrame(labels, columns=world.names.asked).assign(sample=range(len(labels)), split="seen")
    places = selection.positions(requests, world)
    grid = np.array(selection.image_grid(requests, places))
    assert grid.shape == (selection.GRID, selection.GRID)
    across, down, *middle = labels[grid].transpose(2, 0, 1)
    assert (np.diff(across, axis=1) > 0).all() and np.ptp(across, axis=0).max() == 0
    assert (np.diff(down, axis=0) > 0).all() and np.ptp(down, axis=1).max() == 0
    sizes = world.factors[-1].grid
    if middle:
        assert np.unique(middle) == pytest.approx(sizes[3])
    else:
        third = np.log(sizes[-1] / sizes[0]) / 3
        assert np.diff(np.log(down), axis=0) == pytest.approx(third, abs=world.factors[1].spacing)
    taken = selection.spread(requests, places, [0], 24)
    assert {sizes[0], sizes[-1]} < set(labels[taken, -1])
    assert len(set(labels[taken, -1])) >= 4


def test_a_single_factor_has_one_row_of_images():
    requests = pd.DataFrame({"sample": range(9), "split": "seen"})
    assert selection.image_grid(requests, np.arange(9.0)[:, None]) == [[0, 3, 5, 8]]


def test_points_keep_their_shape_in_one_basis(results):
    run = "balanced-seed0"
    shown = whole_page(results)[2][run]
    table = results[run].table("embedding")
    assert [(place["layer"], place["t"]) for place in shown["places"]] == [
        ("down3", 239), ("down3", 39), ("up1", 239), ("up1", 39)
    ]  # fmt: skip
    for name, coordinates in (("pca", payload.COORDINATES), ("umap", payload.UMAP)):
        points = unpacked(shown["places"][0][name]["points"][-1]).reshape(-1, 3)
        rows = table[(table["layer"] == "down3") & (table["t"] == 239) & (table["step"] == FEW_STEPS[-1])]
        cloud = rows.sort_values("sample")[coordinates].to_numpy()
        # Rotating and mirroring leave all distances as they were.
        apart = [np.linalg.norm(one[:, None] - one[None], axis=2) for one in (points, cloud)]
        np.testing.assert_allclose(apart[0], apart[1], atol=1e-3 * apart[1].max())
        assert np.abs(points).max() <= shown["places"][0][name]["reach"] * 1.001


def test_umap_does_not_flip_between_steps(tmp_path):
    results = write_explored(tmp_path, datasets=PLANE, seeds=(0,), steps=(1200, 1500))
    table = results["balanced-seed0"].table("embedding")
    requests = results["balanced-seed0"].table("samples").drop_duplicates("sample")
    rows = table[(table["layer"] == "down3") & (table["t"] == 239)].copy()
    rows.loc[rows["step"] == 1200, "umap_1"] *= -1
    made = payload.embedding(rows, payload.UMAP, [1200, 1500], requests, CENTRE)
    first, last = (unpacked(points).reshape(-1, 3) for points in made["points"])
    assert np.corrcoef(first[:, 0], last[:, 0])[0, 1] > 0.8


def test_a_step_without_coordinates_is_left_blank_and_no_other_turns_onto_it():
    cloud = np.random.default_rng(4).normal(size=(12, 3)) * [3, 2, 1]
    turns = [np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] for seed in range(2)]
    clouds = {0: cloud @ turns[0], 1: np.full((12, 3), np.nan), 2: cloud @ turns[1]}
    parts = [pd.DataFrame(c, columns=payload.UMAP).assign(step=step, sample=range(12)) for step, c in clouds.items()]
    points = pd.concat(parts, ignore_index=True)
    requests = pd.DataFrame({"sample": range(12), "mu_x": cloud[:, 0], "mu_y": cloud[:, 1]})
    first, nothing, last = payload.embedding(points, payload.UMAP, [0, 1, 2], requests, CENTRE)["points"]
    assert nothing is None
    np.testing.assert_allclose(unpacked(first), unpacked(last), atol=1e-3)
    assert payload.embedding(points[points["step"] == 1], payload.UMAP, [1], requests, CENTRE) is None


def test_a_diverged_run_is_shown_without_points(tmp_path):
    results = write_explored(tmp_path, datasets=PLANE, seeds=(0,))
    table = results["balanced-seed0"].table("embedding")
    table[[name for name in table.columns if name[-2:] in ("_1", "_2", "_3")]] = np.nan
    write_table("embedding", results["balanced-seed0"].path("embedding"), table, METADATA)
    shown = whole_page(results)[2]["balanced-seed0"]
    assert [(place["pca"], place["umap"]) for place in shown["places"]] == [(None, None)] * 4
    assert len(shown["samples"]) == 60


def test_a_single_checkpoint_and_a_handful_of_samples_are_enough(tmp_path):
    shown = whole_page(write_explored(tmp_path, datasets=PLANE, seeds=(0,), steps=(0,), samples=3))[2]["balanced-seed0"]
    assert shown["steps"] == [0]
    assert len(shown["samples"]) == 3


def test_the_same_tables_give_the_same_page(results):
    assert whole_page(results)[0] == whole_page(results)[0]


@pytest.mark.slow  # a minute
def test_memory_does_not_grow_with_the_runs(tmp_path):
    peaks, sizes = [], []
    for count in (2, 8):
        results = write_explored(tmp_path / str(count), datasets=PLANE, seeds=range(count), samples=300)
        assert len(results) == count
        path = tmp_path / f"{count}.html"
        with path.open("w", encoding="utf-8") as file:
            tracemalloc.start()
            page.write(results, file)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        sizes.append(path.stat().st_size)
    assert sizes[1] > sizes[0] + 1e6
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("table", ["embedding", "effects", "phases", "metrics"])
def test_what_was_not_made_is_left_out(tmp_path, table):
    results = write_explored(tmp_path, datasets=PLANE, seeds=(0,), without=(table,))
    shown = whole_page(results)[2]["balanced-seed0"]
    empty = {"embedding": shown["places"] == [], "effects": shown["effects"] is None, "phases": shown["phases"] is None}
    assert [name for name, missing in empty.items() if missing] == [table] * (table != "metrics")


def test_runs_without_images_are_named(tmp_path):
    results = write_explored(tmp_path, datasets=PLANE, seeds=(0, 1))
    (tmp_path / "runs/balanced/seed=1/behaviour.parquet").unlink()
    _, said, data = whole_page(results)
    assert list(data) == ["balanced-seed0"]
    assert said["without"] == ["balanced-seed1"]


def test_names_cannot_end_the_script_they_stand_in(tmp_path):
    name = "</script><b>&"
    frame = pd.DataFrame({"reason": [name]})
    text = page.as_json({"run": name, "reasons": frame["reason"].tolist()})
    assert "<" not in text
    assert json.loads(text)["run"] == name


def test_it_opens_where_the_latents_are_first_ordered_or_else_after_the_largest_change(tmp_path):
    results = write_explored(tmp_path, datasets=PLANE, seeds=(0, 1))
    opens = selection.opening(results)
    run = results[f"balanced-seed{opens['seed']}"]
    phases = run.table("phases", layer=opens["layer"], t=opens["t"]).sort_values("step")
    before = phases.loc[phases["step"] < opens["step"], "latent_phase"]
    assert phases.loc[phases["step"] == opens["step"], "latent_phase"].item() == "C" and "C" not in set(before)
    for one in results:
        one.path("phases").unlink()
    then = selection.opening(Results(tmp_path))
    mix = results.table("metrics", run=run.name, split="seen", bin=None).dropna(subset="value")
    mix = mix[mix["quantity"].isin([f"share_{outcome}" for outcome in OUTCOMES])]
    change = mix.pivot(index="step", columns="quantity", values="value").diff().abs().sum(axis=1)
    assert then == opens | {"step": change.idxmax()}


def test_numbers_that_json_has_not_become_null():
    assert payload.numbers([1.23456789, np.nan, np.inf]) == [1.23457, None, None]


@pytest.fixture(scope="module")
def four(tmp_path_factory) -> Results:
    folder = tmp_path_factory.mktemp("four")
    return write_explored(folder, datasets={"a": BALANCED, "b": BALANCED}, seeds=(0, 1), samples=100)


@pytest.mark.parametrize(
    "room", [120_000, pytest.param(400_000, marks=pytest.mark.slow), pytest.param(2_000_000, marks=pytest.mark.slow)]
)
def test_the_page_stays_within_its_limit_and_says_what_it_leaves_out(four, room):
    results = four
    fixed = len(whole_page(results)[0].encode()) - sum(
        len(page.as_json(data).encode()) for data in whole_page(results)[2].values()
    )
    # The index is smaller than what is kept free for it.
    limit = fixed + 25_000 + room
    text, said, data = whole_page(results, limit)
    assert len(text.encode()) <= limit
    assert len(said["runs"]) + len(said["left_out"]) == 4
    assert said["runs"][0]["run"] == "a-seed0"
    for entry in said["runs"]:
        assert entry["samples"] == len(data[entry["run"]]["samples"]) >= min(selection.FEWEST, 100)
        assert entry["all_samples"] == 100
    if room == 120_000:
        assert said["left_out"]


def run(dataset: str, seed: int) -> Run:
    info = {
        "run": f"{dataset}{seed}",
        "dataset": dataset,
        "seed": seed,
        "path": "",
        "boundary": "plane",
        "weights": "raw",
    }
    return Run(Path(), info | {"image_size": 16})


def test_first_seeds_of_all_datasets_come_first():
    runs = [run(dataset, seed) for dataset in "ab" for seed in range(2)]
    assert [one.name for one in selection.in_turn(runs)] == ["a0", "b0", "a1", "b1"]


def test_a_thousand_runs_are_measured_only_as_far_as_they_fit():
    looked = []

    def extents():
        for number in range(1000):
            looked.append(number)
            yield selection.Extent(run("d", 0), list(range(10)), 512, 2)

    kept = selection.affordable(extents(), 3_000_000)
    assert 1 < len(kept) < 100
    assert len(looked) == len(kept) + 1


def test_shown_centres_are_spread_over_the_lattice():
    centres = np.stack(np.meshgrid(np.arange(12.0), np.arange(12.0)), -1).reshape(-1, 2)
    requests = pd.DataFrame({"sample": np.arange(144), "mu_x": centres[:, 0], "mu_y": centres[:, 1], "split": "seen"})
    grid = selection.image_grid(requests, centres)
    taken = selection.spread(requests, centres, [sample for row in grid for sample in row], 72)
    assert len(taken) == len(set(taken)) == 72
    assert taken == sorted(taken)
    gaps = np.linalg.norm(centres[:, None] - centres[taken][None], axis=2).min(axis=1)
    assert gaps.max() <= np.sqrt(2)


def test_the_grid_goes_from_edge_to_edge(results):
    requests = results["balanced-seed0"].table("samples").drop_duplicates("sample")
    seen = requests[requests["split"] == "seen"].set_index("sample")
    grid = selection.image_grid(requests, requests[["mu_x", "mu_y"]].to_numpy())
    assert 1 < len(grid) <= selection.GRID
    first, last = seen.loc[grid[0][0]], seen.loc[grid[-1][-1]]
    assert first["mu_x"] < last["mu_x"]
    assert first["mu_y"] < last["mu_y"]


def test_scripts_agree_on_names_and_import_only_from_scripts_before_them():
    """They are put together without their imports, so an import must name what is there, as it is called there."""
    folder, order = resources.files("bumpscope.show.explorer"), page.SCRIPTS
    assert sorted(order) == sorted(path.name for path in folder.iterdir() if path.name.endswith(".js"))
    exported, own = {}, []
    for name in order:
        text = (folder / name).read_text(encoding="utf-8")
        imports = re.findall(r"^import \{ ([\w, ]+) \} from \"./([\w.]+)\";$", text, re.MULTILINE)
        assert len(imports) == text.count("\nimport ") + text.startswith("import "), name
        for names, source in imports:
            assert set(names.split(", ")) <= exported.get(source, set()), (name, source)
        exported[name] = set(re.findall(r"^export (?:async )?(?:const|let|function|class) (\w+)", text, re.MULTILINE))
        own += re.findall(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", text, re.MULTILINE)
    assert len(own) == len(set(own)), "two scripts use one name for different things"


def test_the_page_about_it_has_the_numbers_that_were_measured():
    spec = importlib.util.spec_from_file_location("benchmark_explorer", ROOT / "benchmarks/explorer.py")
    benchmark = importlib.util.module_from_spec(spec)
    sys.path.append(str(ROOT / "benchmarks"))
    spec.loader.exec_module(benchmark)
    assert benchmark.section() in benchmark.PAGE.read_text(encoding="utf-8")
    assert "Not measured" not in benchmark.section()
    assert page.LIMIT < 15_000_000
