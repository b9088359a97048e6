"""Disks that are really full or read-only: told in a line that names the file and the cure, and gone on from."""

import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from bumpscope.denoise.assignment import hold
from bumpscope.show import style
from bumpscope.store.checkpoints import save_tensors
from bumpscope.store.files import FileError, atomic_path
from bumpscope.store.tables import open_table, provenance, write_table
from interrupted_runs import checksums
from loss_rows import loss_rows
from small_disk import Unavailable, small_disk

SETTINGS = '{"lattice": {"image_size": 64, "dx": 2.0, "dy": 2.0}}'
PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def disk(tmp_path):
    try:
        with small_disk(tmp_path / "disk", 256) as mounted:
            yield mounted
    except Unavailable as error:
        pytest.skip(f"needs a file system of its own (root, mount): {error}")


def dataset(folder, *before):
    """Run the command that draws a dataset, with what it tells on the terminal."""
    arguments = [*before, "dataset", "--settings", SETTINGS, "--output", folder / "datasets" / "new.parquet"]
    return subprocess.run([sys.executable, "-m", "bumpscope", *map(str, arguments)], capture_output=True, text=True)


def files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_command_on_a_full_disk_tells_how_much_room_there_is_and_goes_on_after_it_was_made(disk, tmp_path):
    assert dataset(tmp_path / "elsewhere").returncode == 0
    (disk.path / "old").write_bytes(b"an earlier result")
    disk.fill(leave=3 * PAGE)
    before = files(disk.path)
    log = disk.path / "logs" / "new.log"
    done = dataset(disk.path, "--log", log)
    path = disk.path / "datasets" / "new.parquet"
    assert done.returncode == 1
    why = r"\(.*No space left on device; the \d+\.\d MiB that are free do not suffice\)"
    assert re.fullmatch(rf"error: {path}: cannot be written {why}; free some space and run again\n", done.stderr)
    after = files(disk.path)
    assert after.pop("logs/new.log").decode().splitlines()[-1].endswith(done.stderr.strip())
    assert after == before
    disk.enlarge(2048)
    done = dataset(disk.path, "--log", log)
    assert (done.returncode, done.stderr) == (0, "")
    assert checksums(disk.path) == checksums(tmp_path / "elsewhere") != {}


def test_a_log_that_no_longer_fits_is_told_once_and_hides_nothing(disk, tmp_path):
    disk.fill()
    done = dataset(disk.path, "--log", disk.path / "new.log")
    lines = done.stderr.splitlines()
    assert done.returncode == 1
    assert [line.partition(": ")[0] for line in lines] == ["error", "warning"] or [
        line.partition(": ")[0] for line in lines
    ] == ["warning", "error"], done.stderr
    assert all("No space left on device" in line for line in lines)
    # What is written elsewhere is written all the same.
    done = dataset(tmp_path / "elsewhere", "--log", disk.path / "new.log")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and done.stderr.startswith(f"warning: {disk.path}/new.log: cannot be written")


def write_rows(path):
    rows = loss_rows(np.arange(50_000), np.random.default_rng(0).random(50_000))
    write_table("losses", path, rows, provenance({}))


def write_pieces(path):
    with open_table("latents", path, provenance({})) as table:
        for _ in range(40):
            where = {
                "step": [0] * 64,
                "weights": ["raw"] * 64,
                "layer": ["up1"] * 64,
                "t": [39] * 64,
                "noise": ["own"] * 64,
            }
            vector = np.random.default_rng(0).random((64, 64))
            table.append(where | {"sample": np.arange(64), "vector": vector})


def write_checkpoint(path):
    save_tensors(path, {"raw.weight": torch.rand(100_000)}, {})


def picture():
    figure = Figure(figsize=(7, 7))
    figure.subplots().imshow(np.random.default_rng(0).random((600, 600)), interpolation="none")
    return figure


def write_pdf(path):
    style.save(picture(), path, path.parent.parent / "other.png")


def write_png(path):
    style.save(picture(), path.parent.parent / "other.pdf", path)


def write_text(path):
    with atomic_path(path) as temporary:
        pd.DataFrame(np.random.default_rng(0).random((20_000, 3))).to_csv(temporary)


@pytest.mark.parametrize("write", [write_rows, write_pieces, write_checkpoint, write_pdf, write_png, write_text])
@pytest.mark.parametrize("kilobytes", [0, 100], ids=["at once", "in the middle"])
def test_every_kind_of_file_is_told_and_leaves_the_old_one(disk, write, kilobytes):
    path = disk.path / "result"
    path.write_bytes(b"old")
    disk.fill(leave=kilobytes * 1024)
    before = files(disk.path)
    with pytest.raises(
        FileError, match=r"No space left on device; the \d+\.\d MiB that are free do not suffice"
    ) as caught:
        write(path)
    assert str(caught.value).startswith(f"{path}: cannot be written (")
    assert "\n" not in str(caught.value)
    assert files(disk.path) == before
    disk.enlarge(16 * 1024)
    write(path)
    assert path.stat().st_size > 100 * 1024


def test_a_disk_without_room_for_another_file_says_so(tmp_path, disk):
    subprocess.run(["mount", "-o", "remount,nr_inodes=3", disk.path], check=True)
    (disk.path / "folder").mkdir()
    with pytest.raises(FileError, match="No space left on device; no more files can be made there"):
        (disk.path / "one").touch()
        write_text(disk.path / "folder" / "two")


def test_a_read_only_folder_is_told_in_a_line(disk):
    (disk.path / "datasets").mkdir()
    disk.make_read_only()
    done = dataset(disk.path)
    why = r"cannot be written \(.*Read-only file system\); check the folder and its permissions and run again\n"
    assert done.returncode == 1
    assert re.fullmatch(rf"error: {disk.path}/datasets/new\.parquet: {why}", done.stderr)
    done = dataset(disk.path, "--log", disk.path / "logs" / "new.log")
    assert done.returncode == 1
    assert re.fullmatch(rf"bumpscope: {disk.path}/logs/new\.log: {why}", done.stderr)


def test_a_training_whose_state_cannot_be_kept_is_told_in_a_line(disk):
    disk.make_read_only()
    with pytest.raises(FileError, match=r"/state: cannot be written \(Read-only file system\); check the folder"):
        hold(disk.path / "state", "small-seed0")
