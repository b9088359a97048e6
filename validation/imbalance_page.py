"""Write docs/imbalance.md and its CSV files from the tables in validation/results.

python validation/imbalance_page.py
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bumpscope.judge.intervals import t_interval
from truth_tables import RESULTS, frames, link, load, markdown, write

TABLES = ("search", "runs", "coupling", "onsets", "factorisation", "claims", "bins", "accuracy", "network")
KNOWN = "coupling-index"
STUDY, REFERENCES, NETWORK = "study", ("factorised", "gated"), ("default", "skew")
PLACES = ("down3, t = 239", "up2, t = 239", "images")
INTRODUCTION = """\
Is x learnt at the pace of y where the data show the two unequally? The
[coupling index](science.md#imbalance-is-learning-coupled) is 0 if each axis keeps the pace of its null (factorised),
and 1 if both are learnt at once (coupled). Dataset `dx0p1667_dy6` has x positions 1/6 px apart and y positions 6 px: 72
by 2. Times are optimiser steps, gaps ln steps. Brackets hold 95% intervals over seeds, for gaps 90%."""
MODELS = """\
72 x 2 positions with 2 x 72, five seeds, raw weights, t = 450, constant learning rate, one-dimensional nulls. The index
by resolution should read at most 0.2 for a factorised model and 0.8 to 1.25 for a coupled one, in ln steps and steps.
It does for `own_resolution`, `equal_resolution` and `gated`. By half effects `equal_resolution` has a gap of
0.33, though its axes are learnt together, since half an effect is 1.8 px on the fine axis and 3.9 px on the coarse one.

`factorised`, a product of two networks that see stripes, is factorised by effects. By resolution it is open: its
nulls differ by just 0.2 ln steps, and a stripe says less of the centre than the image does, so that it is as no exact
denoiser of any resolution."""
MODELS_OF = {
    "none": "network under study",
    "own_resolution": "own resolution",
    "equal_resolution": "equal resolution",
    "gated": "gated",
    "factorised": "product of stripes",
}
UNDER_STUDY = """\
By resolution, with one-dimensional nulls: the pair of unequal spacing of the [default experiment](findings.md), and the
pair with x or y skewed by 3. At that skew neither the nulls nor the axes of the pair plainly differ, so that there is
no index."""
ALIKE = """\
Where the nulls have the same pace, a factorised learner would look coupled too. So it is for spacings from 0.5 to 2 px,
at which balanced lattices differ less than seeds do (see the search below), and by resolution for a skew of 3. “Learnt
together” can be shown only where one axis is very coarse."""
COUNTS = """\
A balanced null of 1/6 px has 5,184 images and one of 6 px has 4, the pair 144. If fewer images are learnt faster, that
alone moves each axis of the pair towards the other, and the index towards 1. One-dimensional nulls have 72 and 2: their
counts differ by a factor of 36 in place of 1,296, and each null has fewer images than the pair, as a separate task
would have."""
EARLIER = """\
These runs were timed by half effects and first crossings of averaged weights, against balanced nulls, with a cosine
schedule. They are kept as a description: no claim rests on them."""
INDEX = """\
The factorised and gated references are factorised and coupled by construction. A dataset and the one with its axes
swapped share an index. Measures are label effects, use of labels at rare positions, and accuracy of an axis."""
TIMES = "Step at which each axis' label effect reaches one half, and the gap of each dataset alone:"
RARE = """\
Step at which half of a label is used at common and at rare positions of its axis, seeds that get there, and share of
correct images at the end:"""
GEOMETRY = """\
How far the last representation is a sum of a part for x and a part for y (1: entirely). What is learnt together need
not be represented together."""
SEARCH = """\
Nulls must be learnt at different paces. They were searched for among balanced datasets alone, with other seeds, before
any imbalanced run. The table has the step at which label effects reach one half, and ln of its ratio to the lattice of
1 px without skew."""


def page(folder: Path = RESULTS) -> str:
    """The page's text."""
    kept = {name.removeprefix("imbalance-"): table for name, table in _frames(folder).items()}
    study = {name: of(table, STUDY) for name, table in kept.items() if name not in ("search", "network", KNOWN)}
    parts = [
        "# Imbalanced data: coupled or factorised?",
        INTRODUCTION,
        "## Models of known coupling",
        MODELS,
        known(kept[KNOWN]),
        "## The network under study",
        UNDER_STUDY,
        under_study(kept["network"]),
        "## Nulls that do not differ",
        ALIKE,
        "## Number of images",
        COUNTS,
        "## An earlier study",
        EARLIER,
        index(pd.concat([study["coupling"], of(kept["coupling"], *REFERENCES)])),
        INDEX,
        missing(kept["coupling"]),
        "![Index and gap over imbalance](images/study-coupling_index.png)",
        "### Times",
        TIMES,
        times(study["onsets"][study["onsets"]["measure"] == "effects"]),
        "![Learning curves of x and y with their nulls](images/study-imbalance_curves.png)",
        "### Rare and common positions",
        RARE,
        rare(study["bins"], study["accuracy"]),
        "![Use of labels at common and rare positions](images/study-rare_common.png)",
        "### Representation",
        GEOMETRY,
        geometry(study["factorisation"]),
        "![Coupling of learning beside factorised geometry](images/study-learning_and_geometry.png)",
        "### How the datasets were chosen",
        SEARCH,
        search(kept["search"]),
        "## Run it again",
        again(kept["runs"], folder),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def under_study(table: pd.DataFrame) -> str:
    """A row for each pair of datasets, of the first of them."""
    rows = [
        {"dataset": row["dataset"], **_read(row)}
        for name in NETWORK
        for row in of(table, name).drop_duplicates(["kind", "nulls"]).to_dict("records")
    ]
    return markdown(pd.DataFrame(rows))


def known(table: pd.DataFrame) -> str:
    """A row for each model and measure, of the first dataset of the pair."""
    shown = table[table["measure"].isin(["resolution", "effects"]) & table["dataset"].str.startswith("72x2")]
    rows = [
        {"model": MODELS_OF[row["reference"]], "measure": row["measure"], **_read(row)}
        for name in MODELS_OF
        for row in shown[shown["reference"] == name].to_dict("records")
    ]
    return markdown(pd.DataFrame(rows))


def _read(row: Mapping[Hashable, Any]) -> dict[str, object]:
    """A row of the table ``coupling`` for the page."""
    return {
        "index": interval(row["coupling"], row["low"], row["high"]),
        "in steps": interval(row["in_steps"], row["in_steps_low"], row["in_steps_high"]),
        "gap of the pair": interval(row["gap"], row["gap_low"], row["gap_high"]),
        "nulls' gap": interval(row["null_gap"], row["null_low"], row["null_high"]),
        "seeds": row["runs"],
        "verdict": row["verdict"],
    }


def tables(folder: Path = RESULTS) -> dict[str, pd.DataFrame]:
    """The full tables beside the page, by name of their file."""
    return {
        name: table for name, table in _frames(folder).items() if name not in ("imbalance-claims", "imbalance-runs")
    }


def _frames(folder: Path) -> dict[str, pd.DataFrame]:
    return frames(KNOWN, *(f"imbalance-{name}" for name in TABLES), folder=folder)


def of(table: pd.DataFrame, *experiments: str) -> pd.DataFrame:
    return table[table["experiment"].isin(experiments)]


def interval(value: float, low: float, high: float, digits: int = 2) -> str:
    """An estimate with its interval in brackets; a dash where there is none."""
    if not math.isfinite(value):
        return "–"
    if not math.isfinite(low):
        return f"{value:.{digits}f}"
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def index(coupling: pd.DataFrame) -> str:
    rows, seen = [], set()
    for row in coupling.to_dict("records"):
        if (row["dataset"], row["measure"]) in seen:
            continue
        seen |= {(row["dataset"], row["measure"]), (row["swapped"], row["measure"])}
        rows.append(
            {
                "dataset": row["dataset"],
                "measure": row["measure"],
                "index": interval(row["coupling"], row["low"], row["high"]),
                "gap of the pair": interval(row["gap"], row["gap_low"], row["gap_high"]),
                "nulls' gap": interval(row["null_gap"], row["null_low"], row["null_high"]),
            }
        )
    return markdown(pd.DataFrame(rows))


def missing(coupling: pd.DataFrame) -> str:
    """Which kinds of imbalance the references' presets have and the kept runs have not."""
    absent = [
        f"{reference} with unequal {what}"
        for reference in REFERENCES
        for kind, what in (("lattice", "spacing"), ("frequency", "frequency"))
        if not ((coupling["reference"] == reference) & (coupling["kind"] == kind)).any()
    ]
    return f"Not run: {', '.join(absent)}." if absent else ""


def times(onsets: pd.DataFrame) -> str:
    rows = [
        {
            "dataset": row["dataset"],
            "x": interval(row["tau_x"], row["tau_x_low"], row["tau_x_high"], 0),
            "y": interval(row["tau_y"], row["tau_y_low"], row["tau_y_high"], 0),
            "gap": interval(row["own_gap"], row["own_gap_low"], row["own_gap_high"]),
        }
        for row in onsets.to_dict("records")
    ]
    return markdown(pd.DataFrame(rows))


def rare(bins: pd.DataFrame, accuracy: pd.DataFrame) -> str:
    """A row for each label and frequency of its positions, where x is skewed or both axes are."""
    shown = bins[
        bins["dataset"].str.contains("skewx|skewboth") & bins["bin"].isin(["common", "rare"]) & (bins["other"] == "all")
    ]
    correct = accuracy.set_index(["dataset", "bin_x", "bin_y"])
    rows = []
    for row in shown.sort_values(["dataset", "axis", "bin"], kind="stable").to_dict("records"):
        place = (row["bin"], "all") if row["axis"] == "x" else ("all", row["bin"])
        images = correct.loc[(row["dataset"], *place)]
        rows.append(
            {
                "dataset": row["dataset"],
                "label": f"{row['axis']}, {row['bin']}",
                "half used": interval(row["tau"], row["tau_low"], row["tau_high"], 0),
                "seeds": f"{row['timed']:.0f}/{row['runs']:.0f}",
                "correct": interval(images.correct, images.low, images.high),
            }
        )
    return markdown(pd.DataFrame(rows))


def geometry(table: pd.DataFrame) -> str:
    share = table[table["metric"] == "additive_share"].dropna(subset="value")
    place = (share["layer"] + ", t = " + share["t"].astype(str)).where(share["layer"] != "image", "images")
    cells = [interval(row.value, row.low, row.high) for row in share.itertuples()]
    shown = pd.DataFrame({"dataset": share["dataset"], "place": place, "cell": cells})
    shown = shown[shown["place"].isin(PLACES)].pivot(index="dataset", columns="place", values="cell")
    return markdown(shown.reindex(share["dataset"].unique())[list(PLACES)].reset_index())


def search(table: pd.DataFrame) -> str:
    table = table[table["measure"] == "effects"]
    plain = table[(table["spacing"].round(4) == 1) & (table["alpha"] == 0)].set_index("seed")
    rows = []
    for (spacing, alpha), part in table.groupby(["spacing", "alpha"]):
        log = np.log(part[["tau_x", "tau_y"]].to_numpy(dtype=float)).mean(axis=1)
        base = np.log(plain.reindex(part["seed"])[["tau_x", "tau_y"]].to_numpy(dtype=float)).mean(axis=1)
        rows.append(
            {
                "spacing, px": f"{spacing:.3g}",
                "skew": f"{alpha:g}",
                "step": f"{np.exp(log.mean()):.0f}",
                "ln ratio": interval(*t_interval(log - base)),
            }
        )
    return markdown(pd.DataFrame(rows))


def again(runs: pd.DataFrame, folder: Path) -> str:
    names = (STUDY, *REFERENCES)
    outputs = {STUDY: "imbalance"} | {name: name for name in (*REFERENCES, "skew")}
    presets = {name: f"workflow/presets/{output}.yaml" for name, output in outputs.items()}
    presets["skew"] = f"{presets[STUDY]} {presets['skew']}"
    lines = ["```bash", "python validation/measure_coupling.py own_resolution equal_resolution gated factorised none"]
    lines += ["python validation/search_imbalance.py --processes 2", "snakemake --cores 8"]
    lines += [
        f"snakemake --cores 8 --configfile {presets[name]} --config output={output}" for name, output in outputs.items()
    ]
    outputs["default"] = "results"
    lines += [f"python validation/keep_imbalance.py {output} {name}" for name, output in outputs.items()]
    lines += ["python validation/imbalance_page.py", "```"]
    counts = ", ".join(f"{len(of(runs, name))} runs ({name})" for name in names)
    machines = [_machine(name, folder) for name in ("coupling", "network")]
    links = ", ".join(link(name, name.removeprefix("imbalance-")) for name in tables(folder))
    kept = f"Kept: {counts}; {machines[0]}. The network under study: {machines[1]}. Full tables: {links}."
    return "\n".join(lines) + "\n\n" + kept


def _machine(name: str, folder: Path) -> str:
    facts = load(f"imbalance-{name}", folder)[1]
    return f"{facts['processor']}, {facts['date']}"


if __name__ == "__main__":
    write("imbalance", page(), tables())
