"""What the browser tests stand on: it notices errors and requests, and says in a line why it cannot be had."""

import os
import shutil

import pytest

import browser
import debian
from browser import SCHEMES, SIZES, Unavailable

pytestmark = [pytest.mark.browser]
PAGE = "<!DOCTYPE html><html lang=en><title>t</title><link rel=icon href='data:,'><body>{}</body></html>"


@pytest.fixture
def page(tmp_path):
    def written(body, name="page.html"):
        path = tmp_path / name
        path.write_text(PAGE.format(body), encoding="utf-8")
        return path

    return written


def test_a_page_that_does_no_wrong_is_left_alone(visit, page):
    seen = visit(page("<img src='data:image/gif;base64,R0lGODlhAQABAAAAACw='><a id=a href='#a'>a</a>"))
    seen.click("#a")
    seen.close()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("<script>console.error('alas')</script>", "console: alas"),
        ("<script>throw new Error('alas')</script>", "exception: .*alas"),
        ("<script>Promise.reject(new Error('alas'))</script>", "exception: .*alas"),
    ],
)
def test_errors_of_a_page_fail_the_visit(chromium, page, body, error):
    seen = browser.Visit(chromium, page(body), "errors", "laptop", "light")
    with pytest.raises(AssertionError, match=error):
        seen.close()


@pytest.mark.parametrize(
    "body",
    [
        "<script src='http://localhost:9/script.js'></script>",
        "<img src='beside.png'>",
        "<style>@import 'http://localhost:9/style.css';</style>",
        "<script>fetch('http://localhost:9/data.json').catch(() => 0)</script>",
        "<script>new WebSocket('ws://localhost:9/')</script>",
        "<script>setTimeout(() => { new Image().src = 'http://localhost:9/late.png' }, 0)</script>",
    ],
)
def test_requests_of_a_page_fail_the_visit(chromium, page, body):
    seen = browser.Visit(chromium, page(body), "requests", "laptop", "light")
    seen.page.wait_for_timeout(50)
    seen.errors.clear()  # Chromium also writes that they failed
    with pytest.raises(AssertionError, match=r"asked for \['(file|http|ws)://\S+\w"):
        seen.close()


def test_there_is_no_network_even_for_what_would_answer(visit, page):
    seen = visit(page("<p>here</p>"))
    assert not seen.page.evaluate("navigator.onLine")


def test_another_file_can_be_allowed(visit, page):
    seen, other = visit(page("<a href='other.html'>there</a>")), page("<h1>there</h1>", "other.html")
    seen.allow(other)
    seen.click("a")
    assert seen.page.text_content("h1") == "there"


def test_webgl_draws(visit, page):
    seen = visit(page("<canvas></canvas>"))
    assert seen.page.evaluate(
        """() => {
            const gl = document.querySelector('canvas').getContext('webgl');
            gl.clearColor(0, 1, 0, 1); gl.clear(gl.COLOR_BUFFER_BIT);
            const pixel = new Uint8Array(4); gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
            return Array.from(pixel);
        }"""
    ) == [0, 255, 0, 255]


def test_pictures_are_kept_at_three_sizes_in_both_schemes(visit, page, monkeypatch, tmp_path):
    monkeypatch.setattr(browser, "ARTEFACTS", tmp_path / "kept")
    monkeypatch.setattr(browser, "LOG", tmp_path / "kept/driven.log")
    seen = visit(page("<meta name=color-scheme content='light dark'><p style='width: 500px'>wide</p>"))
    paths = seen.portraits("page")
    assert {path.stem for path in paths} == {f"page-{size}-{scheme}" for size in SIZES for scheme in SCHEMES}
    assert len({path.read_bytes() for path in paths}) == len(paths)
    seen.show("phone")
    assert seen.overflow() > 100
    seen.show("desktop")
    assert seen.overflow() == 0
    assert "picture page-phone-dark.png" in (tmp_path / "kept/driven.log").read_text()


def test_without_a_chromium_the_reason_is_one_line(monkeypatch):
    monkeypatch.delenv("BUMPSCOPE_CHROMIUM", raising=False)
    monkeypatch.setattr(browser, "PROGRAMS", ("no-such-program",))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match=r"^there is no Chromium: installing it needs root$"):
        browser.chromium()


def test_a_program_that_only_tells_how_to_get_it_is_not_a_chromium(monkeypatch, tmp_path):
    (stub := tmp_path / "chromium-browser").write_text("#!/bin/sh\necho 'snap install chromium' >&2\nexit 1\n")
    stub.chmod(0o755)
    monkeypatch.delenv("BUMPSCOPE_CHROMIUM", raising=False)
    monkeypatch.setattr(browser, "PROGRAMS", (str(stub),))
    monkeypatch.setattr(debian, "obstacle", lambda: None)
    asked = []
    monkeypatch.setattr(debian, "install", lambda packages, *_: asked.extend(packages))
    with pytest.raises(Unavailable, match="does not start"):
        browser.chromium()
    assert asked == ["chromium"]


def test_a_named_chromium_must_be_there(monkeypatch):
    monkeypatch.setenv("BUMPSCOPE_CHROMIUM", "/no/such/chromium")
    with pytest.raises(FileNotFoundError, match="BUMPSCOPE_CHROMIUM: /no/such/chromium is not a program"):
        browser.chromium()
    monkeypatch.setenv("BUMPSCOPE_CHROMIUM", str(shutil.which("sh")))
    assert browser.chromium() == shutil.which("sh")


def test_what_another_process_has_installed_is_not_installed_again(monkeypatch, tmp_path):
    monkeypatch.setattr(debian, "LOCK", tmp_path / "lock")
    monkeypatch.setenv("PATH", "")
    debian.install(["chromium"], 5, lambda: True)
    with pytest.raises(FileNotFoundError):
        debian.install(["chromium"], 5, lambda: False)
