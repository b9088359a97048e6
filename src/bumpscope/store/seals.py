"""Checksums of what formats leave without one: the footer of a Parquet file and the metadata of a checkpoint.

Parquet has a checksum for each page of data, none for the footer, which says where the pages are and what they hold: a
bit flipped there can end in another run's name, or in a reader that never returns.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from pathlib import Path

FOOTER_KEY = "bumpscope_footer_crc32"
_UNSEALED = b"0" * 8
# How Thrift's compact protocol writes the key with, after it, a text of eight bytes.
_MARK = FOOTER_KEY.encode() + b"\x18\x08"
# At the end of a Parquet file: the length of the footer, four bytes, and PAR1.
_TAIL = 8
SEAL_KEY = "seal"


def unsealed_footer() -> dict[str, str]:
    """Metadata to write into a Parquet file that :func:`seal_footer` will complete."""
    return {FOOTER_KEY: _UNSEALED.decode()}


def seal_footer(path: str | Path) -> None:
    """Complete a Parquet file, written with :func:`unsealed_footer`, by its footer's CRC-32."""
    start, footer = _footer(Path(path))
    place = footer.index(_MARK) + len(_MARK)
    with Path(path).open("r+b") as file:
        file.seek(start + place)
        file.write(_checksum(footer, place))


def footer_is_whole(path: str | Path) -> bool:
    """Whether the footer of a Parquet file fits its seal, or has none (a file of other software).

    Raises:
        OSError: when the file cannot be read.
    """
    _, footer = _footer(Path(path))
    place = footer.find(_MARK) + len(_MARK)
    return place < len(_MARK) or footer[place : place + 8] == _checksum(footer, place)


def _footer(path: Path) -> tuple[int, bytes]:
    """Where the footer of a Parquet file begins, and its bytes with the tail; no further back than the file's start."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        length = int.from_bytes(file.read(4), "little")
        start = max(0, size - _TAIL - length)
        file.seek(start)
        return start, file.read()


def _checksum(footer: bytes, place: int) -> bytes:
    return b"%08x" % zlib.crc32(footer[:place] + _UNSEALED + footer[place + 8 :])


def sealed(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata with a seal, which stands for all of it."""
    return {**metadata, SEAL_KEY: _seal(metadata)}


def is_whole(metadata: Mapping[str, str]) -> bool:
    """Whether metadata fits its seal, or has none."""
    return SEAL_KEY not in metadata or metadata[SEAL_KEY] == _seal(metadata)


def _seal(metadata: Mapping[str, str]) -> str:
    plain = sorted((key, value) for key, value in metadata.items() if key != SEAL_KEY)
    return hashlib.sha256(repr(plain).encode()).hexdigest()
