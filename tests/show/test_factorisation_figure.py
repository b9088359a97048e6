"""The figure of the factorisation benchmark shows what its tables have, also where little was measured."""

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bumpscope.show.figures import factorisation
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from made_up_designs import ARMS, benchmark_tables, made_up, of_tables, tables, together
from made_up_runs import run_row
from printed_figures import outside, overlapping, too_small, written
from synthetic_results import METADATA


def selected(folder, benchmark):
    kept = dict(zip(("combinations", "leaderboard"), benchmark, strict=True))
    kept["runs"] = pd.DataFrame([run_row("plain", 0)]).reindex(columns=TABLES["runs"].names)
    for name, table in kept.items():
        write_table(name, folder / TABLES[name].path, table, METADATA)
    return factorisation.select(Results(folder))


CASES = {
    "all": ARMS,
    "one K and one seed": made_up("unet", 8, 40, each=[4], seeds=1),
    "three sizes": pd.concat([made_up("unet", n, 5 * n, seeds=2) for n in (6, 12, 24)]),
    "many arms": pd.concat([made_up(f"arm {k}", 8, 10 + 3 * k, seeds=2) for k in range(16)]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_is_drawn_and_read(case, tmp_path):
    data = selected(tmp_path, benchmark_tables(CASES[case]))
    figure = factorisation.draw(data)
    FigureCanvasAgg(figure).draw()
    texts = written(figure)
    assert not too_small(texts, 5.9) and not outside(texts, figure.bbox) and not overlapping(texts)
    panels = data[factorisation.PANEL].drop_duplicates()
    assert len(figure.axes) == 2 * len(panels)
    assert factorisation.finding(data).startswith("N = ")


def test_an_arm_from_elsewhere_has_the_name_of_its_class(tmp_path):
    arms = pd.concat([made_up("unet", 8, 40, seeds=2), made_up("my_package.net:Net + stripes", 8, 20, seeds=2)])
    figure = factorisation.draw(selected(tmp_path, benchmark_tables(arms)))
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["Net + stripes", "unet"]


def test_designs_in_random_order_have_panels_of_their_own(tmp_path):
    both = of_tables(*together(tables(ARMS), tables(ARMS[ARMS["arm"] != "coind"], order="random")))
    data = selected(tmp_path, both)
    figure = factorisation.draw(data)
    FigureCanvasAgg(figure).draw()
    assert [axes.get_title("left") for axes in figure.axes[:4]] == [
        "N = 8", "N = 12", "N = 8, random order", "N = 12, random order",
    ]  # fmt: skip
    texts = written(figure)
    assert not outside(texts, figure.bbox) and not overlapping(texts)
    assert factorisation.finding(data[data["design"] == "random"]).startswith("N = 8, random order, K* of 64")


def test_a_mark_stands_at_each_threshold_and_an_arrow_where_only_a_bound_is_known(tmp_path):
    data = selected(tmp_path, benchmark_tables(ARMS))
    figure = factorisation.draw(data)
    for lower, n in zip(figure.axes[2:], (8, 12), strict=True):
        marked = {line.get_xdata()[0] for line in lower.lines if line.get_marker() != "None"}
        own = data[data["positions"] == n].drop_duplicates("arm")
        ends = {"at most": own["high"], "at least": own["low"]}
        assert marked == {ends.get(bound, own["k_star"])[index] for index, bound in own["bound"].items()}
        arrows = [text.get_text() for text in lower.texts]
        assert sorted(arrows) == sorted({"at most": "←", "at least": "→"}[bound] for bound in own["bound"] if bound)
        assert {"←", "→"} <= set(arrows)
    names = [label.get_text() for label in figure.axes[2].get_yticklabels()]
    assert names == ["rendering", "relative", "unet + stripes", "unet", "coind"]
    assert "rendering at most 9" in factorisation.finding(data) and "coind at least 62" in factorisation.finding(data)
