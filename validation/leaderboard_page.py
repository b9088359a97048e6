"""The measured part of docs/factorise.md and its CSV files, from the results of preset factorise.yaml, also in part.

python validation/leaderboard_page.py RESULTS [MORE ...]

MORE holds the results of the other presets of the page: factorise_random.yaml, factorise_long.yaml, percolation.yaml.
What the workflow has not made is said to be not measured. Of an experiment that was cut short, `--finished part.yaml`
writes a preset of the runs that are there. Laid over the preset, it makes their tables in the same folder.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer
import yaml

from bumpscope.config.experiment import Config
from bumpscope.config.loading import load, read_yaml
from bumpscope.judge.combinations import SEEN
from bumpscope.judge.controls import datasets
from bumpscope.judge.intervals import clustered_share_interval
from bumpscope.judge.leaderboard import ENDS, RANDOM, arms, at_last_step, drawn_on_designs, known_k_star
from bumpscope.judge.verdicts import FEWEST_SEEDS
from bumpscope.judge.wording import number
from bumpscope.store.results import Results
from leaderboard_data import NEAR, ORDER, Measured, gathered
from truth_tables import link, markdown, write

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "factorise.md"
PRESET = ROOT / "workflow" / "presets" / "factorise.yaml"
FIGURE = PAGE.parent / "images" / "factorisation.png"
MARK = "<!-- table of validation/leaderboard_page.py -->"
# Tables beside the page, by name of their file.
CSV = {"leaderboard": "factorise-leaderboard", "combinations": "factorise-combinations"}
# Marks arms whose comparison with the plain UNet is not fair.
UNFAIR = "†"
CAPTION = "Evenly spaced designs. Arrows: at most, or at least."
CLAIMS = ("F1", "F2", "F3", "F4")
# Has a preset of its own.
ELSEWHERE = "F3"
SHARE = "share right"
# Such numbers that are told together; the last has no end.
MOST = 999
AROUND = ((0, 2), (3, 5), (6, 8), (9, MOST))
# At less than this share of withheld combinations an arm is said to fail.
FAILS = 0.5


def page(measured: Measured, config: Config) -> str:
    """What was measured, in Markdown.

    Args:
        config: the experiment that was to be measured.
    """
    board, cells = measured.board, measured.cells
    steps = config.training.steps
    parts, usual = [], cells[cells["training_steps"] == steps]
    for design, own in usual.groupby("design", sort=False):
        of_design = board[(board["design"] == design) & (board["training_steps"] == steps)]
        parts += ["**Rows and columns in random order:**"] if design == RANDOM else []
        parts += [in_words(of_design), *(shares(part, of_design) for _, part in own.groupby("positions", sort=False))]
    parts += [in_full(cells), surroundings(measured.asked), hole(measured), longer(measured, steps)]
    parts += [failures(board, cells, steps)]
    parts += [verdicts(measured.claims), percolation(measured.evidence), missing(measured, config)]
    return "\n\n".join(filter(None, parts)) or "Not measured yet."


def in_words(board: pd.DataFrame) -> str:
    """Which arms of one kind of design need fewer combinations than the plain UNet on each lattice, by how much."""
    sentences = []
    for n, own in board.groupby("positions", sort=False):
        fewer = own[(own["ratio_high"] < 1) & (own["guardrails"] == "")]
        told = [
            f"{_named(row['arm'])} {_k_star(row)} ({number(row['ratio'])} of it)" for row in fewer.to_dict("records")
        ]
        plain = own[own["arm"] == "unet"]
        base = f"the plain UNet needs {_k_star(plain.iloc[0].to_dict())}; " if len(plain) else ""
        sentences.append(f"N = {n}, {n**2} combinations: {base}{', '.join(told) or 'no arm certainly fewer'}.")
    few = not board.empty and board["seeds"].min() < FEWEST_SEEDS
    sentences += [f"Rows with fewer than {FEWEST_SEEDS} seeds are descriptive only."] if few else []
    return " ".join(sentences)


def shares(cells: pd.DataFrame, board: pd.DataFrame) -> str:
    """A row for each arm on lattices of one N and kind of design: shares right over k, K*, its ratio and exponent."""
    n = int(cells["positions"].iloc[0])
    each = sorted(cells["shown"].unique())
    head = [_place(cells.iloc[0].to_dict()), "told", *(f"k = {shown // n}" for shown in each)]
    head += ["K\\*", "ratio", "exponent", "seeds"]
    lines, rows = [], board[board["positions"] == n].fillna({"bound": "", "told": "", "guardrails": ""})
    for row in rows.to_dict("records"):
        own = cells[(cells["arm"] == row["arm"]) & (cells["image_size"] == row["image_size"])].set_index("shown")
        right = [_share(own.loc[shown].to_dict()) if shown in own.index else "" for shown in each]
        told = [_interval(row, name, f"{name}_low", f"{name}_high") for name in ("ratio", "exponent")]
        unfair = f" {UNFAIR}" if row["guardrails"] else ""
        values = [_named(row["arm"]) + unfair, row["told"] or "–", *right, _k_star(row), *told, str(row["seeds"])]
        lines.append(values)
    return _table(head, lines)


def in_full(cells: pd.DataFrame) -> str:
    """Where all columns are."""
    if cells.empty:
        return ""
    return f"In full: {link(CSV['leaderboard'], 'all arms')}, {link(CSV['combinations'], 'each k')}."


def surroundings(asked: pd.DataFrame) -> str:
    """What the plain UNet draws when asked for withheld combinations, by how many of those shown lie around them."""
    if asked.empty:
        return ""
    named = [f"{low} to {high}" if high < MOST else f"{low} or more" for low, high in AROUND]
    head = [f"shown within {NEAR:g} px:", "k", *named, "right", "one that was shown, in place of it"]
    lines = []
    several = asked["image_size"].nunique() > 1
    for (design, size, n, each), own in asked.groupby(["design", "image_size", "positions", "each"]):
        shares = []
        for low, high in AROUND:
            here = own.loc[own["around"].between(low, high), "right"]
            shares.append(f"{here.mean():.2f} ({len(here)})" if len(here) else "")
        place = _place({"design": design, "positions": n}) + (f", {size} px" if several else "")
        lines.append([place, each, *shares, f"{own['right'].mean():.2f}", f"{own['copied'].mean():.2f}"])
    about = (
        "What the plain UNet draws for withheld combinations: shares right (requests) by how many shown ones lie around"
    )
    return f"{about}.\n\n{_table(head, lines)}"


def hole(measured: Measured) -> str:
    """Shares right in withheld blocks: a row for each arm, a column for each block."""
    runs = measured.runs[measured.runs["holdout"] != "none"]
    if runs.empty:
        return ""
    withheld = 1 - runs["n_images"] / runs["dataset"].map(datasets(runs)["points"])
    found = runs.assign(arm=arms(runs), withheld=withheld).join(at_last_step(measured.metrics), on="run")
    blocks = sorted(found["withheld"].unique())
    head = ["hole", *(f"{block:.0%} of all combinations, {math.sqrt(block):.0%} of each axis" for block in blocks)]
    lines = []
    for arm, own in found.groupby("arm", sort=False):
        told = [own[own["withheld"] == block].dropna(subset="heldout") for block in blocks]
        lines.append([_named(arm), *(_of_seeds(part) if len(part) else "" for part in told)])
    return f"Shares right in a withheld block:\n\n{_table(head, lines)}"


def longer(measured: Measured, usual: int) -> str:
    """Shares of withheld combinations right during trainings of more steps than usual, beside the usual training."""
    designs = drawn_on_designs(measured.runs, measured.metrics)
    long = designs[designs["training_steps"] > usual]
    if long.empty:
        return ""
    steps = sorted(measured.metrics.loc[measured.metrics["run"].isin(long["run"]), "step"].unique())
    total = int(long["training_steps"].max())
    head = ["arm", f"{usual} steps", *(f"{step} of {total}" for step in steps), "shown"]
    lines = []
    keys = ["arm", "design", "positions", "image_size", "shown"]
    for key, own in long.groupby(keys, sort=False):
        alike = (designs[keys] == list(key)).all(axis=1) & designs["seed"].isin(own["seed"])
        short = designs[alike & (designs["training_steps"] == usual)]
        values = [f"{short['heldout'].mean():.2f}" if len(short) else ""]
        for step in steps:
            until = measured.metrics[measured.metrics["step"] <= step]
            values.append(f"{at_last_step(until)['heldout'].reindex(own['run']).mean():.2f}")
        n = int(own["positions"].iloc[0])
        named = f"{_named(key[0])}, k = {own['shown'].iloc[0] // n} of {n}"
        lines.append([named, *values, f"{own['seen'].mean():.2f}"])
    few = int(long.groupby(keys)["seed"].nunique().min())
    about = (
        f"Shares of withheld combinations right during a longer training, and of shown ones at its end ({few} seeds):"
    )
    return f"{about}\n\n{_table(head, lines)}"


def percolation(evidence: pd.DataFrame) -> str:
    """Shares right and shares connected, by share shown, which F3 judges; a row for each lattice and share."""
    own = evidence[evidence["claim"] == "F3"].drop_duplicates(["quantity", "subject"])
    named = own.set_index(["quantity", "subject"])["value"]
    if SHARE not in named.index.get_level_values(0):
        return ""
    head = ["shown at random", "connected", "withheld, right"]
    lines = []
    for subject, right in named[SHARE].items():
        lines.append([subject, f"{named['largest connected share', subject]:.2f}", f"{right:.2f}"])
    told = []
    for subject, seen in named["share right of what was shown"].items():
        from_on = named["share from which half of the shown are connected", subject]
        together = f"half of those shown are connected from {number(from_on)} on"
        told.append(f"- {subject}: {together}; of those shown {number(seen)} or more are right.")
    return "\n".join([_table(head, lines), "", *told])


def failures(board: pd.DataFrame, cells: pd.DataFrame, usual: int) -> str:
    """What failed: shares of withheld combinations right that are less than half, and comparisons that are not fair."""
    told: dict[str, list[str]] = {}
    for row in cells[cells["heldout"] < FAILS].to_dict("records"):
        order = f", {ORDER}" if row["design"] == RANDOM else ""
        seen = f", and {row['seen']:.2f} of what was shown" if row["seen"] < SEEN else ""
        place = f"k = {row['shown'] // row['positions']} of {row['positions']}{order}{_longer(row, usual)}"
        told.setdefault(_named(row["arm"]), []).append(f"{row['heldout']:.2f} ({place}{seen})")
    lines = [f"{arm} {', '.join(parts)}" for arm, parts in told.items()]
    failed = f"**Failed**, less than {FAILS:g} of what was withheld: {'; '.join(lines)}." if lines else ""
    unfair = board[board["guardrails"].fillna("") != ""].drop_duplicates(["arm", "guardrails"])
    faults = [f"{_named(row['arm'])}{_longer(row, usual)} ({row['guardrails']})" for row in unfair.to_dict("records")]
    return "\n\n".join(
        filter(None, [failed, f"{UNFAIR} **Not a fair comparison**: {'; '.join(faults)}." if faults else ""])
    )


def verdicts(claims: pd.DataFrame) -> str:
    """A row for each claim on the benchmark that could be judged; those of the preset in any case."""
    own = claims[claims["claim"].isin(CLAIMS)] if len(claims) else claims
    own = own[own["estimate"].notna() | ((own["place"] == "") & (own["claim"] != ELSEWHERE))]
    if own.empty:
        return ""
    lines = []
    for row in own.sort_values(["claim", "place"], kind="stable").to_dict("records"):
        named = ", ".join(filter(None, [row["claim"], row["place"]]))
        lines.append([named, row["verdict"], _interval(row, "estimate"), row["statistic"]])
    return _table(["claim", "verdict", "estimate (95%)", "of"], lines)


def missing(measured: Measured, config: Config) -> str:
    """The datasets of the experiment without results, or with those of some seeds only."""
    drawn = measured.metrics.loc[measured.metrics["quantity"] == "requests", ["dataset", "seed"]].drop_duplicates()
    seeds = drawn.groupby("dataset").size().to_dict()
    planned: dict[str, int] = {}
    for run in config.runs():
        planned[run.dataset] = planned.get(run.dataset, 0) + 1
    none = [name for name in planned if not seeds.get(name)]
    some = [
        f"{name} ({seeds[name]} of {count} seeds)" for name, count in planned.items() if 0 < seeds.get(name, 0) < count
    ]
    return f"Not measured: {', '.join([*none, *some])}." if none or some else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return markdown(pd.DataFrame(rows, columns=list(head), dtype=object))


def _of_seeds(own: pd.DataFrame) -> str:
    share, low, high = clustered_share_interval(own.groupby("seed")["heldout"].mean(), own["requests"].sum())
    few = "" if own["seed"].nunique() >= FEWEST_SEEDS else f", {own['seed'].nunique()} seeds"
    return f"{share:.2f} ({low:.2f}–{high:.2f}{few})"


def _share(row: dict) -> str:
    low, high = row["heldout_low"], row["heldout_high"]
    text = f"{row['heldout']:.2f}"
    return text if pd.isna(low) else f"{text} ({low:.2f}–{high:.2f})"


def _named(arm: str) -> str:
    """Of the import path of a denoiser from elsewhere only the class."""
    return str(arm).rpartition(":")[2]


def _longer(row: dict, usual: int) -> str:
    return f", {row['training_steps']} steps" if row["training_steps"] != usual else ""


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


def main(
    folders: list[Path], finished: Annotated[Path | None, typer.Option(help="preset to write instead")] = None
) -> None:
    """Write the measured part of docs/factorise.md and its CSV files, and copy the figure beside it."""
    folder = folders[0]
    if finished is not None:
        finished.write_text(yaml.safe_dump(preset_of_finished(folder), sort_keys=False), encoding="utf-8")
        return
    config = load(ROOT / "config.yaml", PRESET)
    found = gathered([Results(one) for one in folders], config.training.steps)
    told = page(found, config)
    drawing = folder / "figures" / FIGURE.name
    if drawing.exists():
        shutil.copyfile(drawing, FIGURE)
        told += f"\n\n![Accuracy against K, and K*](images/{FIGURE.name})\n\n{CAPTION}"
    text = with_table(PAGE.read_text(encoding="utf-8"), told)
    write(PAGE.stem, text, {CSV["leaderboard"]: found.board, CSV["combinations"]: found.cells})


if __name__ == "__main__":
    typer.run(main)
