"""The benchmarks compare what is alike, count what they say, and the page says what their tables say."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import typer

from benchmark_modules import module
from bumpscope.commands.metrics import metrics as metrics_of
from bumpscope.commands.runs import runs
from bumpscope.config.diffusion import Diffusion
from bumpscope.config.lattice import Lattice
from bumpscope.config.loading import validate
from bumpscope.config.model import Model
from bumpscope.config.plan import COMPILED_STEPS_ON_GPU, STEPS_ON_GPU, multiply_adds
from bumpscope.denoise.process import Process
from bumpscope.denoise.samplers import ddim, trailing_timesteps
from bumpscope.denoise.unet import new_network
from bumpscope.worlds.bumps import from_network
from many_runs import write_one_run

SMALL = Model(base_width=8, channel_multipliers=[1, 1, 1], embedding_width=8, attention_resolutions=[2])


peers, record, writing, page, gpu_page = (module(name) for name in ("peers", "record", "writing", "page", "gpu_page"))
needs_lucidrains = pytest.mark.skipif(
    not peers.lucidrains_installed(), reason="denoising-diffusion-pytorch is not installed (see docs/benchmarks.md)"
)


@pytest.fixture(scope="module")
def small():
    """A size at which everything takes a moment."""
    return replace(peers.SIZES[0], model=SMALL, diffusers_width=4, batch=4, lattice=Lattice(image_size=16, margin=2.0))


@pytest.mark.parametrize("size", peers.SIZES[:2], ids=lambda size: size.name)
def test_networks_of_a_size_have_the_same_number_of_parameters_within_a_tenth(size):
    ours = peers.parameters(new_network(size.lattice.image_size, size.model, 0))
    assert peers.parameters(peers.diffusers_network(size)) == pytest.approx(ours, rel=0.1)


@needs_lucidrains
@pytest.mark.parametrize("size", peers.SIZES[:2], ids=lambda size: size.name)
def test_so_has_that_of_lucidrains(size):
    ours = peers.parameters(new_network(size.lattice.image_size, size.model, 0))
    assert peers.parameters(peers.lucidrains_network(size)) == pytest.approx(ours, rel=0.1)


def test_networks_of_a_size_have_attention_at_the_same_sizes():
    for size in peers.SIZES:
        attends = [size.lattice.image_size // 2**level for level in range(4) if size.attends[level]]
        assert attends == size.model.attention_resolutions


def test_contenders_are_timed_in_turn_and_compared_within_a_round(monkeypatch):
    calls, clock = [], iter([0, 1, 10, 13, 20, 22, 30, 34])
    monkeypatch.setattr(record.time, "perf_counter", lambda: float(next(clock)))
    frame = record.paired_seconds({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, warm_up=1)
    assert calls == ["a", "b", "a", "b", "a", "b"]
    # Rounds of (1, 3) and (2, 4) seconds.
    assert frame.seconds.tolist() == [1.5, 3.5]
    assert frame.ratio.tolist() == [1.0, 2.5]


def test_a_table_comes_back_with_its_hardware_and_a_missing_one_is_none(tmp_path):
    record.save("some", pd.DataFrame({"n": [1]}), torch.device("cpu"), tmp_path)
    frame, facts = record.load("some", "cpu", tmp_path)
    assert frame.n.tolist() == [1] and facts["torch"] == torch.__version__ and facts["processor"]
    assert record.load("some", "cuda", tmp_path) is None


def test_training_is_compared_at_a_small_size(small):
    frame = module("training").compare(replace(small, lucidrains_width=4), torch.device("cpu"), 1)
    assert set(frame.name) >= {"bumpscope", "diffusers"}
    assert (frame.ratio[frame.name == "bumpscope"] == 1).all()
    np.testing.assert_allclose(frame.images_a_second, 4 / frame.seconds)
    assert (frame.gflop_a_step > 0).all()


def test_matrix_products_of_a_step_have_the_flops_that_torch_counts(small):
    found = module("limit").products(small, torch.device("cpu"))
    ours = sum(2 * m * k * n * times for (m, k, n), times in found.items())
    counted = module("training")._flops(peers.our_trainer(small, torch.device("cpu")).advance)
    # Torch counts attention's own two products as well.
    assert 0.95 * counted <= ours <= counted


def test_the_diffusers_loop_with_our_network_draws_what_our_sampler_draws(small):
    sampling = module("sampling")
    network = new_network(16, SMALL, 0).eval()
    torch.nn.init.normal_(network.last.weight, std=0.1)
    process, mu = Process.from_config(Diffusion(prediction="epsilon")), torch.full((3, 2), 7.0)
    noise = sampling.start_noise(np.array([1, 2, 3]), 16)
    with torch.inference_mode():
        steps = trailing_timesteps(1000, 25)
        ours = ddim(lambda x, t: network(x, t, mu), noise, process, steps)
        theirs = sampling.diffusers_sample(
            lambda x, t, part: network(x, torch.full((len(x),), t), mu[part]), sampling.ddim_scheduler(), 25, noise
        )
    np.testing.assert_allclose(from_network(theirs.numpy()), from_network(ours.numpy()), atol=2e-3)


def test_core_seconds_add_up_to_wall_time_times_cores(tmp_path):
    workflow = module("workflow")
    logs = {
        "train/a-seed0": "train: worked 60.00 s after 2.00 s of starting",
        "geometry/a-seed0": "geometry: worked 20.00 s after 3.00 s of starting",
        "interventions/a-seed0": "interventions: worked 7.00 s after 1.00 s of starting",
        "figures/loss": "figure: worked 5.00 s after 1.00 s of starting",
    }
    for name, line in logs.items():
        path = tmp_path / "logs" / f"{name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        old = "2026-01-01 00:00:00,000 DEBUG train: worked 999.00 s after 9.00 s of starting\n"
        path.write_text(f"{old}2026-01-01 00:00:00,000 DEBUG {line}\n", encoding="utf-8")
    frame = workflow.account(workflow.worked(tmp_path), wall=60, cores=2, dag=4, compilation=8).set_index("what")
    assert frame.core_seconds["training"] == 60
    assert frame.core_seconds["analysis"] == 20 + 5 - 8
    assert frame.core_seconds["imports"] == 7
    assert frame.core_seconds["probing"] == 7
    assert frame.core_seconds.sum() == pytest.approx(120) and frame.share.sum() == pytest.approx(1)
    assert frame.core_seconds["scheduling, starting processes, idle cores"] == 120 - 60 - 7 - 25 - 7 - 4
    assert set(frame.index[~frame.overhead]) == {"training", "probing", "analysis"}
    of_a = workflow.runs(tmp_path).set_index("dataset").loc["a"]
    assert (of_a.training, of_a.probing, of_a.analysis, of_a.runs) == (60, 7, 20, 1)


def test_the_slope_of_a_power_law_is_its_exponent():
    growth = module("growth")
    rows = [{"cost": "c", "against": "n", "n": n, "seconds": 3 * n**1.7} for n in (10, 100, 1000)]
    assert growth.with_slopes(rows).slope.tolist() == pytest.approx([1.7] * 3)


def test_costs_that_grow_are_measured_at_small_sizes():
    growth = module("growth")
    assert [row["cost"] for row in growth.image_sizes([8])] == ["training step", "forward pass"]
    assert {row["n"] for row in growth.lattice_sizes([25])} == {25}


PRINTED = """Job stats:
job              count
-------------  -------
configuration        1
dataset              2
train                2
all                  1
total                6

