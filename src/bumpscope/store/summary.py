"""What an experiment holds, at a glance: as text, and as HTML for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

import pandas as pd

from bumpscope.store.schemas import TABLES

# Of table runs: what tells datasets apart. Those that are alike for all are left out.
_ALWAYS = ["image_size", "dx", "dy"]
_WHERE_THEY_DIFFER = ["sigma", "margin", "boundary", "polarity", "skew_axis", "skew_alpha", "prediction", "denoiser"]
DATASETS_SHOWN = 30


def overview(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each dataset, in the order of the configuration: its seeds, and what it is."""
    differing = [name for name in _WHERE_THEY_DIFFER if runs[name].nunique() > 1]
    grouped = runs.groupby("dataset", sort=False)
    frame = grouped[[*_ALWAYS, *differing, "n_images", "training_steps"]].first()
    frame.insert(0, "seeds", [spans(group) for _, group in grouped["seed"]])
    return frame


def spans(numbers: pd.Series) -> str:
    """Whole numbers as text, neighbours drawn together: 0–4, 7."""
    values = sorted(int(number) for number in set(numbers))
    starts = [value for value in values if value - 1 not in values]
    ends = [value for value in values if value + 1 not in values]
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in zip(starts, ends, strict=True))


def _heading(folder: Path, runs: pd.DataFrame) -> str:
    datasets = runs["dataset"].nunique()
    return (
        f"{folder}: {len(runs)} run{'s' * (len(runs) != 1)} of {datasets} dataset{'s' * (datasets != 1)}, "
        f"seed{'s' * (runs['seed'].nunique() != 1)} {spans(runs['seed'])}"
    )


def _tables(runs: pd.DataFrame, there: Mapping[str, int]) -> dict[str, str]:
    """Lines that say which tables there are."""

    def told(name: str) -> str:
        return name if there[name] == len(runs) else f"{name} (of {there[name]} runs)"

    lines = {
        "of the whole experiment": [name for name in there if "{" not in TABLES[name].path],
        "of each run": [told(name) for name in there if "{" in TABLES[name].path],
        "not there": [name for name in TABLES if name not in there],
    }
    return {text: ", ".join(names) for text, names in lines.items() if names}


def as_text(folder: Path, runs: pd.DataFrame, there: Mapping[str, int]) -> str:
    """For a terminal.

    Args:
        runs: table ``runs``.
        there: the tables that are there, and how many runs have each.
    """
    datasets = overview(runs)
    more = f"\n… and {len(datasets) - DATASETS_SHOWN} more datasets" if len(datasets) > DATASETS_SHOWN else ""
    lines = [f"Tables {text}: {names}" for text, names in _tables(runs, there).items()]
    return "\n".join([_heading(folder, runs), datasets.head(DATASETS_SHOWN).to_string() + more, *lines])


def as_html(folder: Path, runs: pd.DataFrame, there: Mapping[str, int]) -> str:
    """As :func:`as_text`, for a notebook."""
    datasets = overview(runs)
    more = f"<p>… and {len(datasets) - DATASETS_SHOWN} more datasets</p>" if len(datasets) > DATASETS_SHOWN else ""
    lines = [f"<b>Tables {text}:</b> {escape(names)}" for text, names in _tables(runs, there).items()]
    table = datasets.head(DATASETS_SHOWN).to_html(border=0, index_names=False)
    return f"<div><p><b>{escape(_heading(folder, runs))}</b></p>{table}{more}<p>{'<br>'.join(lines)}</p></div>"
