"""Where a result comes from: fingerprints of all settings and of all code that it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bumpscope.config.section import fingerprint
from bumpscope.store.provenance import code_fingerprint


class Origin(NamedTuple):
    """Two fingerprints. Each chains those of the inputs, so that it stands for everything upstream and nothing else.

    Attributes:
        settings: of the settings.
        code: of the code; empty where an earlier version made the file.
    """

    settings: str
    code: str

    @classmethod
    def of(cls, settings: Mapping[str, Any], modules: Sequence[str], inputs: Iterable[Origin]) -> Origin:
        """The origin of what code in ``modules`` makes from ``inputs`` with these settings."""
        upstream = list(inputs)
        code = fingerprint([code_fingerprint(module) for module in modules], sorted(one.code for one in upstream))
        return cls(fingerprint(dict(settings), sorted(one.settings for one in upstream)), code)

    @classmethod
    def told(cls, metadata: Mapping[str, str]) -> Origin:
        """What the metadata of a file say."""
        return cls(metadata.get("settings", ""), metadata.get("code", ""))
