"""The report stands alone, is well formed, and says what the tables say."""

import base64
import importlib
import shutil
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import synthetic_results
from bumpscope import __version__
from bumpscope.commands.figure import figure
from bumpscope.judge import remedies
from bumpscope.judge.claims import modules, paragraph
from bumpscope.show import gallery
from bumpscope.show.failures import failure, why_not_drawn
from bumpscope.show.figures import onset_map
from bumpscope.show.report import page, pictures
from bumpscope.show.report.page import TABLES_OF_ALL_RUNS, build
from bumpscope.store.manifest import description
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import TableError, write_table
from synthetic_results import BALANCED, CONFIGURATION, METADATA, write_results

VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that are not closed in their order."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._open = "", []
        self.feed(html)
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" not in self._open:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


# In the order in which the page has them.
DRAWN = ("training_strip", "decodability", "behaviour_mix", "phases")


def drawn(root, *names):
    """The folder of figures, with these in it."""
    folder = root / "figures"
    folder.mkdir()
    for name in names:
        figure(name, root, *(folder / f"{name}.{kind}" for kind in ("pdf", "png", "csv")))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = write_results(
        tmp_path_factory.mktemp("report"), {"NA": BALANCED}, seeds=(0, 1), steps=(0, 600, 1500), samples=32
    )
    drawn(root, *DRAWN)
    return root


@pytest.fixture(scope="module")
def html(folder):
    return build(Results(folder), folder / "figures", CONFIGURATION, {"Processor": "two cores"})


def test_every_figure_of_the_package_has_its_place_in_the_report():
    names = pictures.figure_names()
    assert sorted(names) == gallery.names() and len(set(names)) == len(names)


def test_the_page_is_well_formed_and_refers_to_nothing_outside(html):
    page = Page(html)
    assert not page.of("script") and not page.of("iframe")
    assert [link["href"] for link in page.of("link")] == ["data:,"]
    assert "url(" not in html and "@import" not in html and "http" not in html
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.of("img"))
    inside = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    links = {link["href"] for link in page.of("a")}
    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= inside
    assert len([attributes for _, attributes in page.tags if "id" in attributes]) == len(inside)


def test_links_lead_to_what_the_workflow_makes_beside_the_page(html):
    links = {link["href"] for link in Page(html).of("a") if not link["href"].startswith("#")}
    figures = {f"figures/{name}.{kind}" for name in DRAWN for kind in ("pdf", "png", "csv")}
    tables = {TABLES[name].path for name in TABLES_OF_ALL_RUNS}
    runs = {"runs/NA/seed%3D0/", "runs/NA/seed%3D1/", "datasets/NA.parquet"}
    assert links == figures | tables | runs | {"explorer.html", "config.json"}


def test_pictures_are_the_files_and_have_their_findings_as_text(html, folder):
    images = Page(html).of("img")
    assert len(images) == len(DRAWN)
    for image, name in zip(images, DRAWN, strict=True):
        module = importlib.import_module(f"bumpscope.show.figures.{name}")
        content = base64.b64decode(image["src"].partition(",")[2])
        assert content == (folder / f"figures/{name}.png").read_bytes()
        assert image["alt"].endswith(module.finding(pictures.read_data(folder / f"figures/{name}.csv")))


def test_text_stays_text_whatever_it_looks_like(tmp_path):
    path = tmp_path / "data.csv"
    pd.DataFrame({"dataset": ["NA", "1", None], "pair": ["01", "2", "3"], "value": [1.5, np.nan, 2]}).to_csv(
        path, index=False
    )
    data = pictures.read_data(path, text=("pair",))
    assert data["dataset"].tolist()[:2] == ["NA", "1"] and data["dataset"].isna().tolist() == [False, False, True]
    assert data["pair"].tolist() == ["01", "2", "3"]
    assert data["value"].dtype == float and data["value"].isna().tolist() == [False, True, False]


def test_a_figure_that_was_not_drawn_is_said_to_be_missing(html):
    assert Page(html).text.count("This figure has not been drawn.") == len(pictures.figure_names()) - len(DRAWN)


def test_a_figure_without_data_is_a_line_and_one_that_could_not_be_drawn_says_why(tmp_path):
    root = write_results(tmp_path, {"d": BALANCED}, (0,), (0, 600), samples=32)
    folder = drawn(root, "onset_map", "loss")
    pd.DataFrame(failure(KeyError("step\n<i>"))).to_csv(folder / "loss.csv", index=False)
    page = Page(build(Results(root), folder, CONFIGURATION))
    text = " ".join(page.text.split())
    assert f"{gallery.title(onset_map)}: {onset_map.NOTHING}" in text
    assert "Training loss: This figure could not be drawn (KeyError: 'step\\n<i>'); logs/figures/loss.log" in text
    assert not page.of("img") and not page.of("i")


