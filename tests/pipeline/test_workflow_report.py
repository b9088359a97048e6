"""`snakemake --report` on a finished run holds every figure, by topic and with its caption, and needs no network."""

import base64
import html
import importlib
import json
import re
import shutil
import zipfile
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest

from bumpscope.show import animation, gallery
from bumpscope.store.tables import read_table
from workflow import jobs, snakemake


@pytest.fixture(scope="module")
def finished(experiment: tuple[Path, float], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny run, since figures are deleted in it."""
    return Path(shutil.copytree(experiment[0], tmp_path_factory.mktemp("report") / "project"))


def _data(page: str, name: str) -> dict:
    """What the page's script assigns to a variable, which is JSON; the libraries before it have such names too."""
    return json.JSONDecoder().raw_decode(page.rpartition(f"var {name} = ")[2])[0]


def _plain(text: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]+>", "", text)).split())


def _unproxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would be fetched over the network fails at once."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def test_an_archive_of_the_report_holds_every_figure_with_caption_and_labels(finished, tmp_path, monkeypatch):
    _unproxied(monkeypatch)
    done = snakemake(finished, "--report", str(tmp_path / "report.zip"))
    assert done.returncode == 0, done.stdout + done.stderr
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        files = {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if "/data/" in name}
        page = archive.read("report/report.html").decode()
    folder = finished / "results/figures"
    for name in gallery.names():
        for kind in ("png", "pdf", "csv"):
            assert files[f"{name}.{kind}"] == (folder / f"{name}.{kind}").read_bytes()
    assert files["manifold.gif"] == (folder / "manifold.gif").read_bytes()
    assert files["claims.csv"] == (finished / "results/claims.csv").read_bytes()
    results, categories = _data(page, "results"), _data(page, "categories")
    by_name = {Path(path).name: entry for path, entry in results.items()}
    for name in gallery.names():
        module = importlib.import_module(f"bumpscope.show.figures.{name}")
        entry = by_name[f"{name}.png"]
        assert _plain(entry["caption"]) == " ".join(module.CAPTION.split())
        assert entry["labels"] == {"figure": name, "file": "picture"}
        assert any(
            path.endswith(f"/{name}.png") for path in categories[module.TOPIC][name.replace("_", " ").capitalize()]
        )
    assert _plain(by_name["manifold.gif"]["caption"]) == " ".join(animation.CAPTION.split())
    assert set(categories) == {"Claims", *gallery.TOPICS}
    assert "arXiv 2402.03305" in _data(page, "workflow_desc")


def test_a_page_of_the_report_holds_all_in_one_file(finished, tmp_path, monkeypatch):
    _unproxied(monkeypatch)
    done = snakemake(finished, "--report", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    embedded = {Path(path).name: entry["data_uri"] for path, entry in _data(page, "results").items()}
    for name in gallery.names():
        kind, _, content = embedded[f"{name}.png"].partition(",")
        assert kind.startswith("data:image/png")
        assert base64.b64decode(unquote(content)) == (finished / f"results/figures/{name}.png").read_bytes()
    assert not re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', page)


def test_claims_are_there_as_csv_as_well(finished):
    claims = read_table("claims", finished / "results/claims.parquet")
    written = pd.read_csv(finished / "results/claims.csv")
    assert list(written.columns) == list(claims.columns)
    assert written["verdict"].tolist() == claims["verdict"].tolist()


@pytest.mark.slow  # half a minute
def test_figures_alone_come_from_the_tables_and_from_nothing_before(finished):
    folder = finished / "results/figures"
    before = {path.name for path in folder.iterdir()}
    shutil.rmtree(folder)
    done = snakemake(finished, "figures")
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(jobs(done.stdout + done.stderr)) == {"figure", "animation", "figures"}
    assert {path.name for path in folder.iterdir()} == before
