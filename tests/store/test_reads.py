"""What is drawn reads just the tables that it declares, which are those that the workflow makes for it."""

import importlib
from pathlib import Path

import pytest

from bumpscope.commands import animation, explorer, figure
from bumpscope.show import gallery, style
from bumpscope.store.provenance import declared
from explorer_results import write_explored
from synthetic_results import DATASETS, IMBALANCED, write_results
from tables_used import recorded


@pytest.fixture(scope="module", params=[pytest.param("plain", marks=pytest.mark.slow), "imbalanced"])
def results(request, tmp_path_factory) -> Path:
    datasets = DATASETS if request.param == "plain" else IMBALANCED
    return write_results(tmp_path_factory.mktemp(request.param), datasets, seeds=range(2), samples=16)


@pytest.mark.parametrize("name", gallery.names())
def test_a_figure_reads_no_table_that_it_does_not_declare(results, tmp_path, name, monkeypatch):
    module = importlib.import_module(f"bumpscope.show.figures.{name}")
    # Drawing, which takes longest, sees just the selected data.
    monkeypatch.setattr(module, "draw", lambda data: None)
    monkeypatch.setattr(style, "save", lambda _, *paths: [path.touch() for path in paths])
    with recorded(results) as (read, written):
        figure.figure(name, results, *(tmp_path / f"figure.{kind}" for kind in ("pdf", "png", "csv")))
    assert read <= {"runs", *module.READS}
    assert written == set()


def test_the_animation_and_the_explorer_read_just_the_tables_that_they_declare(tmp_path):
    root = tmp_path / "results"
    write_explored(root, samples=16, seeds=range(1))
    with recorded(root) as (read, _):
        animation.animation(root, tmp_path / "manifold.gif")
    assert read == set(declared("commands.animation", "READS"))
    with recorded(root) as (read, _):
        explorer.explorer(root, tmp_path / "explorer.html")
    assert read == set(declared("commands.explorer", "READS"))