def test_a_figure_that_cannot_be_drawn_says_so_and_not_what_made_it(folder, tmp_path, monkeypatch):
    paths = [tmp_path / f"loss.{kind}" for kind in ("pdf", "png", "csv")]

    def broken(error):
        def select(results):
            raise error

        monkeypatch.setattr("bumpscope.show.figures.loss.select", select)

    broken(KeyError("step"))
    with pytest.raises(KeyError):
        figure("loss", folder, *paths)
    assert not any(path.exists() for path in paths)
    figure("loss", folder, *paths, spare_others=True)
    assert why_not_drawn(paths[2]) == "KeyError: 'step'" and all(path.stat().st_size for path in paths)
    assert not any(description(path) for path in paths)  # so that they are stale
    # What other figures would fail at too is no matter of this one.
    for error in (TableError("x.parquet: is missing"), OSError(28, "No space left on device"), MemoryError()):
        broken(error)
        with pytest.raises(type(error)):
            figure("loss", folder, *paths, spare_others=True)


def test_questions_are_answered_by_the_verdicts_and_what_would_tell_more_has_its_planned_cost(folder):
    costs = {remedies.A_SEED: "about 7 core-minutes"}
    page = Page(build(Results(folder), folder / "figures", CONFIGURATION, costs=costs))
    text = " ".join(page.text.split())
    asked, _, after = text.partition(modules()["C3"].QUESTION)
    assert modules()["C1"].QUESTION in asked and after.startswith(" ✗ contradicted No. C3")
    assert "Fewer than five seeds." in after and "seed of every dataset: about 7 core-minutes." in after


def test_a_question_of_which_there_are_no_runs_is_one_line(folder, tmp_path):
    claims, evidence = (Results(folder).table(name) for name in ("claims", "evidence"))
    checks = evidence.head(1).assign(claim="F1")
    write_table("claims", tmp_path / "claims.parquet", claims[claims["claim"] == "C1"].assign(claim="F1", runs=0), {})
    write_table("evidence", tmp_path / "evidence.parquet", checks, {})
    shutil.copyfile(folder / "runs.parquet", tmp_path / "runs.parquet")
    text = " ".join(Page(build(Results(tmp_path), tmp_path / "figures", CONFIGURATION)).text.split())
    asked, _, not_asked = text.partition("Questions that no run could answer ")
    assert not_asked.startswith(f"{modules()['F1'].QUESTION} (F1)") and "How sure" not in asked


def test_methods_tell_the_network_and_what_differs_between_datasets(tmp_path):
    datasets = {"even": BALANCED, "finer": {"dx": 0.5, "dy": 1.0}}
    root = write_results(tmp_path, datasets, (0,), (0,), samples=32)
    text = " ".join(Page(build(Results(root), root / "figures", CONFIGURATION)).text.split())
    assert "unet: 370000 parameters, 1000 timesteps" in text
    assert "The datasets differ in spacing in x (px): 1, 0.5." in text and "finer x 0.5 px, y 1 px" in text


def test_a_figure_stands_once_with_the_claim_that_begins_with_it_and_the_others_link_to_it(html):
    page = Page(html)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert [name for name in ids if name in pictures.figure_names()] != []
    for name in pictures.figure_names():
        assert ids.count(name) == 1
    # The synthetic table has C1, C3 and one on coupling alone: what belongs to no other claim follows them.
    order = [
        "training_strip",
        "questions",
        "C1",
        "places",
        "C3",
        "decodability",
        "C5-not-factorised",
        "imbalance_curves",
    ]
    order += ["others", "behaviour_mix", "appendix", "coupling_index"]
    assert [name for name in ids if name in order] == order and ids.index("phases") > ids.index("appendix")
    places = pictures.placed(modules())
    assert places["phases"] == "C1" and places["behaviour_mix"] == "C2" and places["event_order"] == "C4"
    assert pictures.placed(["C2", "C3"])["phases"] == "C2" and pictures.placed([]) == {}


def test_the_page_begins_with_what_was_requested():
    runs = pd.DataFrame({"factors": ["x+y", "x size"]})
    assert page._requested(runs[:1]) == "one Gaussian bump at a requested place (x, y)"
    assert page._requested(runs[1:]) == "images of requested x and size"
    assert page._requested(runs) == "images of requested x and y, or x and size"


def test_verdicts_come_from_the_claims_table(html):
    text = " ".join(Page(html).text.split())
    assert "Of 3 claims, 1 supported, 1 contradicted, 1 undetermined." in text
    assert "✗ contradicted" in text and "−0.1 [−0.3, 0.1]" in text


