"""Broken files among finished results: told in a line with file and cure, which harms nothing, and cured as it says."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from bumpscope.commands import (
    arms,
    behaviour,
    claims,
    coupling,
    dataset,
    effects,
    figure,
    generate,
    geometry,
    interventions,
    leaderboard,
    metrics,
    phases,
    report,
    runs,
    topology,
    train,
)
from bumpscope.config.loading import validate
from bumpscope.config.section import canonical_json
from bumpscope.config.steps import step_settings
from bumpscope.store import manifest
from bumpscope.store.checkpoints import load_tensors, save_tensors
from bumpscope.store.files import CURE, FileError
from bumpscope.store.provenance import PACKAGE, declared
from bumpscope.store.tables import provenance, write_table
from loss_rows import loss_rows
from tables_used import recorded

CONFIG = {
    "seeds": [0],
    "datasets": {"small": {"image_size": 8, "margin": 2.0, "dx": 1.0, "dy": 2.0}},
    "model": {"channel_multipliers": [1, 1, 1], "attention_resolutions": [1], "embedding_width": 8},
    "training": {"steps": 4, "batch_size": 4, "warmup_steps": 1, "checkpoints": [0, 4]},
    "probe": {"checkpoints": [0, 4], "samples": 16, "sampling_steps": 3, "timesteps": [300], "layers": ["down3"],
              "effect_timesteps": [300], "effect_samples": 32, "frequency_bins": True, "interventions": [4]},
}  # fmt: skip
EXPERIMENT = validate(CONFIG)
RUN = next(EXPERIMENT.runs())
CONFIGURATION = json.dumps(CONFIG)
DATASET, OF_RUN = "datasets/small.parquet", "runs/small/seed=0"
CHECKPOINT = f"{OF_RUN}/checkpoints/step=4.safetensors"


def settings_of(step):
    return canonical_json(step_settings(RUN, step))


def tables(root, *names):
    return [root / OF_RUN / f"{name}.parquet" for name in names]


def write_configuration(root):
    (root / "config.json").write_text(CONFIGURATION, encoding="utf-8")


def draw_losses(root):
    figure.figure("loss", root, *(root / f"figures/loss.{kind}" for kind in ("pdf", "png", "csv")))


def write_report(root):
    report.report(root / "config.json", root, root / "report.html")


# Each step of the chain as the workflow calls it, in order.
CHAIN = {
    "dataset": lambda root: dataset.dataset(settings_of("dataset"), root / DATASET),
    "train": lambda root: train.train(
        settings_of("train"), root / DATASET, root / OF_RUN, root / ".state/small-seed0", "cpu"
    ),
    "generate": lambda root: generate.generate(
        settings_of("generate"), root / OF_RUN / "checkpoints", *tables(root, "samples", "latents"), "cpu"
    ),
    "effects": lambda root: effects.effects(
        settings_of("effects"), root / OF_RUN / "checkpoints", *tables(root, "effects", "frequency"), "cpu"
    ),
    "interventions": lambda root: interventions.interventions(
        settings_of("interventions"), root / OF_RUN / "checkpoints", *tables(root, "interventions"), "cpu"
    ),
    "behaviour": lambda root: behaviour.behaviour(settings_of("behaviour"), *tables(root, "samples", "behaviour")),
    "geometry": lambda root: geometry.geometry(
        settings_of("geometry"), *tables(root, "latents", "samples", "behaviour", "geometry", "embedding", "umaps")
    ),
    "topology": lambda root: topology.topology(
        settings_of("topology"), *tables(root, "latents", "samples", "topology")
    ),
    "phases": lambda root: phases.phases(
        settings_of("phases"), *tables(root, "geometry", "behaviour", "phases", "topology")
    ),
    "runs": lambda root: runs.runs('{"small": [0]}', root, root / "runs.parquet"),
    "metrics": lambda root: metrics.metrics(root, root / "metrics.parquet"),
    "coupling": lambda root: coupling.coupling(
        root, *(root / f"{name}.parquet" for name in ("coupling", "onsets", "factorisation"))
    ),
    "arms": lambda root: arms.arms('{"arms": []}', root / "arms.parquet"),
    "leaderboard": lambda root: leaderboard.leaderboard(
        root, *(root / f"{name}.parquet" for name in ("leaderboard", "combinations"))
    ),
    "claims": lambda root: claims.claims(root, root / "claims.parquet", root / "evidence.parquet"),
    "figure": draw_losses,
    "configuration": write_configuration,
    "report": write_report,
}
# What each step reads, and which step makes that.
READ = {
    "train": {DATASET: "dataset"},
    "generate": {CHECKPOINT: "train"},
    "effects": {CHECKPOINT: "train"},
    "interventions": {CHECKPOINT: "train"},
    "behaviour": {"samples": "generate"},
    "geometry": {"latents": "generate", "samples": "generate", "behaviour": "behaviour"},
    "topology": {"latents": "generate", "samples": "generate"},
    "phases": {"geometry": "geometry", "behaviour": "behaviour", "topology": "topology"},
    "runs": {CHECKPOINT: "train"},
    "metrics": {"runs.parquet": "runs", "losses": "train", "behaviour": "behaviour", "geometry": "geometry",
                "topology": "topology", "effects": "effects", "phases": "phases", "frequency": "effects"},
    "coupling": {"runs.parquet": "runs", "metrics.parquet": "metrics"},
    "leaderboard": {"runs.parquet": "runs", "metrics.parquet": "metrics", "arms.parquet": "arms"},
    "claims": {"runs.parquet": "runs", "metrics.parquet": "metrics", "coupling.parquet": "coupling",
               "leaderboard.parquet": "leaderboard", "phases": "phases", "interventions": "interventions"},
    "figure": {"runs.parquet": "runs", "losses": "train"},
    "report": {"config.json": "configuration", "runs.parquet": "runs", "claims.parquet": "claims",
               "evidence.parquet": "claims", "coupling.parquet": "coupling",
               "leaderboard.parquet": "leaderboard",
               "figures/loss.png": "figure", "figures/loss.csv": "figure"},
}  # fmt: skip
INPUTS = [(step, name) for step, names in READ.items() for name in names]


def place_of(name):
    """Where a file lies under the output folder; tables of the run go by their names."""
    return name if "." in name else f"{OF_RUN}/{name}.parquet"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The results of the whole chain."""
    root = tmp_path_factory.mktemp("finished")
    for make in CHAIN.values():
        make(root)
    shutil.rmtree(root / ".state")  # as the workflow does in the end
    return root


