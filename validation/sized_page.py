"""The CSV files and figures of docs/sized.md.

python validation/sized_page.py SIZED --arms ARMS

SIZED holds the results of preset sized.yaml, ARMS those of sized_arms.yaml. Runs that a folder lacks are left out.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import pandas as pd
import typer
from PIL import Image

from bumpscope.judge.intervals import clustered_share_interval, t_interval
from bumpscope.judge.leaderboard import SHARES, at_last_step
from bumpscope.show import gallery, style
from bumpscope.store.results import Results

DOCS = Path(__file__).parents[1] / "docs"
FIGURES = ("event_order", "decodability", "imbalance_curves")
KEYS = ["dataset", "step", "quantity", "factor", "layer", "t"]
# What the page says of checkpoints, as columns of table ``metrics``.
CURVES: tuple[dict[str, Any], ...] = (
    {"quantity": [f"share_{outcome}" for outcome in ("none", "multiple", "misplaced", "correct")], "split": "seen"},
    {"quantity": "effect"},
    {"quantity": "resolution"},
    {"quantity": "r2", "label": "requested", "noise": "own", "space": "raw"},
    {"quantity": "r2", "label": "requested", "noise": "own", "space": "pca3"},
)


def checkpoints(results: Results) -> pd.DataFrame:
    """Means over seeds with 95% t intervals, of the runs with a course."""
    rows = []
    for where in CURVES:
        found = results.table("metrics", **where, bin=None, weights="raw").dropna(subset="value")
        found = found[found["factor"].notna() | (found["quantity"] != "r2")]
        found = found[found.groupby("dataset")["step"].transform("nunique") > 1]
        for keys, own in found.groupby(KEYS, dropna=False, sort=False, observed=True):
            values = dict(zip(("value", "low", "high"), t_interval(own["value"].to_list()), strict=True))
            rows.append(dict(zip(KEYS, keys, strict=True)) | {"space": where.get("space", "")} | values)
    return pd.DataFrame(rows)


def holes(results: Results) -> pd.DataFrame:
    """Share of images right to within 0.45 of a spacing, by world and denoiser, of runs that withhold a block."""
    last = at_last_step(results.table("metrics", **SHARES, weights="raw"))
    runs = results.runs[(results.runs["holdout"] != "none") & results.runs["run"].isin(last.index)]
    runs = runs.join(last, on="run").dropna(subset="heldout")
    rows = []
    for (factors, denoiser), own in runs.groupby(["factors", "denoiser"], sort=False):
        for split in ("seen", "heldout"):
            share = clustered_share_interval(own[split].to_numpy(), own["requests"].sum())
            ends = share[1:] if len(own) > 1 else (float("nan"),) * 2
            values = dict(zip(("share", "low", "high"), (share[0], *ends), strict=True))
            rows.append({"factors": factors, "denoiser": denoiser, "split": split, **values, "seeds": len(own)})
    return pd.DataFrame(rows)


def picture(results: Results, name: str, path: Path) -> None:
    """Draw a figure, in few colours for the sake of the page's weight."""
    module = gallery.figure(name)
    with TemporaryDirectory() as folder:
        drawn = Path(folder) / "drawn"
        style.save(module.draw(module.select(results)), drawn.with_suffix(".pdf"), drawn.with_suffix(".png"))
        with Image.open(drawn.with_suffix(".png")) as image:
            image.convert("RGB").quantize(64).save(path, optimize=True)


def main(sized: Path, arms: Annotated[Path | None, typer.Option()] = None) -> None:
    """Write the files."""
    results = Results(sized)
    claims = results.claims[["claim", "estimate", "low", "high", "runs", "verdict"]]
    tables = {"claims": claims[~claims["claim"].str.startswith("F")], "checkpoints": checkpoints(results)}
    if arms:
        tables["arms"] = holes(Results(arms))
    for name, table in tables.items():
        table.to_csv(DOCS / "data" / f"sized-{name}.csv", index=False, float_format="%.5g")
    for name in FIGURES:
        picture(results, name, DOCS / "images" / f"sized-{name}.png")


if __name__ == "__main__":
    typer.run(main)
