"""Every figure can be printed as it is: at the width it states, legible, as vectors, the same in every process."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bumpscope.show import gallery, style
from bumpscope.show.figures import loss
from bumpscope.store.results import Results
from printed_figures import outside, overlapping, too_small, written
from synthetic_results import BALANCED, DATASETS, IMBALANCED, write_results

NAMES = gallery.names()
# Clouds of points, pictures and scales of colour.
WITH_IMAGES = {"contact_sheet", "manifold", "onset_map", "training_strip"}
STEPS = (0, 300, 600, 900, 1500)


@pytest.fixture(scope="module")
def usual(tmp_path_factory) -> Path:
    datasets = {name: DATASETS[name] for name in ("balanced", "torus", "fine-x", "balanced-epsilon", "skew-y")}
    return write_results(tmp_path_factory.mktemp("usual"), datasets, seeds=(0, 1), steps=STEPS, samples=64)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory) -> Path:
    """Long names, more datasets, runs and places than a page can hold, and imbalanced ones beside references."""
    datasets = {f"a-rather-long-name-{k}": BALANCED for k in range(12)} | {"torus": DATASETS["torus"]} | IMBALANCED
    layers = ("down1", "down2", "down3", "up1", "up2")
    root = tmp_path_factory.mktemp("crowded")
    return write_results(root, datasets, seeds=(0, 1), steps=STEPS, samples=32, layers=layers)


def printed(name: str, folder: Path, target: Path) -> Figure:
    """A figure, written as figure.pdf and figure.png, with the layout of these."""
    module = gallery.figure(name)
    figure = module.draw(module.select(Results(folder)))
    style.save(figure, target / "figure.pdf", target / "figure.png")
    return figure


def check_legible(figure: Figure, name: str) -> None:
    width, height = figure.get_size_inches()
    assert width in (style.SINGLE, style.DOUBLE) and width <= gallery.figure(name).WIDTH
    assert height <= style.TALLEST + 1e-9
    texts = written(figure)  # drawn once for all three
    assert not too_small(texts, style.SMALLEST)
    assert not outside(texts, figure.bbox)
    assert not overlapping(texts)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_crowded_figure_is_legible_at_the_width_it_states(name, crowded, tmp_path):
    check_legible(printed(name, crowded, tmp_path), name)


def test_faults_of_a_printed_figure_are_found():
    figure = Figure(figsize=(style.SINGLE, 2))
    figure.text(0.5, 0.5, "small", fontsize=5)
    figure.text(0.51, 0.5, "over it", fontsize=8)
    figure.text(0.95, 0.1, "over the edge", fontsize=8)
    texts = written(figure)
    assert len(too_small(texts, style.SMALLEST)) == len(overlapping(texts)) == len(outside(texts, figure.bbox)) == 1


# Those of the appendix take twenty seconds.
CASES = [name if name in gallery.MAIN else pytest.param(name, marks=pytest.mark.slow) for name in NAMES]


@pytest.mark.parametrize("name", CASES)
def test_a_figure_is_legible_and_its_pdf_holds_text_and_lines_as_such_and_stays_small(name, usual, tmp_path):
    figure = printed(name, usual, tmp_path)
    check_legible(figure, name)
    pdf = (tmp_path / "figure.pdf").read_bytes()
    # TrueType (Type 42) inside, which journals accept; no Type 3, which some do not.
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    assert (b"/Subtype /Image" in pdf) == (name in WITH_IMAGES)
    assert len(pdf) < 600_000
    page = [float(number) / 72 for number in re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+)", pdf).groups()]
    assert page == pytest.approx(list(figure.get_size_inches()), abs=0.01)


def test_what_is_made_of_pixels_inside_a_pdf_has_300_of_them_an_inch(tmp_path):
    figure = Figure(figsize=(style.SINGLE, 2))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.scatter([0, 1], [0, 1], rasterized=True)
    style.save(figure, tmp_path / "figure.pdf", tmp_path / "figure.png")
    widths = re.findall(rb"/Width (\d+)", (tmp_path / "figure.pdf").read_bytes())
    # The marks lie at the margins of 1/22 on each side.
    assert max(map(int, widths)) >= 300 * style.SINGLE * 20 / 22


@pytest.mark.slow  # a minute; the animation and test_figures draw twice in one process
def test_all_figures_have_the_same_bytes_in_every_process(usual, tmp_path):
    program = (
        "import sys; from pathlib import Path; from bumpscope.commands.figure import figure\n"
        "folder, target = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "for name in sys.argv[3:]:\n"
        "    figure(name, folder, *(target / f'{name}.{kind}' for kind in ('pdf', 'png', 'csv')))\n"
    )
    for seed in ("1", "2"):  # of the order of sets
        (tmp_path / seed).mkdir()
        environment = os.environ | {"PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", program, str(usual), str(tmp_path / seed), *NAMES]
        subprocess.run(command, check=True, env=environment)
    paths = sorted(path for path in (tmp_path / "1").iterdir() if path.is_file())  # beside the folder of checksums
    for path in paths:
        content = path.read_bytes()
        assert content == (tmp_path / "2" / path.name).read_bytes(), path.name
        assert b"CreationDate" not in content and b"tIME" not in content, path.name
    assert len(paths) == 3 * len(NAMES)


def test_points_of_the_loss_curves_are_the_rows_of_its_table(usual):
    data = loss.select(Results(usual))
    panels = loss.draw(data).axes
    own = [line for axes in panels for line in axes.lines if line.get_color() == style.BLUE]
    drawn = np.concatenate([line.get_xydata() for line in own])
    drawn = drawn[np.isfinite(drawn).all(axis=1)]
    assert len(panels) == data["dataset"].nunique()
    expected = data[["step", "loss"]].to_numpy()
    assert drawn[np.lexsort(drawn.T)] == pytest.approx(expected[np.lexsort(expected.T)])


def test_all_colours_come_from_one_place():
    for name in NAMES:
        source = Path(gallery.figure(name).__file__).read_text(encoding="utf-8")
        assert not re.findall(r"#[0-9a-fA-F]{6}", source), name


def test_figures_wait_for_no_library_that_trains_or_embeds():
    program = (
        "import sys; from bumpscope.show import animation, gallery\n"
        "from bumpscope.commands import animation, figure\n"
        "[gallery.figure(name) for name in gallery.names()]\n"
        "print(*sorted({'torch', 'umap', 'numba'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert told.stdout.split() == []
