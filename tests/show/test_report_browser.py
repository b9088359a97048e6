"""The report in a real browser: readable by all, on a phone, in the dark and on paper, and it asks for nothing."""

import base64
import importlib
import re
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import browser
from browser import SIZES, Visit
from bumpscope.commands.figure import figure
from bumpscope.judge.claims import modules
from bumpscope.show.report import pictures
from bumpscope.show.report.page import build
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import write_table
from synthetic_results import BALANCED, CONFIGURATION, METADATA, write_results

pytestmark = [pytest.mark.browser]
DATASETS = {"balanced": BALANCED, "fine-x": {"dx": 0.5, "dy": 1.0}, "a_dataset_with_a_rather_long_name": BALANCED}
DRAWN = ("training_strip", "phases", "behaviour_mix", "coupling_index", "loss")
# Of WCAG 2.2, level AA: of text, and of text of 24 px, or 18.66 px and bold.
CONTRAST, CONTRAST_OF_LARGE = 4.5, 3.0
REGIONS = ".wide, .picture, pre"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_results(tmp_path_factory.mktemp("report"), DATASETS, (0, 1), (0, 600, 1500), samples=32)
    (root / "figures").mkdir()
    for name in DRAWN:
        figure(name, root, *(root / f"figures/{name}.{kind}" for kind in ("pdf", "png", "csv")))
    verdicts = ("supported", "contradicted", "undetermined")
    rows = [
        {"claim": claim, "statement": module.STATEMENT, "statistic": module.STATISTIC, "estimate": 0.5, "low": 0.1234,
         "high": np.nan, "runs": 5, "verdict": verdicts[k % 3], "reason": f"because of {claim}"}
        for k, (claim, module) in enumerate(modules().items())
    ]  # fmt: skip
    write_table("claims", root / TABLES["claims"].path, pd.DataFrame(rows), METADATA)
    facts = {"Trained on": "cpu", "Minutes of all jobs, added up": "57 (train 31.3, generate 8.0)"}
    path = root / "report.html"
    path.write_text(build(Results(root), root / "figures", CONFIGURATION, facts), encoding="utf-8")
    return path


def test_the_page_is_seen_at_three_sizes_in_both_schemes_and_never_wider_than_the_window(visit, page: Path) -> None:
    seen = visit(page)
    for size in SIZES:
        seen.show(size)
        assert seen.overflow() <= 0, size
    seen.show((360, 740))
    assert seen.overflow() <= 0
    assert len(seen.portraits("report")) == 6


def test_on_a_phone_wide_things_scroll_inside_and_claims_are_cards_with_all_their_cells(visit, page: Path) -> None:
    seen = visit(page, size="phone")
    more, how = seen.page.eval_on_selector(
        "#methods .wide", "e => [e.scrollWidth - e.clientWidth, getComputedStyle(e).overflowX]"
    )
    assert more > 0 and how == "auto"
    cells = seen.page.locator(".cards tbody tr").first.locator("th, td")
    boxes = [cells.nth(k).bounding_box() for k in range(cells.count())]
    assert [box["x"] for box in boxes] == [boxes[0]["x"]] * 5
    assert all(first["y"] + first["height"] <= then["y"] + 1 for first, then in pairwise(boxes))
    heading = "e => getComputedStyle(e, '::before').content"
    shown = [cells.nth(k).evaluate(heading).strip('"') for k in range(5)]
    assert shown == ["Claim", "Verdict", "Statistic", "Estimate", "Runs"]


def test_on_a_phone_pictures_are_as_wide_as_the_page_and_larger_once_touched(visit, page: Path) -> None:
    seen = visit(page, size="phone")
    beyond = "all => all.map(e => e.scrollWidth - e.clientWidth)"
    assert max(seen.page.eval_on_selector_all(".picture", beyond)) <= 0
    first = seen.page.locator(".picture").first
    before = first.locator("img").bounding_box()["width"]
    first.tap()
    assert first.locator("img").bounding_box()["width"] > 1.5 * before
    assert max(seen.page.eval_on_selector_all(".picture", beyond)) > 0 and seen.overflow() <= 0
    assert seen.page.locator("figcaption .narrow").first.is_visible()
    seen.show("laptop")
    assert not seen.page.locator("figcaption .narrow").first.is_visible()


