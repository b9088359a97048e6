"""Recorded checksums: another tool can check them, they move with a folder, and a kill leaves none of another file."""

import shutil
import subprocess

import pytest

from bumpscope.store import manifest
from bumpscope.store.files import FileError, atomic_path
from bumpscope.store.manifest import checksum, record_of, recorded_folder, recorded_path, verify


class Killed(BaseException):
    pass


@pytest.fixture(autouse=True)
def _computed_anew():
    manifest._checksum.cache_clear()


def write(path, text):
    with recorded_path(path) as temporary:
        temporary.write_text(text)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run with spaces" / "losses.parquet"
    write(path, "first")
    return path


def publish(folder, *names):
    contents = {name: f"weights of {name}" for name in names}
    for name, text in contents.items():
        (folder.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.parent / name).write_text(text)
    with recorded_folder(folder, {name: checksum(folder.parent / name) for name in names}):
        for name in names:
            with atomic_path(folder / name) as temporary:
                shutil.copyfile(folder.parent / name, temporary)


def test_sha256sum_can_check_a_folder(path):
    publish(path.parent / "checkpoints", "step=0.safetensors", "step=4.safetensors")
    records = sorted(f"{manifest.FOLDER}/{record.name}" for record in (path.parent / manifest.FOLDER).iterdir())
    assert records == [".sha256/checkpoints.sha256", ".sha256/losses.parquet.sha256"]
    done = subprocess.run(["sha256sum", "-c", *records], cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.count(": OK\n") == 3


def test_a_folder_that_is_copied_or_moved_keeps_its_checksums(path, tmp_path):
    publish(path.parent / "checkpoints", "step=0.safetensors")
    shutil.copytree(path.parent, tmp_path / "copy")
    path.parent.rename(tmp_path / "moved")
    for name in ("copy", "moved"):
        for file in ("losses.parquet", "checkpoints/step=0.safetensors"):
            verify(tmp_path / name / file)
            (tmp_path / name / file).write_text("other")
            with pytest.raises(FileError, match=r"does not match its checksum; delete it and run the workflow again$"):
                verify(tmp_path / name / file)


def test_a_file_without_a_record_passes_and_one_that_is_written_again_replaces_its_record(path):
    path.with_name("other").write_text("of other software")
    verify(path.with_name("other"))
    for text in ("second", "third"):
        write(path, text)
        verify(path)


def test_a_record_without_its_file_is_harmless(path):
    path.unlink()
    with pytest.raises(FileNotFoundError):
        verify(path)
    write(path, "second")
    verify(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"0" * 64 + b"  other.parquet\n", b"\xff\xfe", b"0" * 64])
def test_a_damaged_record_lets_nothing_pass_until_the_file_is_written_again(path, content):
    record_of(path).write_bytes(content)
    with pytest.raises(FileError, match="does not match its checksum"):
        verify(path)
    write(path, "first")
    verify(path)


def test_a_file_is_hashed_once_while_it_stays_as_it_is(path):
    verify(path)
    before = manifest._checksum.cache_info().misses
    for _ in range(3):
        verify(path)
    assert manifest._checksum.cache_info().misses == before
    path.write_text("longer than before")
    with pytest.raises(FileError):
        verify(path)


@pytest.mark.parametrize("moment", ["unlink", "replace file", "replace record"])
def test_a_kill_at_any_moment_leaves_whole_files_and_no_record_of_another_file(path, monkeypatch, moment):
    """Kill a writer just before it removes the old record, renames the file, or renames the record."""
    kind = type(path)
    unlink, replace = kind.unlink, kind.replace

    def dying_unlink(self, missing_ok=False):
        if moment == "unlink" and self == record_of(path):
            raise Killed
        unlink(self, missing_ok)

    def dying_replace(self, target):
        if (moment == "replace file" and target == path) or (moment == "replace record" and target == record_of(path)):
            raise Killed
        return replace(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(kind, "unlink", dying_unlink)
        patched.setattr(kind, "replace", dying_replace)
        with pytest.raises(Killed):
            write(path, "second")
    assert path.read_text() == ("second" if moment == "replace record" else "first")
    verify(path)
    assert record_of(path).exists() == (moment == "unlink")
    write(path, "second")
    verify(path)
    assert record_of(path).exists()


def test_a_write_that_fails_keeps_file_and_record(path):
    with pytest.raises(KeyError), recorded_path(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "first"
    assert record_of(path).exists()
    verify(path)
