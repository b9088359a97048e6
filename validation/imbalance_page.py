"""Write docs/imbalance.md from the tables in validation/results, and from nothing else.

python validation/imbalance_page.py
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.intervals import t_interval
from bumpscope.store.files import atomic_path
from judgements import NOT_MEASURED
from truth_tables import RESULTS, ROOT, load, markdown

PAGE = ROOT / "docs" / "imbalance.md"
TABLES = ("search", "runs", "coupling", "onsets", "factorisation", "claims", "bins", "accuracy")
REFERENCES = ("factorised", "gated")
INTRODUCTION = (
    "Is x learnt at the pace of y where the data show the two unequally? The index, its nulls and its measures "
    "are those of [science.md](science.md#imbalance-is-learning-coupled). This page is written by `python "
    "validation/imbalance_page.py` from tables in `validation/results`; how they were made is told at its end. "
    "Brackets hold 95% intervals over seeds, for the gap 90%."
)
SEARCH = (
    "Balanced datasets alone, with seeds that no other experiment uses: an index compares paces, and where its "
    "nulls have the same pace it says nothing. Steps at which label effects (mean of both axes), and the use of "
    "labels at rare positions, reach one half; geometric mean over seeds, and ln of its ratio to the lattice of 1 "
    "px without skew, seed by seed. What was read from it is in [findings.md](findings.md); decided on it, before "
    "the runs that count: 72 by 2 positions (1/6 by 6 px, a ratio of 36 at 144 images, with 12 by 12 for the "
    "count-matched lattice), and skew with an exponent of 3; seeds 0 to 4; label effects at t = 450 as the "
    "measure that C5 rests on. (Of dense lattices the search had one of 0.5 px, not of 1/6.) The runs that count "
    "measure rare positions with 256 images for nine pairs of bins, fewer than the search did. Not tried: other "
    "batch sizes, larger images, held-out centres."
)
ENDS = (
    "The same imbalance, learnt by models whose coupling is known by construction. An index that did not read "
    "about 0 in the first and about 1 in the second would not be believed in any other."
)


def page(folder: Path = RESULTS) -> str:
    """The whole page."""
    found = {name: load(f"imbalance-{name}", folder) for name in TABLES}
    frames = {name: table[0] for name, table in found.items() if table is not None}

    def told(make: Callable[..., str], *names: str, experiments: Sequence[str] = ()) -> str:
        if any(name not in frames for name in names):
            return f"{NOT_MEASURED}."
        tables = [frames[name] for name in names]
        if experiments:
            tables = [table[table["experiment"].isin(experiments)] for table in tables]
        return make(*tables) if all(len(table) for table in tables) else f"{NOT_MEASURED}."

    parts = ["# Imbalanced data: coupled or factorised?", INTRODUCTION]
    parts += ["## In short", told(in_short, "claims", "coupling", experiments=["study"])]
    parts += ["## Where the question can be answered", SEARCH, told(search, "search")]
    parts += ["## The two ends of the index", ENDS, told(ends, "coupling", experiments=REFERENCES)]
    for name in REFERENCES:
        parts += picture(name, "coupling_index", f"Index and gap of the {name} reference")
    parts += ["## The denoiser under study", told(index, "coupling", experiments=["study"])]
    for name, text in (
        ("imbalance_curves", "Learning curves of x and y with their nulls"),
        ("coupling_index", "Index and gap over imbalance"),
        ("onset_map", "Times to half over (dx, dy)"),
    ):
        parts += picture("study", name, text)
    parts += ["### Times to half", told(times, "onsets", experiments=["study"])]
    parts += ["## Rare and common positions", told(bins, "bins", experiments=["study"])]
    parts += [*picture("study", "rare_common", "Use of labels at common and rare positions")]
    parts += [told(correct, "accuracy", experiments=["study"])]
    parts += ["## What is learnt together need not be built together"]
    parts += [told(geometry, "factorisation", experiments=["study"])]
    parts += [*picture("study", "learning_and_geometry", "Coupling of learning beside factorised geometry")]
    parts += ["## Again", again(found)]
    return "\n\n".join(part for part in parts if part) + "\n"


def picture(experiment: str, name: str, text: str) -> list[str]:
    path = f"images/{experiment}-{name}.png"
    return [f"![{text}]({path})"] if (PAGE.parent / path).exists() else []


def number(value: float, digits: int = 2) -> str:
    return "–" if not math.isfinite(value) else f"{value:.{digits}f}"


def interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """An estimate with its interval, in brackets."""
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(low):
        return number(value, digits)
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def in_short(claims: pd.DataFrame, coupling: pd.DataFrame) -> str:
    row = claims[claims["claim"] == "C5"].iloc[0]
    lines = [f"C5, “{row.statement}”: **{row.verdict}** ({row.reason})."]
    for kind, part in coupling[coupling["reference"] == "none"].groupby("kind", sort=False):
        each = [f"by {measure} {_verdicts(own)}" for measure, own in part.groupby("measure", sort=False) if len(own)]
        lines.append(f"- Imbalance of {'spacing' if kind == 'lattice' else 'frequency'}: {'; '.join(each)}.")
    return "\n\n".join([lines[0], "\n".join(lines[1:])])


def _verdicts(rows: pd.DataFrame) -> str:
    """Of a dataset and its swapped one, which share an index, the first."""
    seen: set[str] = set()
    texts = []
    for row in rows.to_dict("records"):
        if row["dataset"] not in seen:
            seen |= {row["dataset"], row["swapped"]}
            texts.append(f"{row['verdict']} ({interval(row['coupling'], row['low'], row['high'])})")
    return ", ".join(texts)


def search(table: pd.DataFrame) -> str:
    plain = table[(table["spacing"].round(4) == 1) & (table["alpha"] == 0)].set_index(["measure", "seed"])
    rows = []
    for (spacing, alpha), part in table.groupby(["spacing", "alpha"]):
        row: dict[str, Any] = {"spacing, px": f"{spacing:.3g}", "skew of both axes": f"{alpha:g}"}
        for measure, own in part.groupby("measure"):
            log = np.log(own[["tau_x", "tau_y"]].to_numpy(dtype=float)).mean(axis=1)
            base = plain.loc[measure].reindex(own["seed"])[["tau_x", "tau_y"]].to_numpy(dtype=float)
            ratio = log - np.log(base).mean(axis=1)
            known = np.isfinite(log)
            # At 6 px there are two positions an axis, none of them rare.
            row[f"{measure}: step"] = f"{np.exp(log[known].mean()):.0f}" if known.all() and known.any() else "–"
            against = t_interval(ratio[np.isfinite(ratio)])
            row[f"{measure}: ln ratio"] = interval(*against) if known.all() else "–"
        row["seeds"] = part["seed"].nunique()
        rows.append(row)
    return markdown(pd.DataFrame(rows).fillna("–"))


def index(coupling: pd.DataFrame) -> str:
    rows, seen = [], set()
    for row in coupling.to_dict("records"):
        if (row["dataset"], row["measure"]) in seen:
            continue
        seen |= {(row["dataset"], row["measure"]), (row["swapped"], row["measure"])}
        rows.append(
            {
                "dataset": row["dataset"],
                "model": "under study" if row["reference"] == "none" else row["reference"],
                "measure": row["measure"],
                "index": interval(row["coupling"], row["low"], row["high"]),
                "gap, ln steps": interval(row["gap"], row["gap_low"], row["gap_high"]),
                "nulls' gap": interval(row["null_gap"], row["null_low"], row["null_high"]),
                "delay, ln steps": interval(row["delay"], row["delay_low"], row["delay_high"]),
                "seeds": row["runs"],
                "never reached": row["censored"],
                "simultaneous": row["simultaneous"],
                "verdict": f"**{row['verdict']}**",
            }
        )
    return markdown(pd.DataFrame(rows)) + (
        "\n\nOf a dataset and the same with its axes swapped, which share an index, the first is shown. Delay: against "
        "the balanced lattice with as many images. Never reached: runs, nulls among them, in which a curve stays below "
        "one half."
    )


def ends(coupling: pd.DataFrame) -> str:
    """The references' rows, and which kinds of imbalance their presets have and these runs have not."""
    missing = [
        f"{reference} with unequal {what}"
        for reference in REFERENCES
        for kind, what in (("lattice", "spacing"), ("frequency", "frequency"))
        if not ((coupling["reference"] == reference) & (coupling["kind"] == kind)).any()
    ]
    return index(coupling) + (f" Not run here, though in the presets: {', '.join(missing)}." if missing else "")


