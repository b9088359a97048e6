"""What the generated pages share: tables in Markdown, and the full ones as CSV in docs/data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bumpscope.store.files import atomic_path

DOCS = Path(__file__).parent.parent / "docs"
NOT_MEASURED = "not measured"


def markdown(frame: pd.DataFrame) -> str:
    """A table in Markdown; the cells are text already."""
    lines = [" | ".join(frame.columns), " | ".join("---" for _ in frame.columns)]
    lines += [" | ".join(str(value) for value in row) for row in frame.itertuples(index=False)]
    return "\n".join(f"| {line} |" for line in lines)


def significant(value: float, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent."""
    if not np.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:,.{places}f}"


def as_csv(frame: pd.DataFrame) -> str:
    return frame.to_csv(index=False, float_format="%.5g", lineterminator="\n")


def link(name: str, text: str) -> str:
    """A link from a page to one of its CSV files."""
    return f"[{text}](data/{name}.csv)"


def write(name: str, text: str, tables: dict[str, pd.DataFrame]) -> None:
    """Write ``docs/name.md`` and a CSV file for each table."""
    files = {DOCS / f"{name}.md": text} | {DOCS / "data" / f"{key}.csv": as_csv(part) for key, part in tables.items()}
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)
        with atomic_path(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
        print(f"written: {path.relative_to(DOCS.parent)}")
