"""Size of the explorer's page, time to open it, and frame times while its slider is dragged.

    python benchmarks/explorer.py --folder results

Opens ``explorer.html`` of a finished experiment in a Chromium without a window, at a laptop's size, and drags the
slider from the last checkpoint to the first and back. WebGL is drawn by the processor there; a graphics card is faster.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from record import load, save

from bumpscope.store.files import atomic_path

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests" / "support"))
PAGE = ROOT / "docs" / "explorer.md"
MARKS = ("<!-- measured -->", "<!-- end of measured -->")
RUNS = 5  # looked at, evenly over those with several checkpoints
MOVES = 8  # of the mouse between two checkpoints, 16 ms each, as in a slow drag
SHOWN = "document.documentElement.dataset.shown === location.hash"
# Times at which frames were drawn, and from each wish for a step until it is on the screen.
WATCH = """() => {
    window.frames_at = []; window.waits = [];
    const tick = (at) => { frames_at.push(at); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
    let asked = null;
    document.getElementById('step').addEventListener('input', () => { asked ??= performance.now(); });
    new MutationObserver(() => {
        if (asked === null) return;
        const from = asked; asked = null;
        requestAnimationFrame(() => waits.push(performance.now() - from));
    }).observe(document.documentElement, { attributeFilter: ['data-shown'] });
}"""


def measure(file: Path) -> pd.DataFrame:
    """A row for each run looked at: sizes in bytes, times in ms."""
    import browser

    rows = []
    with browser.browser(browser.chromium()) as chromium:
        started = time.perf_counter()
        visit = browser.Visit(chromium, file, "benchmark", "laptop", "light")
        page = visit.page
        page.wait_for_function(SHOWN, timeout=60_000)
        opened = 1000 * (time.perf_counter() - started)
        runs = page.evaluate("JSON.parse(document.getElementById('index').textContent).runs")
        index = [entry for entry in runs if len(entry["steps"]) > 1]
        for number in np.unique(np.linspace(0, len(index) - 1, RUNS).round().astype(int)):
            entry = index[number]
            page.evaluate(
                "([dataset, seed]) => { location.hash = `dataset=${encodeURIComponent(dataset)}&seed=${seed}`; }",
                [entry["dataset"], entry["seed"]],
            )
            page.wait_for_function(f"location.hash.includes('&t=') && {SHOWN}", timeout=60_000)
            page.wait_for_timeout(1000)
            page.evaluate(WATCH)
            drag(page, len(entry["steps"]))
            frames = np.diff(page.evaluate("frames_at"))
            waits = np.array(page.evaluate("waits"))
            rows.append(
                {
                    "run": entry["run"],
                    "checkpoints": len(entry["steps"]),
                    "points": entry["samples"],
                    "file_bytes": file.stat().st_size,
                    "open_ms": opened,
                    "heap_bytes": page.evaluate("performance.memory.usedJSHeapSize"),
                    "updates": len(waits),
                    **{f"frame_{name}_ms": value for name, value in summary(frames).items()},
                    **{f"update_{name}_ms": value for name, value in summary(waits).items()},
                }
            )
            page.reload()
            page.wait_for_function(SHOWN, timeout=60_000)
        visit.close()
    return pd.DataFrame(rows)


def drag(page, checkpoints: int) -> None:
    """From the last checkpoint to the first and back, with the mouse."""
    box = page.locator("#step").bounding_box()
    places = np.linspace(box["x"] + box["width"] - 10, box["x"] + 10, MOVES * (checkpoints - 1) + 1)
    middle = box["y"] + box["height"] / 2
    page.mouse.move(places[0], middle)
    page.mouse.down()
    for x in [*places, *places[::-1]]:
        page.mouse.move(x, middle)
        page.wait_for_timeout(16)
    page.mouse.up()
    page.wait_for_function(SHOWN)


def summary(times: np.ndarray) -> dict[str, float]:
    return {"median": np.median(times), "p95": np.quantile(times, 0.95), "max": times.max()}


def section() -> str:
    """What was measured, in Markdown, from the kept table."""
    found = load("explorer", "cpu")
    if found is None:
        return "Not measured."
    frame, hardware = found
    first = frame.iloc[0]
    lines = [
        f"The page of the default experiment is {first.file_bytes / 1e6:.1f} MB, opens in {first.open_ms / 1000:.1f} s "
        f"and takes {frame.heap_bytes.max() / 1e6:.0f} MB of JavaScript memory at most. Measured on "
        f"{hardware['date']} in a Chromium without a window or a graphics card, WebGL drawn by the processor "
        f"({hardware['processor']}).",
        "",
        "| run | points | checkpoints | ms a frame: median | 95% | most | ms until a step is drawn: median | 95% "
        "| most |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    names = [f"{kind}_{name}_ms" for kind in ("frame", "update") for name in ("median", "p95", "max")]
    for row in frame.to_dict("records"):
        numbers = " | ".join(f"{row[name]:.0f}" for name in names)
        lines.append(f"| {row['run']} | {row['points']} | {row['checkpoints']} | {numbers} |")
    return "\n".join(lines)


def write_page(path: Path = PAGE) -> None:
    """Put the section where its marks are."""
    before, _, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    with atomic_path(path) as temporary:
        temporary.write_text(f"{before}{MARKS[0]}\n\n{section()}\n\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("results"), help="output folder of an experiment")
    save("explorer", measure(parser.parse_args().folder / "explorer.html"), torch.device("cpu"))
    write_page()