def times(onsets: pd.DataFrame) -> str:
    rows = [
        {
            "dataset": row["dataset"],
            "measure": row["measure"],
            "tau x": interval(row["tau_x"], row["tau_x_low"], row["tau_x_high"], 0),
            "tau y": interval(row["tau_y"], row["tau_y_low"], row["tau_y_high"], 0),
            "ln tau x - ln tau y": interval(row["gap"], row["gap_low"], row["gap_high"]),
            "correlation over seeds": interval(row["correlation"], row["correlation_low"], row["correlation_high"]),
            "seeds timed": row["runs"],
        }
        for row in onsets.to_dict("records")
    ]
    return markdown(pd.DataFrame(rows))


def bins(table: pd.DataFrame) -> str:
    """Rare and common positions, and where an axis is skewed apart by those of the other axis."""
    shown = table["dataset"].str.startswith("dx1_dy1") & table["bin"].isin(["common", "rare"])
    shown &= (table["other"] == "all") | table["dataset"].str.contains("skew")
    rows = []
    for row in table[shown].to_dict("records"):
        others = "" if row["other"] == "all" else f", {'y' if row['axis'] == 'x' else 'x'} {row['other']}"
        rows.append(
            {
                "dataset": row["dataset"],
                "label": row["axis"],
                "at positions": f"{row['axis']} {row['bin']}{others}",
                "half used at step": interval(row["tau"], row["tau_low"], row["tau_high"], 0),
                "seeds timed": f"{row['timed']:.0f} of {row['runs']:.0f}",
                "use at the end": interval(row["use"], row["use_low"], row["use_high"]),
            }
        )
    return markdown(pd.DataFrame(rows))