def test_the_first_picture_is_seen_without_scrolling_and_fits_a_phone(visit, page: Path) -> None:
    seen = visit(page)
    for size, (width, height) in SIZES.items():
        seen.show(size)
        box = seen.page.locator(".picture").first.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert box["y"] < 0.75 * height, size


def test_the_keyboard_reaches_the_skip_link_first_and_then_every_link_and_region_in_order(visit, page: Path) -> None:
    seen = visit(page)
    seen.press("Tab")
    focus = "document.activeElement"
    assert seen.page.evaluate(f"{focus}.textContent") == "Skip to the claims"
    box = seen.page.locator(".skip").bounding_box()
    assert box["width"] > 50 and box["height"] > 20 and box["y"] >= 0
    # What is folded away is not to be reached.
    stops = f"[...document.querySelectorAll('a[href], summary, {REGIONS}')].filter(e => e.checkVisibility())"
    reachable, number = seen.page.evaluate(f"{stops}.length"), f"{stops}.indexOf({focus})"
    assert reachable > 30
    order, outlines = [0], set()
    for _ in range(reachable - 1):
        seen.page.keyboard.press("Tab")
        order.append(seen.page.evaluate(number))
        outlines.add(seen.page.evaluate(f"getComputedStyle({focus}).outlineStyle"))
    seen.log(f"pressed Tab {reachable - 1} times")
    assert order == list(range(reachable)) and outlines == {"solid"}
    seen.page.locator(".skip").focus()
    seen.press("Enter")
    assert seen.page.evaluate(f"{focus}.id") == "claims"
    seen.press("Tab")
    assert seen.page.evaluate(f"{focus}.textContent") == "C1"


def test_a_link_of_the_table_leads_to_its_claim(visit, page: Path) -> None:
    seen = visit(page)
    seen.click(".cards a[href='#C4']")
    assert abs(seen.page.locator("#C4").bounding_box()["y"]) < 100


