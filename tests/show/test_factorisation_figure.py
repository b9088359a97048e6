"""The figure of the factorisation benchmark shows what its tables have, also where little was measured."""

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from bumpscope.show.figures import factorisation
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from made_up_designs import ARMS, benchmark_tables, made_up
from made_up_runs import run_row
from printed_figures import outside, overlapping, too_small, written
from synthetic_results import METADATA


def selected(folder, curves, **keys):
    tables = dict(zip(("combinations", "leaderboard"), benchmark_tables(curves, **keys), strict=True))
    tables["runs"] = pd.DataFrame([run_row("plain", 0)]).reindex(columns=TABLES["runs"].names)
    for name, table in tables.items():
        write_table(name, folder / TABLES[name].path, table, METADATA)
    return factorisation.select(Results(folder))


CASES = {
    "all": ARMS,
    "one K and one seed": made_up("unet", 8, 40, each=[4], seeds=1),
    "three sizes": pd.concat([made_up("unet", n, 5 * n, seeds=2) for n in (6, 12, 24)]),
    "many arms": pd.concat([made_up(f"arm {k}", 8, 10 + 3 * k, seeds=2) for k in range(14)]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_case_is_drawn_and_read(case, tmp_path):
    data = selected(tmp_path, CASES[case])
    figure = factorisation.draw(data)
    FigureCanvasAgg(figure).draw()
    texts = written(figure)
    assert not too_small(texts, 5.9) and not outside(texts, figure.bbox) and not overlapping(texts)
    panels = data[factorisation.PANEL].drop_duplicates()
    assert len(figure.axes) == 2 * len(panels)
    assert factorisation.finding(data).startswith("N = ")


def test_a_mark_stands_at_each_threshold_and_an_arrow_where_only_a_bound_is_known(tmp_path):
    data = selected(tmp_path, ARMS)
    figure = factorisation.draw(data)
    for lower, n in zip(figure.axes[2:], (8, 12), strict=True):
        marked = {line.get_xdata()[0] for line in lower.lines if line.get_marker() != "None"}
        own = data[data["positions"] == n].drop_duplicates("arm")
        assert marked == set(own["k_star"])
        arrows = [text.get_text() for text in lower.texts]
        assert sorted(arrows) == sorted({"at most": "←", "at least": "→"}[bound] for bound in own["bound"] if bound)
        assert {"←", "→"} <= set(arrows)
    names = [label.get_text() for label in figure.axes[2].get_yticklabels()]
    assert names == ["rendering", "relative", "unet + stripes", "unet", "coind"]
    assert "rendering at most 8" in factorisation.finding(data) and "coind at least 64" in factorisation.finding(data)
