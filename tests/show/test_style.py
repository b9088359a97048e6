"""Figures are the same bytes for every user."""

import matplotlib
import seaborn as sns
from matplotlib.figure import Figure

from bumpscope.show import style


def drawn(folder):
    with style.apply():
        figure = Figure(figsize=(2, 2))
        figure.subplots().plot([0, 1], [0, 1])
    style.save(figure, folder / "a.pdf", folder / "a.png")
    return (folder / "a.pdf").read_bytes(), (folder / "a.png").read_bytes()


def test_a_users_own_settings_of_matplotlib_change_no_figure(tmp_path):
    usual = drawn(tmp_path)
    own = {"axes.grid": True, "lines.dashed_pattern": (1, 9), "axes.labelpad": 30, "savefig.pad_inches": 2}
    with matplotlib.rc_context(own | {"savefig.bbox": "tight", "xtick.direction": "in", "axes.facecolor": "red"}):
        assert drawn(tmp_path) == usual


def test_the_style_is_that_of_seaborn():
    usual = matplotlib.rcParamsDefault
    changed = {key: value for key, value in sns.axes_style("ticks").items() if usual[key] != value}
    assert changed.pop("image.cmap") == "rocket"  # figures name their colours
    assert changed == style.TICKS


def test_cells_of_the_sweep_are_named_by_their_spacing():
    assert style.spaced("dx0p1667_dy6") == "x 0.167 px, y 6 px"
    assert style.spaced("torus_dx1_dy1_skewx1p5") == "torus, x 1 px, y 1 px, skewx1p5"
    assert style.spaced("dx0p5_dy2_factorised") == "x 0.5 px, y 2 px, factorised"
    for name in ("balanced", "dx_dy", "dense_dx1_dy1"):
        assert style.spaced(name) == name
