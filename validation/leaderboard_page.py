"""The leaderboard in docs/factorise.md, from the results of preset factorise.yaml.

python validation/leaderboard_page.py RESULTS
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd

from bumpscope.judge.wording import number
from bumpscope.store.results import Results

PAGE = Path(__file__).parents[1] / "docs" / "factorise.md"
FIGURE = PAGE.parent / "images" / "factorisation.png"
MARK = "<!-- table of validation/leaderboard_page.py -->"
HEAD = ["arm", "told", "N", "K*", "ratio", "exponent", "right of shown", "seeds", "not comparable, since"]


def page(table: pd.DataFrame) -> str:
    """Table ``leaderboard`` in Markdown."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + " --- |" * len(HEAD)]
    for row in table.fillna({"bound": "", "told": "", "guardrails": ""}).to_dict("records"):
        cells = [row["arm"], row["told"] or "–", str(row["positions"])]
        cells.append(f"{row['bound']} {_interval(row, 'k_star', 'low', 'high')}".strip())
        cells += [_interval(row, name, f"{name}_low", f"{name}_high") for name in ("ratio", "exponent")]
        cells += [f"{row['seen_accuracy']:.2f}", str(row["seeds"]), row["guardrails"] or "–"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(row: dict, value: str, low: str, high: str) -> str:
    text = number(row[value])
    return text if pd.isna(row[low]) else f"{text} ({number(row[low])} to {number(row[high])})"


def with_table(text: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, _, rest = text.partition(MARK)
    return before + MARK + "\n\n" + table + "\n\n" + MARK + rest.partition(MARK)[2]


def main(folder: Path) -> None:
    """Write the table into docs/factorise.md and copy the figure beside it."""
    told = f"{page(Results(folder).leaderboard)}\n\n![Accuracy against K, and K*](images/{FIGURE.name})"
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), told), encoding="utf-8")
    shutil.copyfile(folder / "figures" / FIGURE.name, FIGURE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