@pytest.fixture
def results(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "results"))


def contents(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    path.write_bytes(b"")


def flip(path):
    """Flip a bit in every part of the file that has a checksum of its own and is surely read."""
    raw = bytearray(path.read_bytes())
    places = [len(raw) // 2]
    if path.suffix == ".parquet":
        groups = pq.read_metadata(path)
        columns = range(groups.num_columns)
        chunks = [groups.row_group(k).column(c) for k in range(groups.num_row_groups) for c in columns]
        starts = [chunk.dictionary_page_offset or chunk.data_page_offset for chunk in chunks]
        places = [start + chunk.total_compressed_size - 1 for start, chunk in zip(starts, chunks, strict=True)]
    for place in places:
        raw[place] ^= 16
    path.write_bytes(bytes(raw))


def replace_by_another_table(path):
    bars = {
        "step": [0],
        "weights": ["raw"],
        "layer": ["down3"],
        "t": [300],
        "dimension": [0],
        "birth": [0.0],
        "death": [1.0],
    }
    name, rows = ("topology", bars | {"significant": [True]}) if path.stem == "losses" else ("losses", loss_rows())
    write_table(name, path, rows, provenance({}, run="small-seed0"))


def change_a_column(path):
    table = pq.read_table(path)
    index = 0 if table.schema.field(0).type != pa.string() else 1
    text = pa.array([str(value) for value in table.column(index).to_pylist()], pa.string())
    text = text if table.schema.field(index).type != pa.string() else pa.array([1] * len(table))
    pq.write_table(table.set_column(index, table.schema.names[index], text), path)


def give_to_another_run(path):
    if path.suffix == ".safetensors":
        tensors, metadata = load_tensors(path)
        save_tensors(path, tensors, metadata | {"run": "other-seed9"})
        return
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"bumpscope.run": b"other-seed9"}
    pq.write_table(table.replace_schema_metadata(metadata), path)


def replace_by_another_lattice(path):
    lattice = CONFIG["datasets"]["small"] | {"dx": 2.0}
    dataset.dataset(json.dumps({"lattice": lattice}), path)


def replace_by_another_step(path):
    shutil.copyfile(path.with_name("step=0.safetensors"), path)


def replace_by_another_network(path):
    metadata = load_tensors(path)[1]
    save_tensors(path, {"raw.weight": torch.zeros(2), "ema.weight": torch.zeros(2)}, metadata)


def damages(step, name):
    """The ways in which a file can be broken that ``step`` reads."""
    place = place_of(name)
    found = [truncate, empty, flip]
    if place.endswith(".parquet"):
        found += [replace_by_another_table, change_a_column]
    if place.startswith(OF_RUN):
        found += [give_to_another_run]
    if name == DATASET:
        found += [replace_by_another_lattice]
    if name == CHECKPOINT and step != "runs":
        found += [replace_by_another_step, replace_by_another_network]
    return found


def forget(path):
    """Remove the recorded checksum of a file, as if other software had written it; what has none is left as it is."""
    manifest.record_of(path).unlink(missing_ok=True)
    manifest.record_of(path.parent).unlink(missing_ok=True)


# Without a record, the list of runs, which reads no tensors, cannot see that one of them is damaged.
UNSEEN = [("runs", CHECKPOINT, flip, False)]
# A digit that has become another one.
UNSEEN += [("report", "figures/loss.csv", flip, False)]
# Without designs these tables hold no rows, and so no pages whose bytes could be damaged.
UNSEEN += [("leaderboard", "arms.parquet", flip, False)]
UNSEEN += [(step, "leaderboard.parquet", flip, False) for step in ("claims", "report")]
# Other bytes under a record are seen by it, whatever they are: one step shows that of all, and the others of a bit.
OTHER_BYTES = (truncate, empty, change_a_column)
CASES = [
    (step, name, damage, recorded)
    for step, name in INPUTS
    for recorded in (True, False)
    for damage in damages(step, name)
    if (step, name, damage, recorded) not in UNSEEN
    if not (recorded and damage in OTHER_BYTES and step != "train")
]


# Steps read a file by the same reader, so that one of them tells most; the others see a file that was cut off.
FIRST = {name: step for step, name in reversed(INPUTS)}
MARKED = [
    case if case[0] == FIRST[case[1]] or case[2] is truncate else pytest.param(*case, marks=pytest.mark.slow)
    for case in CASES
]


@pytest.mark.parametrize(
    ("step", "name", "damage", "recorded"), MARKED, ids=lambda value: getattr(value, "__name__", str(value))
)
def test_a_broken_input_is_told_with_its_cure_and_nothing_else_is_touched(results, step, name, damage, recorded):
    path = results / place_of(name)
    damage(path)
    if not recorded:
        forget(path)
    before = contents(results)
    with pytest.raises(FileError) as caught:
        CHAIN[step](results)
    told = str(caught.value)
    assert told.startswith(f"{path}: ")
    assert told.endswith(f"; {CURE}")
    assert "\n" not in told
    after = contents(results)
    assert {place for place in after if not place.startswith(".state")} == set(before)
    assert all(after[place] == content for place, content in before.items())


@pytest.mark.parametrize("step", [step for step in CHAIN if step not in ("figure", "configuration")])
def test_a_step_reads_and_writes_just_the_tables_that_it_declares(results, step):
    with recorded(results) as (read, written):
        CHAIN[step](results)
    assert read == set(declared(f"commands.{step}", "READS"))
    assert written == set(declared(f"commands.{step}", "WRITES"))


# One of the steps that read a file is enough: each reads it by the same reader.
@pytest.mark.parametrize(("name", "step"), {name: step for step, name in INPUTS}.items())
def test_the_cure_brings_back_equal_files(results, step, name):
    path, before = results / place_of(name), contents(results)
    path.unlink()
    CHAIN[READ[step][name]](results)
    CHAIN[step](results)
    after = contents(results)
    assert all(after[place] == content for place, content in before.items())


def test_a_configuration_that_was_altered_is_told(results):
    path = results / "config.json"
    path.write_text(path.read_text().replace('"steps": 4', '"steps": 5'))
    with pytest.raises(
        FileError, match=r"config\.json: has training_steps 5 for small-seed0, which was trained with 4"
    ):
        write_report(results)


def test_a_time_that_was_cut_off_does_not_stop_the_report(results, caplog):
    for name, content in (("train", "s\n3\n"), ("empty", ""), ("cut", "h:m"), ("words", "s\nsoon\n")):
        path = results / f"benchmarks/{name}/small-seed0.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    write_report(results)
    told = {Path(record.getMessage().partition(": ")[0]).parent.name for record in caplog.records}
    assert told == {"empty", "cut", "words"}
    assert "train 0.1" in (results / "report.html").read_text()


def test_the_line_ends_the_log_and_the_terminal_and_the_status_tells_it(results):
    path, log = results / place_of("topology"), results / "logs/phases.log"
    truncate(path)
    arguments = ["--settings", settings_of("phases"), "--output", results / place_of("phases")]
    for name in ("geometry", "behaviour", "topology"):
        arguments += [f"--{name}", results / place_of(name)]
    done = subprocess.run(
        [sys.executable, "-m", "bumpscope", "--log", log, "phases", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path}: does not match its checksum; ")
    assert done.stderr.endswith(f"; {CURE}\n") and done.stderr.count("\n") == 1
    assert log.read_text().splitlines()[-1].endswith(done.stderr.strip())


# What can run code that a file brings along, and the keyword without which torch.load does.
PICKLING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}


def test_nothing_that_is_read_can_bring_code_along():
    """No module unpickles, and none calls torch.load, numpy.load of objects, yaml's full loaders, eval or exec."""
    root, found = PACKAGE.parents[1], []
    for path in [*PACKAGE.rglob("*.py"), *root.glob("workflow/rules/*.smk"), root / "Snakefile"]:
        found += [f"{path.name}: {what}" for what in unsafe(path.read_text(encoding="utf-8"), path.suffix == ".py")]
    assert found == []


def unsafe(source, python=True):
    """What of a source could run code from a file."""
    if not python:  # a rule is not Python; its text is searched
        words = "|".join(sorted(PICKLING))
        return re.findall(rf"\b(?:{words})\b|torch\.load|(?<![\w.])(?:eval|exec)\(", source)
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in PICKLING]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PICKLING:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            called = ast.unparse(node.func)
            if called in ("eval", "exec", "torch.load", "pd.read_pickle", "yaml.unsafe_load", "yaml.full_load"):
                found.append(called)
            if called == "np.load" and keywords.get("allow_pickle", "False") != "False":
                found.append(called)
    return found


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "torch.load(path)", "torch.load(path, weights_only=False)", "eval(x)",
     "np.load(path, allow_pickle=True)", "yaml.unsafe_load(text)"],
)  # fmt: skip
def test_what_could_run_code_would_be_found(source):
    assert len(unsafe(source)) == 1