def correct(table: pd.DataFrame) -> str:
    rows = [
        {
            "dataset": row["dataset"],
            "x": row["bin_x"],
            "y": row["bin_y"],
            "correct images at the end": interval(row["correct"], row["low"], row["high"]),
        }
        for row in table[table["dataset"].str.startswith("dx1_dy1")].to_dict("records")
    ]
    return markdown(pd.DataFrame(rows))


def geometry(table: pd.DataFrame) -> str:
    rows = []
    for (dataset, layer, t), part in table.groupby(["dataset", "layer", "t"], sort=False):
        values = part.set_index("metric")
        share = values.loc["additive_share"]
        row = {
            "dataset": dataset,
            "coupling of learning": interval(share.coupling, share.coupling_low, share.coupling_high),
            "gap": number(share.gap),
            "place": f"{layer}, t = {t}" if layer != "image" else "images",
            "additive share": interval(share.value, share.low, share.high),
            "untrained": number(share.untrained),
        }
        for name in ("parallelism_x", "parallelism_y", "orthogonality"):
            if name in values.index:
                own = values.loc[name]
                row[name.replace("_", " ")] = interval(own.value, own.low, own.high)
        rows.append(row)
    return markdown(pd.DataFrame(rows).fillna("–"))


def again(found: dict[str, tuple[pd.DataFrame, dict[str, str]] | None]) -> str:
    lines = [
        "```bash",
        "python validation/search_imbalance.py --processes 2",
        "snakemake --cores 8 --configfile workflow/presets/imbalance.yaml --config output=imbalance",
        *(f"snakemake --cores 8 --configfile workflow/presets/{r}.yaml --config output={r}" for r in REFERENCES),
        "python validation/keep_imbalance.py imbalance study",
        *(f"python validation/keep_imbalance.py {r} {r}" for r in REFERENCES),
        "python validation/imbalance_page.py",
        "```",
    ]
    facts = [table[1] for table in found.values() if table is not None]
    machines = sorted({f"{fact['processor']}, {fact['date']}" for fact in facts})
    kept = found["runs"]
    counts = (
        ""
        if kept is None
        else ", ".join(
            f"{len(part)} runs of {part['dataset'].nunique()} datasets ({name})"
            for name, part in kept[0].groupby("experiment", sort=False)
        )
    )
    return (
        "\n".join(lines) + f"\n\nKept here: {counts or 'nothing'}. Measured on {'; '.join(machines) or 'no machine'}."
    )


if __name__ == "__main__":
    with atomic_path(PAGE) as temporary:
        temporary.write_text(page(), encoding="utf-8")
    print(f"written: docs/{PAGE.name}")
