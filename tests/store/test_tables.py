"""Tables: what is written comes back, broken files raise one-line errors, and nothing half-written is ever seen."""

import errno
import os
import re
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bumpscope import __version__
from bumpscope.store import manifest
from bumpscope.store.files import FileError, atomic_path
from bumpscope.store.schemas import TABLES
from bumpscope.store.tables import (
    TableError,
    open_table,
    provenance,
    read_block,
    read_metadata,
    read_table,
    write_table,
)
from loss_rows import loss_rows

META = provenance({"key": 1}, run="balanced-seed0")
CURE = "delete it and run the workflow again"


def dataset_rows(rows=7, pixels=16, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "mu_x": rng.random(rows),
        "mu_y": rng.random(rows),
        "probability": np.full(rows, 1 / rows),
        "split": ["seen"] * rows,
        "image": rng.random((rows, pixels)).astype(np.float32),
    }


def latent_rows(layer, width, rows=4):
    vectors = np.arange(rows * width, dtype=np.float32).reshape(rows, width)
    where = {
        "step": [5] * rows,
        "weights": ["raw"] * rows,
        "layer": [layer] * rows,
        "t": [39] * rows,
        "noise": ["own"] * rows,
    }
    return where | {"sample": range(rows), "vector": vectors}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "table.parquet"


@pytest.fixture
def written(path):
    write_table("dataset", path, dataset_rows(), META)
    return path


def files_beside(path):
    """Files that lie beside a table, other than the record of its checksum."""
    found = [other for other in path.parent.rglob("*") if other.is_file()]
    return [other for other in found if other not in (path, manifest.record_of(path))]


def test_what_is_written_comes_back(written):
    data = dataset_rows()
    frame = read_table("dataset", written)
    assert list(frame.columns) == ["mu_x", "mu_y", "probability", "split"]
    for name in ("mu_x", "mu_y", "probability"):
        np.testing.assert_array_equal(frame[name], data[name])
    np.testing.assert_array_equal(read_block("dataset", written, "image"), data["image"])


def test_images_are_fixed_size_lists_of_float32_and_columns_carry_unit_and_meaning(written):
    schema = pq.read_schema(written)
    assert schema.field("image").type == pa.list_(pa.float32(), 16)
    assert schema.field("mu_x").metadata == {
        b"unit": b"px",
        b"description": b"centre, x (column); empty for a stripe along x",
    }
    assert schema.names == TABLES["dataset"].names
    assert pq.read_metadata(written).row_group(0).column(0).compression == "ZSTD"


def test_the_file_says_what_it_is(written):
    metadata = read_metadata(written)
    assert metadata == {
        "table": "dataset",
        "version": __version__,
        "run": "balanced-seed0",
        "config": '{"key":1}',
        "settings": META["settings"],
        "code": META["code"],
    }
    assert len(metadata["settings"]) == len(metadata["code"]) == 16


def test_row_groups_follow_each_other_and_can_be_selected(path):
    with open_table("latents", path, META) as table:
        table.append(latent_rows("down3", 8))
        table.append(latent_rows("up1", 12))
    assert len(read_table("latents", path)) == 8
    np.testing.assert_array_equal(
        read_block("latents", path, "vector", [("layer", "==", "up1")]), latent_rows("up1", 12)["vector"]
    )
    assert list(read_table("latents", path, ["sample"], [("sample", ">", 2)])["sample"]) == [3, 3]


@pytest.mark.parametrize(
    ("filters", "told"),
    [(None, "differ in length; select one layer"), ([("layer", "==", "none such")], "has no row of vector")],
    ids=["two layers", "no rows"],
)
def test_vectors_of_different_length_are_never_read_as_one_block(path, filters, told):
    with open_table("latents", path, META) as table:
        table.append(latent_rows("down3", 8))
        table.append(latent_rows("up1", 12))  # 4 * 8 + 4 * 12 numbers divide by 8 rows, and are no block all the same
    with pytest.raises(TableError, match=told):
        read_block("latents", path, "vector", filters)