[Tue Nov 24 14:35:42 2026] Group job datasets (jobs in lexicogr. order):

    [Tue Nov 24 14:35:42 2026]
    Job 4: Drawing the lattice of plane
    [Tue Nov 24 14:35:42 2026]
    Job 6: Drawing the lattice of ring
[Tue Nov 24 14:35:42 2026]
Job 37: Writing results/config.json
[Tue Nov 24 14:35:42 2026]
Job 5: Training ring with seed 0
[Tue Nov 24 14:35:42 2026]
Job 3: Training plane with seed 0
"""


def test_submissions_are_the_groups_and_the_jobs_alone():
    assert module("dry_run").submissions(PRINTED) == (4, 3)


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_shapes_of_many_runs_have_about_as_many_as_asked(count):
    for shape, config in module("dry_run").configurations(count).items():
        runs = len(list(validate(config).runs()))
        assert abs(runs - count) <= max(10, 0.05 * count), shape


@pytest.mark.parametrize(
    ("seconds", "memory", "met"), [(30.0, 500.0, True), (61.0, 500.0, False), (30.0, 2100.0, False)]
)
def test_the_limits_of_planning_are_both_looked_at(seconds, memory, met):
    frame = pd.DataFrame({"n": [10, 1000], "seconds": [2.0, seconds], "memory": [100.0, memory]})
    (target,) = page.targets({"dry-run": frame})
    assert target.met == met and target.asked == "planning 1,000 runs"


@pytest.mark.parametrize(("probing", "found", "met"), [(20.0, "0.90", True), (30.0, "1.14", False)])
def test_probing_is_set_against_training_over_all_runs(probing, found, met):
    rows = [("many", 5, 40.0, probing, 10.0), ("one", 1, 10.0, 20.0, 20.0)]
    frame = pd.DataFrame(rows, columns=["dataset", "runs", "training", "probing", "analysis"])
    (target,) = page.targets({"workflow-runs": frame})
    assert (target.found, target.met) == (found, met)


def test_the_target_of_training_is_asked_of_the_size_with_the_fastest_peer():
    names = ["bumpscope", "diffusers", "lucidrains"]
    frame = pd.DataFrame({"name": names * 2, "size": ["small"] * 3 + ["large"] * 3, "ratio": [1, 2, 3, 1, 1.4, 1.2]})
    (target,) = page.targets({"training": frame})
    assert (target.found, target.met) == ("1.20 (large)", False)


def test_memory_of_a_command_is_shown_with_its_growth_a_run():
    row = {"against": "runs", "seconds": 1.0}
    steady = [row | {"cost": "steady", "n": n, "memory": 100.0} for n in (10, 1000)]
    growing = [row | {"cost": "growing", "n": n, "memory": 100.0 + 2 * n} for n in (10, 1000)]
    lines = page.aggregation(record.with_slopes(steady + growing)).splitlines()[-2:]
    assert lines[0] == "| growing | 1.00 | 2,100 | 2,048 |"
    assert lines[1] == "| steady | 1.00 | 100 | 0 |"


@pytest.mark.parametrize(("compiled", "told"), [(0.040, "1,000 steps earn back"), (0.052, "no number of steps earns")])
def test_compiling_pays_once_faster_steps_have_made_up_for_its_start(compiled, told):
    frame = pd.DataFrame({"name": ["+ channels last", "and torch.compile"], "seconds": [0.050, compiled], "ratio": 1.0})
    assert "earn" not in page.engine(frame.assign(verdict=""))
    frame = frame.assign(verdict="", first_step=[np.nan, 80], first_step_later=[np.nan, 10])
    assert told in page.engine(frame)


def test_runs_are_repeated_under_other_seeds(tmp_path):
    aggregation = module("aggregation")
    base = write_one_run(tmp_path / "results")
    for path in base.glob("runs/**/*.parquet"):  # as tables of a real run do, they say whose they are
        table = pq.read_table(path)
        pq.write_table(
            table.replace_schema_metadata(table.schema.metadata | {b"bumpscope.run": b"balanced-seed0"}), path
        )
    grid = aggregation.multiply(base, tmp_path / "many", 3)
    assert grid == {"balanced": [0, 10_000, 20_000]}
    commands = aggregation.commands(tmp_path / "many", grid, ())
    for name, command in (("runs", runs), ("metrics", metrics_of)):
        app = typer.Typer()
        app.command()(command)
        app(commands[name][1:], standalone_mode=False)
    metrics = pd.read_parquet(tmp_path / "many" / "metrics.parquet")
    assert metrics.groupby("seed").size().nunique() == 1 and set(metrics.seed) == {0, 10_000, 20_000}


def test_a_command_that_fails_is_told_with_what_it_printed():
    with pytest.raises(RuntimeError, match="no such thing"):
        record.watched([sys.executable, "-c", "raise SystemExit('no such thing')"])


def test_the_page_and_its_tables_are_made_of_the_kept_ones():
    assert (writing.DOCS / "benchmarks.md").read_text(encoding="utf-8") == page.page()
    for name, table in page.tables().items():
        assert (writing.DOCS / "data" / f"{name}.csv").read_text(encoding="utf-8") == writing.as_csv(table), name


def steps_table(*rows):
    return pd.DataFrame(rows, columns=["size", "loop", "runs", "precision", "run_steps_a_second"])


def cells(table: str) -> list[list[str]]:
    """Cells of a table in Markdown, without its heading."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_what_a_gpu_was_measured_to_do_is_shown_where_there_is_a_table(tmp_path, monkeypatch):
    assert gpu_page.on_a_gpu(tmp_path).lower().count("not measured") == 1 + 5
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Some GPU")
    training = steps_table(
        ("32 px, 1.5 M", "bumpscope, one by one", 1, "float32", 17.0),
        ("32 px, 1.5 M", "bumpscope, one by one", 1, "tf32", 18.0),
        ("32 px, 1.5 M", "bumpscope", 8, "float32", 810.0),
        ("32 px, 1.5 M", "bumpscope", 16, "float32", np.nan),
        ("32 px, 1.5 M", "diffusers", 1, "float32", 15.0),
    )
    compiled = steps_table(("32 px, 1.5 M", "bumpscope, compiled", 8, "bfloat16", 900.0))
    apart = {"weights_apart_from_plain": 2e-4, "weights_apart_in_company": 0.0}
    equality = pd.DataFrame(
        {"reference": "none", "precision": "float32", "comparison": ["a", "b"], "same": [True, False]}
    )
    outcomes = pd.DataFrame({"run": "r", "step": [0, 9, 9, 9, 9], "outcome": ["none", *3 * ["correct"], "multiple"]})
    for name, frame in (
        ("training", training),
        ("compiled", compiled.assign(**apart)),
        ("equality", equality),
        ("set-behaviour", outcomes),
    ):
        record.write_table(tmp_path / f"gpu-{name}-cuda.parquet", frame, torch.device("cuda"))
    (tmp_path / "gpu-set-behaviour-cuda.parquet").rename(tmp_path / "gpu-set-behaviour.parquet")
    text = page.page(tmp_path)
    assert "GPU: Some GPU, torch" in text and "Not measured: recorded, sampling, profile, cpu." in text
    assert "1 of 2 training states" in text and "but not: unet, float32, b." in text
    assert "the same bits in company" in text and "2e-04 (bfloat16)" in text
    assert "at step 9: 75% correct, 25% multiple. Its topology, geometry, phases: not measured." in text
    assert cells(gpu_page.steps({"training": training, "compiled": compiled}).partition("\n\n")[2]) == [
        ["32 px, 1.5 M", "1", "17.0", "15.0", "–", "–"],
        ["32 px, 1.5 M", "8", "–", "–", "810", "900"],
    ]
    assert {f"benchmarks-gpu-{name}-cuda" for name in ("training", "compiled", "equality")} <= set(
        page.tables(tmp_path)
    )


