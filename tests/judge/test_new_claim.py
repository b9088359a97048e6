"""A claim is a file: dropped into the folder, it is judged and reported like the others."""

import os
import shutil
import subprocess
import sys

import pandas as pd

from bumpscope.judge.claims import modules
from bumpscope.store.provenance import PACKAGE
from synthetic_results import BALANCED, write_results

CLAIM = '''
"""Z1: a made-up claim."""

from bumpscope.judge.verdicts import SUPPORTS, Bound, Judged, estimate

ID = "Z1"
QUESTION = "Does the loss end below one?"
STATEMENT = "The loss ends below one"
STATISTIC = "largest last loss"
READS = (("metrics", {"quantity": "residual", "t": 300}),)
FIGURES = ("loss", "phases")
CAVEAT = "It is made up."
MORE = {}


def judge(data):
    """Supported when every residual lies below 1000."""
    rows = data.table("metrics", **READS[0][1])
    residual = (rows["value"].mean(), rows["value"].min(), rows["value"].max())
    checks = [estimate("residual made up", residual, SUPPORTS, Bound(below=1000))]
    return Judged(residual, rows["run"].nunique(), checks)
'''
PAGE = """
import sys
from pathlib import Path
from bumpscope.show.report.page import build
from bumpscope.store.results import Results

root = Path(sys.argv[1])
(root / "report.html").write_text(build(Results(root), root / "figures", {}), encoding="utf-8")
"""


def test_a_claim_in_the_folder_is_in_the_tables_and_in_the_report(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "src/bumpscope", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/bumpscope/judge/claims/made_up.py").write_text(CLAIM, encoding="utf-8")
    without = ("claims", "evidence")
    root = write_results(tmp_path / "results", {"d": BALANCED}, (0, 1), (0, 600, 1500), samples=16, without=without)
    tables = ["--output", str(root / "claims.parquet"), "--evidence", str(root / "evidence.parquet")]
    for arguments in (["-m", "bumpscope", "claims", "--folder", str(root), *tables], ["-c", PAGE, str(root)]):
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "src")}
        subprocess.run([sys.executable, *arguments], check=True, env=environment, cwd=tmp_path)
    claims = pd.read_parquet(root / "claims.parquet").set_index("claim")
    assert list(claims.index) == [*modules(), "Z1"]
    assert (claims.loc["Z1", "verdict"], claims.loc["Z1", "runs"]) == ("supported", 2)
    evidence = pd.read_parquet(root / "evidence.parquet").set_index("claim")
    assert (evidence.loc["Z1", "quantity"], evidence.loc["Z1", "bound"]) == ("residual made up", "< 1000")
    page = (root / "report.html").read_text(encoding="utf-8")
    section = page[page.index('<section id="Z1"') :].partition("</section>")[0]
    assert "The loss ends below one" in section and "Residual made up: " in section
    assert 'href="#loss"' in section and 'href="#phases"' in section
    assert "Does the loss end below one?" in page.partition('<section id="claims"')[0]