def test_undefined_numbers_come_back_undefined_and_infinite_ones_infinite(path):
    bars = {
        "step": [0, 0], "weights": ["raw"] * 2, "layer": ["down3"] * 2, "t": [39] * 2, "dimension": [0, 1],
        "birth": [0.0, np.nan], "death": [np.inf, 1.0], "significant": [True, False],
    }  # fmt: skip
    write_table("topology", path, bars, META)
    frame = read_table("topology", path)
    assert np.isnan(frame["birth"][1])
    assert np.isposinf(frame["death"][0])
    assert frame["significant"].dtype == bool


def test_a_frame_is_written_like_a_mapping(tmp_path):
    write_table("losses", tmp_path / "a.parquet", loss_rows(), META)
    write_table("losses", tmp_path / "b.parquet", pd.DataFrame(loss_rows()), META)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"extra": [1, 2, 3]}, "has columns"),
        ({"loss": None}, "has columns"),
        ({"step": ["one", "two", "three"]}, "column step"),
        ({"step": [1.5, 2.5, 3.5]}, "column step"),
        ({"loss": ["a", "b", "c"]}, "column loss"),
        ({"loss": [1.0, 2.0]}, "table losses"),
    ],
    ids=["extra column", "missing column", "text for a number", "fractions for counts", "words", "too short"],
)
def test_rows_that_do_not_fit_the_schema_are_not_written(path, change, told):
    rows = {name: value for name, value in (loss_rows() | change).items() if value is not None}
    with pytest.raises(TableError, match=told) as caught:
        write_table("losses", path, rows, META)
    assert "\n" not in str(caught.value)
    assert files_beside(path) == []


@pytest.mark.parametrize("image", [np.zeros(7), np.zeros((7, 4, 4))])
def test_images_are_flat_rows(path, image):
    with pytest.raises(TableError, match="it must be \\(rows, numbers\\)"):
        write_table("dataset", path, dataset_rows() | {"image": image}, META)


def test_images_of_another_size_are_not_appended(path):
    with pytest.raises(TableError, match="another size"), open_table("dataset", path, META) as table:
        table.append(dataset_rows(pixels=16))
        table.append(dataset_rows(pixels=64))
    assert files_beside(path) == []


def test_a_table_without_rows_is_a_fault(path):
    with pytest.raises(TableError, match="nothing was written"), open_table("losses", path, META):
        pass
    assert not path.exists()


def read_everything(path):
    frame = read_table("dataset", path)
    return frame, read_block("dataset", path, "image"), read_metadata(path)


