"""Figures are the same bytes for every user."""

import matplotlib
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
