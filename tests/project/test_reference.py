"""The default file, the schema and the reference pages say what the package does."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from pydantic import BaseModel

from bumpscope.config.dataset import Dataset
from bumpscope.config.experiment import Config
from bumpscope.config.loading import load, merge, read_yaml
from bumpscope.config.sensitivity import SamplerChoice
from bumpscope.store.schemas import TABLES
from reference import PAGES

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "workflow" / "presets").glob("*.yaml"))
SCHEMA = json.loads((ROOT / "workflow/schema/config.schema.json").read_text(encoding="utf-8"))
validator = jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("name", PAGES)
def test_a_committed_page_is_what_the_package_makes(name):
    # typing takes bounds 0 and 0.0 for the same, so which of them the schema has depends on what was imported before.
    read = json.loads if name.endswith(".json") else str
    assert read((ROOT / name).read_text(encoding="utf-8")) == read(PAGES[name]()), "run: make reference"


def test_the_default_file_is_the_default_experiment():
    assert load(ROOT / "config.yaml") == Config()


def sections(model=Config):
    """The sections of a configuration with their dotted paths."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield name, kind
            yield from ((f"{name}.{inner}", section) for inner, section in sections(kind))


def test_the_default_file_explains_every_key():
    lines = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()
    for path, section in sections():
        if "." not in path:
            start = lines.index(f"{path}:")
            for key in section.model_fields:
                place = next(k for k in range(start, len(lines)) if lines[k].startswith(f"  {key}:"))
                assert lines[place - 1].lstrip().startswith("# "), f"{path}.{key}"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_every_preset_can_be_run_over_the_default_file(preset):
    assert list(load(ROOT / "config.yaml", preset).runs())


def test_the_schema_is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("preset", [None, *PRESETS], ids=lambda path: path.stem if path else "default")
def test_the_schema_accepts_the_default_file_and_every_preset_over_it(preset):
    plain = read_yaml(ROOT / "config.yaml")
    if preset is not None:
        plain = merge(plain, read_yaml(preset))
    validator.validate(plain)


@pytest.mark.parametrize("holdout", ["none", None, {"x": [5.0, 8.0], "y": [5.0, 8.0]}])
def test_the_schema_accepts_both_ways_to_write_a_holdout(holdout):
    validator.validate({"datasets": {"a": {"holdout": holdout}}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"trainning": {}},
        {"training": {"step": 5}},
        {"datasets": {"a": {"size": 16}}},
        {"datasets": {"a": {"training": {"step": 5}}}},
        {"datasets": {"a": {"skew": {"exponent": 1}}}},
        {"datasets": {"a": {"holdout": "all"}}},
        {"datasets": {"0a": {}}},
        {"sweep": {"common": {"dx": 1.0}}},
        {"sweep": {"common": {"training": {"step": 5}}}},
        {"sweep": {"spacings": {"dx": [0.0]}}},
        {"sweep": {"references": []}},
        {"training": {"learning_rate": "1e-3"}},
        {"training": {"steps": 0}},
        {"model": {"base_width": 12}},
        {"device": "tpu"},
        {"sensitivity": {"samplers": [{"sampler": "ddim"}]}},
        {"sensitivity": {"layers": ["up9"]}},
        {"seeds": [-1]},
    ],
    ids=str,
)
def test_the_schema_rejects_what_a_configuration_may_not_hold(wrong):
    assert not validator.is_valid(wrong)


def test_the_configuration_page_has_a_row_for_every_key():
    page = PAGES["docs/config.md"]()
    rows = re.findall(r"^\| `(.*)$", page, flags=re.MULTILINE)
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)
    parts = dict(re.findall(r"^##+ `([^`]+)`\n(.*?)(?=^##|\Z)", page, flags=re.MULTILINE | re.DOTALL))
    for path, section in [*sections(), ("datasets.NAME", Dataset), ("sensitivity.samplers", SamplerChoice)]:
        assert re.findall(r"^\| `(\w+)` \|", parts[path], flags=re.MULTILINE) == list(section.model_fields)


def test_the_tables_page_names_every_column_of_every_table():
    page = PAGES["docs/tables.md"]()
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    assert list(parts) == list(TABLES)
    for name, table in TABLES.items():
        assert f"`{table.path}`" in parts[name]
        assert re.findall(r"^\| `(\w+)` \|", parts[name], flags=re.MULTILINE) == table.names


def test_every_column_has_a_known_kind_a_unit_and_a_meaning():
    for name, table in TABLES.items():
        assert len(set(table.names)) == len(table.names), name
        for column in table.columns:
            assert column.kind in ("int", "float", "text", "bool", "vector", "image"), (name, column)
            assert column.unit and column.description, (name, column)


CONTRACT = {
    "dataset": "mu_x, mu_y, probability, image",
    "runs": "run, dataset, seed, dx, dy, image_size, sigma, margin, boundary, skew_axis, skew_alpha, n_images,"
    " n_parameters, path",
    "losses": "step, loss, learning_rate, images_seen",
    "samples": "step, sample, mu_x, mu_y, split, noise_seed, image",
    "behaviour": "step, sample, mu_x, mu_y, split, bumps, x, y, amplitude, width, outcome",
    "latents": "step, layer, t, sample, vector",
    "geometry": "step, layer, t, space, label, metric, value",
    "embedding": "step, layer, t, sample, pca_1, pca_2, pca_3, umap_1, umap_2, umap_3",
    "topology": "step, layer, t, dimension, birth, death",
    "effects": "step, t, weights, effect_x, effect_y, effect_xy, residual, excess",
    "phases": "step, latent_phase, behaviour_phase",
    "metrics": "run, dataset, seed, step, quantity, factor, layer, t, space, label, split, noise, weights, bin, value",
    "coupling": "dataset, measure, coupling, low, high, gap, gap_low, gap_high, runs, verdict",
    "claims": "claim, statement, statistic, estimate, low, high, runs, verdict",
    "leaderboard": "arm, told, positions, k_star, low, high, ratio, exponent, seen_accuracy, n_parameters, runs",
}


@pytest.mark.parametrize("name", CONTRACT)
def test_columns_that_other_programs_rely_on_are_there(name):
    assert set(CONTRACT[name].replace(" ", "").split(",")) <= set(TABLES[name].names)
