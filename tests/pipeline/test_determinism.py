"""The page on determinism names tests that exist, and is made of its tables."""

import ast
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import determinism
import determinism_page as page
from truth_tables import DOCS, NOT_MEASURED, as_csv, save

TESTS = Path(__file__).parents[1]


def functions(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`tests/(\w+/\w+\.py)::(\w+)`", (DOCS / "determinism.md").read_text(encoding="utf-8"))
    assert len(named) >= 15
    assert not [f"{file}::{name}" for file, name in named if name not in functions(file)]


def test_the_page_and_its_tables_are_made_of_the_kept_ones():
    assert (DOCS / "determinism.md").read_text(encoding="utf-8") == page.page()
    for name, table in page.tables().items():
        assert (DOCS / "data" / f"{name}.csv").read_text(encoding="utf-8") == as_csv(table), name


def found(seed: int, shift: float = 0.0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    weights = random.normal(size=1000).astype(np.float32)
    numbers = np.array([0.9, 0.2, 0.8, 0.8, 0.9, 2.0]) + 0.01 * random.normal(size=6) + shift
    return {
        "losses": np.linspace(1, 0.1, 5) * (1 + shift),
        "early": weights + np.float32(shift),
        "weights": weights + np.float32(shift),
        "metrics": numbers,
        "instructions": np.array("AVX2"),
    }


def rows(variants: dict[str, tuple[int, float]], kept: dict[str, np.ndarray]) -> pd.DataFrame:
    each = [(name, seed, determinism.compared(found(seed, shift), kept)) for name, (seed, shift) in variants.items()]
    return pd.DataFrame([{"variant": name, "seed": seed, "threads": 1} | told for name, seed, told in each])


CPU = {"as it was": (0, 0.0), "again": (0, 0.0), "shifted": (0, 1e-4), "seed 1": (1, 0.0), "seed 2": (2, 0.0)}


@pytest.fixture
def folder(tmp_path):
    save("determinism-cpu", rows(CPU, found(0)), tmp_path)
    return tmp_path


def cells(text: str, variant: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {variant} |")]
    return line.strip("| ").split(" | ")


def test_what_is_the_same_bit_for_bit_is_read_from_the_table(folder):
    text = page.page(folder)
    assert cells(text, "again")[2:4] == ["0", "same"] and cells(text, "again")[-1] == "0.00"
    assert cells(text, "shifted")[3] == "differ" and cells(text, "shifted")[-1] != "0.00"


def test_a_run_that_is_not_the_same_again_differs(tmp_path):
    save("determinism-cpu", rows(CPU | {"again": (0, 1e-7)}, found(0)), tmp_path)
    assert cells(page.page(tmp_path), "again")[3] == "differ"


def test_a_difference_is_set_against_that_of_seeds(folder):
    frame = rows(CPU, found(0))
    deviation = page.spread(frame)
    seeds = np.array([found(seed)["metrics"] for seed in (0, 1, 2)])
    np.testing.assert_allclose(deviation, seeds.std(axis=0, ddof=1))
    assert cells(page.page(folder), "shifted")[-1] == f"{(1e-4 / deviation).max():.2f}"


def test_a_gpu_is_not_measured_until_it_is(folder):
    assert f"CPU against GPU: {NOT_MEASURED}." in page.page(folder)
    kept = {name: values[:: determinism.KEPT_EVERY] for name, values in found(0).items() if name != "instructions"}
    kept |= {"losses": found(0)["losses"]}
    gpu = {"on the GPU": (5, 0.0), "on the GPU, again": (5, 0.0), "on the GPU, seed 1": (6, 0.0)}
    save("determinism-cuda", rows(gpu, kept), folder)
    text = page.page(folder)
    assert f"CPU against GPU: {NOT_MEASURED}." not in text
    assert cells(text, "on the GPU, again")[3] == "same" and cells(text, "on the GPU, seed 1")[3] == "differ"


def test_of_the_weights_a_part_is_kept_and_compared(tmp_path):
    whole, other = found(0), found(0, 1e-3)
    determinism.keep(whole, tmp_path)
    table = determinism.load("determinism-kept", tmp_path)[0]
    kept = {str(name): part.value.to_numpy() for name, part in table.groupby("what")}
    assert len(kept["weights"]) == len(whole["weights"][:: determinism.KEPT_EVERY])
    assert determinism.compared(whole, kept)["weights"] == 0
    told = determinism.compared(other, kept)
    assert told["weights"] == pytest.approx(1e-3, rel=0.5) and told["losses"] == pytest.approx(1e-3, rel=0.01)
    assert told["digest"] != determinism.compared(whole, kept)["digest"]


@pytest.mark.slow
def test_a_training_is_measured(monkeypatch):
    short = determinism.TRAINING.model_copy(update={"steps": 30})
    monkeypatch.setattr(determinism, "TRAINING", short)
    one, same, other = (determinism.train_and_measure(seed, 1, "cpu") for seed in (0, 0, 1))
    assert np.isfinite(one["metrics"][[0, 2, 3]]).all()
    assert determinism.compared(same, one)["weights"] == 0 < determinism.compared(other, one)["weights"]
    assert len(one["losses"]) == 3
