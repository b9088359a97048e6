"""The measured part of docs/factorise.md and its CSV files, from the results of preset factorise.yaml, also in part.

python validation/leaderboard_page.py RESULTS [MORE ...]

MORE holds the results of other presets, such as factorise_random.yaml: their arms are put on the leaderboard, and all
else is told of RESULTS. What the workflow has not made is said to be not measured. Of an experiment that was cut short,
`--finished part.yaml` writes a preset of the runs that are there. Laid over the preset, it makes their tables in the
same folder.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
import yaml

from bumpscope.config.experiment import Config
from bumpscope.config.loading import load, read_yaml
from bumpscope.judge.combinations import SEEN
from bumpscope.judge.leaderboard import ENDS, RANDOM, known_k_star
from bumpscope.judge.verdicts import FEWEST_SEEDS
from bumpscope.judge.wording import number
from bumpscope.store.results import Results
from bumpscope.store.schemas import TABLES
from truth_tables import link, write

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "factorise.md"
PRESET = ROOT / "workflow" / "presets" / "factorise.yaml"
FIGURE = PAGE.parent / "images" / "factorisation.png"
MARK = "<!-- table of validation/leaderboard_page.py -->"
# Tables beside the page, by name of their file.
CSV = {"leaderboard": "factorise-leaderboard", "combinations": "factorise-combinations"}
ORDER = "random order"
# F3 has a preset of its own.
CLAIMS = ("F1", "F2", "F4")
# At less than this share of withheld combinations an arm is said to fail.
FAILS = 0.5


def page(
    board: pd.DataFrame,
    cells: pd.DataFrame,
    claims: pd.DataFrame,
    evidence: pd.DataFrame,
    seeds: dict[str, int],
    config: Config,
) -> str:
    """What was measured, in Markdown.

    Args:
        board, cells: tables ``leaderboard`` and ``combinations``; like the next two empty where there are none.
        claims, evidence: tables of these names.
        seeds: dataset -> number of its seeds with results.
        config: the experiment of which these are the results.
    """
    parts = []
    for design, own in cells.groupby("design", sort=False):
        of_design = board[board["design"] == design]
        parts += ["**Rows and columns in random order:**"] if design == RANDOM else []
        parts += [in_words(of_design), *(shares(part, of_design) for _, part in own.groupby("positions", sort=False))]
    parts += [in_full(cells), hole(evidence), failures(board, cells), verdicts(claims), missing(seeds, config)]
    return "\n\n".join(filter(None, parts)) or "Not measured yet."


def in_words(board: pd.DataFrame) -> str:
    """Which arms of one kind of design need fewer combinations than the plain UNet on each lattice, by how much."""
    sentences = []
    for n, own in board.groupby("positions", sort=False):
        fewer = own[(own["ratio_high"] < 1) & (own["guardrails"] == "")]
        told = [f"{row['arm']} {_k_star(row)} ({number(row['ratio'])} of it)" for row in fewer.to_dict("records")]
        plain = own[own["arm"] == "unet"]
        base = f"the plain UNet needs {_k_star(plain.iloc[0].to_dict())}; " if len(plain) else ""
        sentences.append(f"N = {n}, {n**2} combinations: {base}{', '.join(told) or 'no arm certainly fewer'}.")
    few = not board.empty and board["seeds"].min() < FEWEST_SEEDS
    return " ".join([*sentences, *([f"Rows of fewer than {FEWEST_SEEDS} seeds describe."] if few else [])])


def shares(cells: pd.DataFrame, board: pd.DataFrame) -> str:
    """A row for each arm on lattices of one N and kind of design: shares right over k, K*, its ratio and exponent."""
    n = int(cells["positions"].iloc[0])
    each = sorted(cells["shown"].unique())
    head = [_place(cells.iloc[0].to_dict()), "told", *(f"k = {shown // n}" for shown in each)]
    head += ["K\\*", "ratio", "exponent", "seeds"]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    rows = board[board["positions"] == n].fillna({"bound": "", "told": ""})
    for row in rows.to_dict("records"):
        own = cells[(cells["arm"] == row["arm"]) & (cells["image_size"] == row["image_size"])].set_index("shown")
        right = [_share(own.loc[shown].to_dict()) if shown in own.index else "" for shown in each]
        told = [_interval(row, name, f"{name}_low", f"{name}_high") for name in ("ratio", "exponent")]
        values = [row["arm"], row["told"] or "–", *right, _k_star(row), *told, str(row["seeds"])]
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


def in_full(cells: pd.DataFrame) -> str:
    """Where all columns are."""
    if cells.empty:
        return ""
    return f"In full: {link(CSV['leaderboard'], 'all arms')}, {link(CSV['combinations'], 'each k')}."


def hole(evidence: pd.DataFrame) -> str:
    """Shares right in the withheld block, which F2 judges."""
    own = evidence[(evidence["claim"] == "F2") & (evidence["quantity"] == "share right in the block")]
    told = [f"{row['subject']} {_interval(row, 'value')}" for row in own.drop_duplicates("subject").to_dict("records")]
    return f"Right in the hole of withheld combinations: {', '.join(told)}." if told else ""


def failures(board: pd.DataFrame, cells: pd.DataFrame) -> str:
    """What failed: arms that draw less than half of what was withheld, and comparisons that are not fair."""
    lines = []
    for row in cells[cells["heldout"] < FAILS].to_dict("records"):
        n, order = row["positions"], f" in {ORDER}" if row["design"] == RANDOM else ""
        parts = f"{row['arm']} with k = {row['shown'] // n} of {n}{order}: {number(row['heldout'])} right"
        lines.append(f"{parts}, {number(row['seen'])} of what was shown" if row["seen"] < SEEN else parts)
    failed = f"**Failed** (less than {FAILS:g} of what was withheld): {'; '.join(lines)}." if lines else ""
    unfair = board[board["guardrails"].fillna("") != ""].drop_duplicates(["arm", "guardrails"])
    told = [f"{row['arm']} ({row['guardrails']})" for row in unfair.to_dict("records")]
    return "\n\n".join(filter(None, [failed, f"**Not a fair comparison**: {'; '.join(told)}." if told else ""]))


def verdicts(claims: pd.DataFrame) -> str:
    """A row for each of the claims."""
    own = claims[claims["claim"].isin(CLAIMS)] if len(claims) else claims
    if own.empty:
        return ""
    head = ["| claim | verdict | estimate (95%) | of |", "| --- | --- | --- | --- |"]
    rows = [
        [row["claim"], row["verdict"], _interval(row, "estimate"), row["statistic"]] for row in own.to_dict("records")
    ]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def missing(seeds: dict[str, int], config: Config) -> str:
    """The datasets of the experiment without results, or with those of some seeds only."""
    planned: dict[str, int] = {}
    for run in config.runs():
        planned[run.dataset] = planned.get(run.dataset, 0) + 1
    none = [name for name in planned if not seeds.get(name)]
    some = [
        f"{name} ({seeds[name]} of {count} seeds)" for name, count in planned.items() if 0 < seeds.get(name, 0) < count
    ]
    return f"Not measured: {', '.join([*none, *some])}." if none or some else ""


def _share(row: dict) -> str:
    low, high = row["heldout_low"], row["heldout_high"]
    text = f"{row['heldout']:.2f}"
    return text if pd.isna(low) else f"{text} ({low:.2f}–{high:.2f})"


def _place(row: dict) -> str:
    return f"N = {row['positions']}, {ORDER}" if row["design"] == RANDOM else f"N = {row['positions']}"


def _k_star(row: dict) -> str:
    return f"{row['bound']} {number(known_k_star(row))}" if row["bound"] in ENDS else _interval(row, "k_star")


def _interval(row: dict, value: str, low: str = "low", high: str = "high") -> str:
    text = number(row[value])
    return text if pd.isna(row[low]) else f"{text} ({number(row[low])} to {number(row[high])})"


def with_table(text: str, table: str) -> str:
    """The page with the table between its two marks."""
    before, _, rest = text.partition(MARK)
    return before + MARK + "\n\n" + table + "\n\n" + MARK + rest.partition(MARK)[2]


def preset_of_finished(folder: Path) -> dict[str, Any]:
    """The datasets of the preset of which there are results, each with the seeds of these."""
    datasets = {}
    for name, dataset in read_yaml(PRESET)["datasets"].items():
        runs = {path.parent for path in folder.glob(f"runs/{name}/seed=*/behaviour.parquet")}
        seeds = sorted(int(run.name.removeprefix("seed=")) for run in runs if (run / "effects.parquet").exists())
        if seeds:
            datasets[name] = dataset | {"seeds": seeds}
    return {"datasets": datasets}


def joined(name: str, several: list[Results]) -> pd.DataFrame:
    """The rows of a table of all that have it."""
    parts = [results.table(name) for results in several if results.has(name)]
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=TABLES[name].names)


def main(
    folders: list[Path], finished: Annotated[Path | None, typer.Option(help="preset to write instead")] = None
) -> None:
    """Write the measured part of docs/factorise.md and its CSV files, and copy the figure beside it."""
    folder = folders[0]
    if finished is not None:
        finished.write_text(yaml.safe_dump(preset_of_finished(folder), sort_keys=False), encoding="utf-8")
        return
    several = [Results(one) for one in folders]
    results = several[0]
    tables = {name: joined(name, several) for name in CSV}
    judged = [joined(name, [results]) for name in ("claims", "evidence")]
    drawn = results.table("metrics", quantity="requests")[["dataset", "seed"]].drop_duplicates()
    seeds = drawn.groupby("dataset").size().to_dict()
    told = page(tables["leaderboard"], tables["combinations"], *judged, seeds, load(ROOT / "config.yaml", PRESET))
    drawing = folder / "figures" / FIGURE.name
    if drawing.exists():
        shutil.copyfile(drawing, FIGURE)
        told += f"\n\n![Accuracy against K, and K*](images/{FIGURE.name})"
    text = with_table(PAGE.read_text(encoding="utf-8"), told)
    write(PAGE.stem, text, {CSV[name]: table for name, table in tables.items()})


if __name__ == "__main__":
    typer.run(main)