def test_loops_that_all_failed_are_no_steps():
    failed = pd.DataFrame({"size": ["16 px, 0.4 M"], "loop": ["diffusers, recorded"], "error": ["cannot"]})
    failed = failed.assign(runs=1, precision="float32")
    assert gpu_page.steps({"recorded": failed}) == ""
    training = steps_table(("16 px, 0.4 M", "bumpscope", 8, "float32", 700.0))
    found = cells(gpu_page.gpu_targets({"training": training, "recorded": failed}))
    assert [line[2] for line in found] == ["700", *["not measured"] * 4]


def test_kernels_and_differences_from_the_cpu_are_told():
    row = {"size": "16 px, 0.4 M", "precision": "tf32", "compiled": True}
    parts = [
        row | {"kind": "fills", "a_step": 10, "ms_a_step": 0.5},
        row | {"kind": "copies", "a_step": 20, "ms_a_step": 2.0},
    ]
    assert cells(gpu_page.profile({"profile": pd.DataFrame(parts)})) == [
        ["16 px, 0.4 M", "TF32, compiled", "30", "2.50", "copies, 2.00 ms"]
    ]
    found = pd.DataFrame({"size": ["16 px"], "precision": ["tf32"], "what": ["its gradient"], "value": [0.00123]})
    assert cells(gpu_page.cpu({"cpu": found})) == [["its gradient", "16 px", "tf32", "1.2e-03"]]