def assert_told(path, told=CURE):
    with pytest.raises(TableError) as caught:
        read_table("dataset", path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert told in message
    assert "\n" not in message


def test_a_missing_file_is_told(tmp_path):
    assert_told(tmp_path / "none.parquet", "is missing; run the step that makes it")
    with pytest.raises(TableError, match="is missing"):
        read_metadata(tmp_path / "none.parquet")


def overwrite(path, content):
    """Change a file in place; a loop is faster than the clock of the file system, so checksums are computed anew."""
    path.write_bytes(content)
    manifest._checksum.cache_clear()


def forget(path):
    """Remove the recorded checksum of a file."""
    manifest.record_of(path).unlink()


@pytest.mark.parametrize("keep", [0, 3, 100, -100, -9, -1])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_truncated_file_is_told(written, keep, recorded):
    if not recorded:
        forget(written)
    overwrite(written, written.read_bytes()[:keep])
    assert_told(written, "does not match its checksum; delete" if recorded else "is not a readable Parquet file (")
    with pytest.raises(TableError, match=CURE):
        read_metadata(written)


@pytest.mark.parametrize("content", [b"{}", b"PAR1", b"PAR1" + b"\0" * 100 + b"PAR1", os.urandom(4000)])
@pytest.mark.parametrize("recorded", [True, False])
def test_a_file_that_is_no_table_is_told(written, content, recorded):
    if not recorded:
        forget(written)
    written.write_bytes(content)
    assert_told(written)


def test_a_folder_in_place_of_a_table_is_told(tmp_path):
    with pytest.raises(TableError):
        read_metadata(tmp_path)


def test_a_table_of_another_kind_is_told(path):
    write_table("losses", path, loss_rows(), META)
    assert_told(path, "is not a dataset table (column mu_x is missing)")


@pytest.mark.parametrize("column", ["mu_x", "image"])
def test_a_column_of_another_type_is_told(written, column):
    table = pq.read_table(written)
    index = table.schema.get_field_index(column)
    pq.write_table(table.set_column(index, column, pa.array(["text"] * len(table))), written)
    assert_told(written, "does not match its checksum")
    forget(written)
    assert_told(written, f"is not a dataset table (column {column} is string)")


def test_any_flipped_bit_is_told(written):
    raw = written.read_bytes()
    for position in range(0, len(raw), 3):
        overwrite(written, raw[:position] + bytes([raw[position] ^ 4]) + raw[position + 1 :])
        assert_told(written, "does not match its checksum; delete it and run the workflow again")
        with pytest.raises(TableError, match="does not match its checksum"):
            read_metadata(written)
    overwrite(written, raw)
    assert len(read_table("dataset", written)) == 7


def test_without_a_record_a_flipped_bit_in_the_data_is_told_or_harmless(written):
    raw, before = written.read_bytes(), read_everything(written)
    forget(written)
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    told = 0
    for position in range(4, footer, 11):
        written.write_bytes(raw[:position] + bytes([raw[position] ^ 4]) + raw[position + 1 :])
        try:
            frame, images, _ = read_everything(written)
        except TableError as error:
            told += 1
            assert str(error).startswith(f"{written}: ") and CURE in str(error) and "\n" not in str(error)
        else:
            assert frame.equals(before[0])
            np.testing.assert_array_equal(images, before[1])
    assert told > 0.8 * len(range(4, footer, 11))


def test_a_footer_that_makes_the_reader_wait_for_ever_is_told_before_it_is_read(path):
    with open_table("latents", path, META) as table:
        for layer in ("down3", "up1"):
            table.append(latent_rows(layer, 64, rows=40))
    raw = path.read_bytes()
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    for position in range(footer, len(raw), 7):
        overwrite(path, raw[:position] + bytes([raw[position] ^ 4]) + raw[position + 1 :])
        with pytest.raises(TableError, match=CURE):
            read_block("latents", path, "vector", [("layer", "==", "up1")])


def test_a_table_of_other_software_has_no_record_and_is_read(written):
    forget(written)
    pq.write_table(pq.read_table(written), written)
    assert len(read_table("dataset", written)) == 7


def test_a_table_of_another_run_in_its_place_is_told(written, path):
    other = path.parent.parent / "other" / path.name
    write_table("dataset", other, dataset_rows(seed=1), META | {"run": "other-seed9"})
    shutil.copyfile(other, written)
    assert_told(written, "does not match its checksum")
    # Also where its record has come with it.
    shutil.copyfile(manifest.record_of(other), manifest.record_of(written))
    with pytest.raises(TableError, match="belongs to run other-seed9, not to balanced-seed0"):
        read_table("dataset", written, run="balanced-seed0")


def test_a_writer_that_fails_leaves_the_old_table_and_nothing_else(written):
    before = written.read_bytes()
    with pytest.raises(KeyError), open_table("dataset", written, META) as table:
        table.append(dataset_rows(rows=50))
        raise KeyError("in the middle")
    assert written.read_bytes() == before
    assert files_beside(written) == []
    assert len(read_table("dataset", written)) == 7


def test_nothing_but_a_record_is_left_beside_a_finished_table(written):
    assert files_beside(written) == []


def test_a_killed_writer_leaves_nothing_under_the_final_name(path):
    script = (
        "import sys, time; sys.path[:0] = ['tests/store', 'tests/support']; from test_tables import *\n"
        "with open_table('dataset', sys.argv[1], META) as table:\n"
        "    table.append(dataset_rows(rows=5000)); print('written', flush=True); time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "written\n"
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    assert not path.exists()
    # What it left has a name that no step looks for, and the next writer is not disturbed by it.
    assert all(left.name.startswith(".") and left.suffix == ".part" for left in files_beside(path))
    write_table("dataset", path, dataset_rows(), META)
    assert len(read_table("dataset", path)) == 7


def test_a_full_disk_is_told_and_leaves_the_old_table(written, monkeypatch):
    before = written.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(FileError) as caught:
        write_table("dataset", written, dataset_rows(rows=20), META)
    why = r"\(No space left on device; the \d+\.\d MiB that are free do not suffice\)"
    told = rf"{re.escape(str(written))}: cannot be written {why}; free some space and run again"
    assert re.fullmatch(told, str(caught.value))
    monkeypatch.undo()
    assert written.read_bytes() == before
    assert files_beside(written) == []
    assert len(read_table("dataset", written)) == 7


def test_a_disk_that_really_refuses_to_grow_a_file_is_told(path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(FileError, match=r"cannot be written .*and run again"):
            write_table("dataset", path, dataset_rows(rows=5000), META)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files_beside(path) == []


def test_a_disk_that_is_full_only_when_the_file_is_flushed_is_told(written, monkeypatch):
    before = written.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="free some space"):
        write_table("dataset", written, dataset_rows(rows=20), META)
    assert written.read_bytes() == before
    assert files_beside(written) == []
    assert len(read_table("dataset", written)) == 7


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match="check the folder and its permissions"), atomic_path(tmp_path / "file" / "x"):
        pass


def settings_of(*arguments):
    return provenance(*arguments)["settings"]


def test_a_fingerprint_depends_on_settings_not_on_the_order_of_keys():
    assert settings_of({"a": 1, "b": 2}) == settings_of({"b": 2, "a": 1}) != settings_of({"a": 1, "b": 3})


def test_provenance_stands_for_everything_upstream_and_nothing_else(tmp_path):
    def chain(first, second, name, version="1", rows=3):
        folder = tmp_path / name
        write_table("losses", folder / "a.parquet", loss_rows(range(rows)), provenance(first) | {"version": version})
        write_table("losses", folder / "b.parquet", loss_rows(), provenance(second, folder / "a.parquet"))
        return settings_of({"last": True}, folder / "b.parquet")

    same = chain({"seed": 0}, {"t": 1}, "same")
    assert chain({"seed": 1}, {"t": 1}, "first settings changed") != same
    assert chain({"seed": 0}, {"t": 2}, "second settings changed") != same
    # Neither the place, nor the package's version, nor the rows themselves are settings.
    assert chain({"seed": 0}, {"t": 1}, "elsewhere", version="2", rows=30) == same


def test_the_order_of_inputs_does_not_matter_and_their_number_does(tmp_path):
    a, b = tmp_path / "a.parquet", tmp_path / "b.parquet"
    for path in (a, b):
        write_table("losses", path, loss_rows(), provenance({"name": path.stem}))
    assert settings_of({}, a, b) == settings_of({}, b, a)
    assert len({settings_of({}, a), settings_of({}, b), settings_of({}, a, b), settings_of({})}) == 4


def test_a_checkpoint_counts_as_an_input(tmp_path):
    import torch

    from bumpscope.store.checkpoints import save_tensors

    found = []
    for number in (1, 2, 1):
        path = tmp_path / "step=0.safetensors"
        save_tensors(path, {"raw.weight": torch.zeros(3)}, provenance({"steps": number}))
        found.append(settings_of({}, path))
    assert found[0] == found[2] != found[1]
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(TableError, match=f"{path}: is not a readable checkpoint"):
        provenance({}, path)
    with pytest.raises(TableError, match="is missing"):
        provenance({}, tmp_path / "none.safetensors")