def test_a_screen_reader_finds_landmarks_headings_and_tables(visit, page: Path) -> None:
    seen = visit(page)
    counts = {name: seen.page.get_by_role(name).count() for name in ("banner", "navigation", "main")}
    assert counts == {"banner": 1, "navigation": 1, "main": 1}
    levels = seen.page.eval_on_selector_all("h1, h2, h3, h4, h5, h6", "all => all.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(then - first <= 1 for first, then in pairwise(levels))
    tables = "all => all.map(e => [e.caption?.textContent, [...e.querySelectorAll('th')].every(h => h.scope)])"
    found = seen.page.eval_on_selector_all("table", tables)
    assert len(found) >= 4 and all(caption and scoped for caption, scoped in found)
    names = """all => all.map(e => e.getAttribute('aria-label')
        || document.getElementById(e.getAttribute('aria-labelledby'))?.textContent)"""
    assert all(seen.page.eval_on_selector_all("section, [role=region], nav", names))
    assert seen.page.get_by_role("link", name="Skip to the claims").count() == 1
    for size in ("laptop", "phone"):  # where it is laid out as cards it stays a table
        seen.show(size)
        assert seen.page.get_by_role("table", name="Each claim with its verdict").count() == 1
        assert seen.page.get_by_role("columnheader", name="Verdict", exact=True).count() >= 1
        assert seen.page.get_by_role("row").filter(has_text="C3").get_by_role("rowheader").count() == 1


def test_pictures_are_described_by_what_they_show(visit, page: Path) -> None:
    seen = visit(page)
    for name in DRAWN:
        module = importlib.import_module(f"bumpscope.show.figures.{name}")
        found = module.finding(pictures.read_data(page.parent / f"figures/{name}.csv"))
        image = seen.page.locator(f"#{name} img")
        assert found in image.get_attribute("alt")
        wide = image.evaluate("e => e.complete && e.naturalWidth")
        assert int(image.get_attribute("width")) == round(wide / pictures.SHARPNESS) > 0


def test_letters_are_of_one_size_in_narrow_and_in_wide_figures(visit, page: Path) -> None:
    seen = visit(page)
    seen.show("desktop")
    scale = "all => all.map(e => e.getBoundingClientRect().width / e.naturalWidth)"
    scales = seen.page.eval_on_selector_all(".picture img", scale)
    assert len(scales) == len(DRAWN) and max(scales) < 1.03 * min(scales)


def test_a_verdict_is_told_without_colour(visit, page: Path) -> None:
    seen = visit(page)
    cells = seen.page.locator(".cards .verdict").all_inner_texts()
    assert [" ".join(cell.split()) for cell in cells][:3] == ["✓ supported", "✗ contradicted", "? undetermined"]


COLOURS = """() => {
    const parsed = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const ground = e => {
        for (; e; e = e.parentElement) {
            const colour = parsed(getComputedStyle(e).backgroundColor);
            if (colour[3] > 0) return colour;
        }
        return null;
    };
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode()) {
        const e = walker.currentNode.parentElement, look = getComputedStyle(e);
        if (!walker.currentNode.data.trim() || e.closest('.unseen, .skip, style')) continue;
        const size = parseFloat(look.fontSize);
        found.push({text: walker.currentNode.data.trim().slice(0, 40), ink: parsed(look.color), ground: ground(e),
                    large: size >= 24 || (size >= 18.66 && Number(look.fontWeight) >= 700)});
    }
    return found;
}"""


def luminance(colour: list[float]) -> float:
    """Relative luminance of an sRGB colour, 0 to 255, as in WCAG 2.2."""
    value = np.array(colour[:3]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(ink: list[float], ground: list[float]) -> float:
    dark, light = sorted([luminance(ink), luminance(ground)])
    return (light + 0.05) / (dark + 0.05)


def test_contrast_of_known_pairs() -> None:
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast([119, 119, 119], [255, 255, 255]) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out_from_its_ground(visit, page: Path, scheme: str) -> None:
    seen = visit(page, scheme=scheme)
    seen.page.eval_on_selector_all("details", "all => all.forEach(e => e.open = true)")
    found = seen.page.evaluate(COLOURS)
    assert len(found) > 200
    grounds = {tuple(one["ground"]) for one in found if one["ground"]}
    assert (luminance(next(iter(grounds))) < 0.1) == (scheme == "dark")
    faint = [
        one for one in found
        if contrast(one["ink"], one["ground"]) < (CONTRAST_OF_LARGE if one["large"] else CONTRAST)
    ]  # fmt: skip
    assert not faint


def test_pictures_keep_their_white_ground_in_the_dark(visit, page: Path) -> None:
    seen = visit(page, scheme="dark")
    look = "e => getComputedStyle(e).backgroundColor"
    assert seen.page.eval_on_selector(".picture", look) == "rgb(255, 255, 255)"
    assert luminance([float(n) for n in re.findall(r"\d+", seen.page.eval_on_selector("body", look))]) < 0.1


@pytest.fixture(scope="module")
def pdftotext() -> str:
    try:
        return browser.pdftotext()
    except browser.Unavailable as reason:
        pytest.skip(f"no test of the printed page: {reason}")


def test_on_paper_every_claim_has_a_page_with_its_text_and_nothing_is_folded_away(
    visit: Callable[..., Visit], page: Path, pdftotext: str
) -> None:
    seen = visit(page, scheme="dark")
    printed = browser.ARTEFACTS / "report.pdf"
    seen.page.pdf(path=printed, format="A4", prefer_css_page_size=True)
    seen.log(f"print {printed.name}")
    done = subprocess.run([pdftotext, "-layout", printed, "-"], capture_output=True, text=True, check=True, timeout=60)
    pages = [" ".join(text.split()) for text in done.stdout.split("\f")]
    whole = " ".join(pages)
    for claim, module in modules().items():
        starts = [number for number, text in enumerate(pages) if text.startswith(f"{claim}. {module.STATEMENT}")]
        assert len(starts) == 1, claim
        assert claim == "C3" or f"because of {claim}" in whole  # C3 has its checks instead
        paragraph = seen.page.locator(f"#{claim} .paragraph").text_content()
        assert paragraph and paragraph in whole
    # Folded away on the screen, and where a link leads.
    assert "Numbers behind C3" in whole and "−0.3 to 0.1" in whole and "(explorer.html)" in whole
    assert "Skip to the claims" not in whole and "batch_size: 64" in whole


def test_the_file_is_not_much_more_than_its_pictures(page: Path) -> None:
    images = sum(len(base64.b64encode((page.parent / f"figures/{name}.png").read_bytes())) for name in DRAWN)
    assert page.stat().st_size < images + 100_000