def test_the_page_says_what_was_not_measured(tmp_path):
    # Each device, each section, gpu.sh and the five targets of a GPU.
    assert page.page(tmp_path).lower().count(writing.NOT_MEASURED) == len(page.DEVICES) + len(page.SECTIONS) + 1 + 5


def test_the_targets_of_a_gpu_are_compared_with_what_was_measured():
    training = steps_table(
        ("16 px, 0.4 M", "bumpscope", 1, "float32", 300.0),
        ("16 px, 0.4 M", "bumpscope", 8, "float32", 1500.0),
        ("16 px, 0.4 M", "diffusers", 1, "float32", 30.0),
        ("32 px, 1.5 M", "bumpscope", 8, "float32", 600.0),
        ("32 px, 1.5 M", "bumpscope", 8, "bfloat16", 900.0),
    )
    recorded = steps_table(
        ("16 px, 0.4 M", "diffusers, recorded", 1, "float32", 250.0),
        ("32 px, 1.5 M", "diffusers, recorded", 1, "float32", 150.0),
    )
    compiled = steps_table(("16 px, 0.4 M", "bumpscope, compiled", 8, "float32", 2100.0))
    sampled = pd.DataFrame({"sampler": ["bumpscope, DDIM", "diffusers, DDIM"], "images_a_second": [900.0, 100.0]})

    def found(frames):
        return [line[1:] for line in cells(gpu_page.gpu_targets(frames))]

    assert found({"training": training, "recorded": recorded, "compiled": compiled, "sampling": sampled}) == [
        ["≥ 2,000", "2,100", "yes"],
        ["≥ 600", "900", "yes"],
        ["≥ 125", "not measured", "–"],
        ["≥ 3", "4.00", "yes"],  # float32 against float32, at the size where it is least
        ["≥ 10", "9.00", "**no**"],
    ]
    # A peer that was only timed one by one tells nothing of one that is recorded.
    assert found({"training": training})[3:] == [["≥ 3", "not measured", "–"], ["≥ 10", "not measured", "–"]]
    assert found({"training": training})[0] == ["≥ 2,000", "1,500", "**no**"]


def test_the_rates_that_plans_rest_on_are_those_of_the_kept_tables():
    sizes = {size.name: size for size in peers.SIZES} | {"32 px, 23 M, batch 128": replace(peers.SIZES[2], batch=128)}
    for name, planned in (("training", STEPS_ON_GPU), ("compiled", COMPILED_STEPS_ON_GPU)):
        frame, _ = record.load(f"gpu-{name}", "cuda")
        frame = frame[frame["loop"].isin(["bumpscope", "bumpscope, compiled"]) & frame.runs.isin([1, 8])]
        for precision, steps in planned.items():
            for work, seconds in steps.items():
                rates = [
                    row.run_steps_a_second
                    for row in frame[frame.precision == precision].itertuples()
                    if _work(sizes[row.size]) == pytest.approx(work, rel=0.01)
                ]
                assert 1 / max(rates) == pytest.approx(seconds, rel=0.005), (name, precision, work)


def _work(size):
    return 3 * size.batch * multiply_adds(size.lattice.image_size, size.model)