def test_a_claim_has_its_checks_in_words_and_in_a_table_and_without_evidence_its_reason(html, folder):
    evidence, claims = (Results(folder).table(name) for name in ("evidence", "claims"))
    text = " ".join(Page(html).text.split())
    for row in claims.to_dict("records"):
        assert paragraph(row, evidence) in text
    assert claims.set_index("claim").loc["C1", "reason"] in text
    table = html.partition('aria-label="Numbers behind C3"')[2].partition("</table>")[0]
    assert "−0.3 to 0.1</td>\n<td>supports</td><td>&gt; 0</td>\n<td>no</td>" in table


def test_other_verdicts_make_another_page(folder, tmp_path):
    table = synthetic_results.claims().assign(verdict="contradicted", statement="<b>bold & open", estimate=np.nan)
    root = write_results(tmp_path, {"d": BALANCED}, (0,), (0,), samples=32, without=("claims",))
    write_table("claims", root / TABLES["claims"].path, table, METADATA)
    html = build(Results(root), root / "figures", CONFIGURATION)
    page = Page(html)
    assert "Of 3 claims, 0 supported, 3 contradicted, 0 undetermined." in page.text
    assert "<b>bold & open" in page.text and not page.of("b") and "✓" not in page.text
    assert "Circumstances" not in page.text


def test_references_of_known_coupling_have_a_table_of_their_own(tmp_path):
    root = write_results(tmp_path, {"d": {"dx": 0.5, "dy": 1.0}}, (0,), (0, 600), samples=32, without=("claims",))
    own = Results(root).coupling.query("measure == 'effects'")
    index = {"coupling": 0.5, "low": 0.25, "high": 0.75, "null_x": "fine", "null_y": "coarse", "censored": 2}
    table = pd.concat([own.assign(**index), own.assign(dataset="known", reference="gated")])
    write_table("coupling", root / TABLES["coupling"].path, table, METADATA)
    text = " ".join(Page(build(Results(root), root / "figures", {})).text.split())
    before, heading, after = text.partition("Reference models")
    assert "0.5 [0.25, 0.75]" in before and "fine, coarse" in before and "2 never there" in before
    assert heading and "known lattice, gated" in after and "known lattice" not in before
    write_table("coupling", root / TABLES["coupling"].path, table.iloc[1:], METADATA)
    text = Page(build(Results(root), root / "figures", {})).text
    assert "No imbalanced dataset of the model under study was trained." in text


def test_a_leaderboard_has_a_section_where_there_is_one(tmp_path):
    root = write_results(tmp_path, {"d": {"dx": 1.0, "dy": 1.0}}, (0,), (0, 600), samples=32, without=("claims",))
    text = " ".join(Page(build(Results(root), root / "figures", {})).text.split())
    assert "Combinations that must be shown" in text and "at most 8.69 " in text and "fewer than five seeds" in text
    table = Results(root).leaderboard
    assert "random order" not in text
    shuffled = pd.concat([table, table.assign(design="random")])
    write_table("leaderboard", root / TABLES["leaderboard"].path, shuffled, METADATA)
    text = " ".join(Page(build(Results(root), root / "figures", {})).text.split())
    assert "Random order: rows and columns" in text and text.count("random order") == len(table)
    write_table("leaderboard", root / TABLES["leaderboard"].path, table.iloc[:0], METADATA)
    page = build(Results(root), root / "figures", {})
    assert 'id="leaderboard"' not in page and 'href="#leaderboard"' not in page


def test_missing_tables_are_said_to_be_missing(tmp_path):
    without = ("claims", "coupling", "metrics")
    root = write_results(tmp_path, {"d": BALANCED}, (0,), (0,), samples=32, without=without)
    text = Page(build(Results(root), root / "figures", {})).text
    assert "No claim has been judged." in text and text.count("There is no such table") == 2


def test_methods_tell_configuration_versions_runs_and_circumstances(html):
    text = Page(html).text
    assert "batch_size: 64" in text and "numpy " + np.__version__ in text and "pandas " + pd.__version__ in text
    assert "0, 1" in text and "370000" in text and "two cores" in text


def test_a_source_tree_that_is_not_installed_tells_its_version_all_the_same(monkeypatch):
    def missing(name):
        raise page.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(page.metadata, "requires", missing)
    assert page._versions()["bumpscope"] == __version__ and "torch" in page._versions()


def test_the_same_tables_give_the_same_page(html, folder):
    again = build(Results(folder), folder / "figures", CONFIGURATION, {"Processor": "two cores"})
    assert again == html
