"""Something chosen by name: one of the package, or one of your own by its import path, with keys of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import ConfigDict, field_validator

from bumpscope.config.section import Section

IMPORT_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class Choice(Section):
    """What `kind` names. Keys beside `kind` are its own.

    Attributes:
        built_in: name -> what builds it, as an import path like those from elsewhere.
        example: an import path, for messages.
    """

    model_config = ConfigDict(extra="allow")

    built_in: ClassVar[Mapping[str, str]]
    example: ClassVar[str]

    kind: str

    @field_validator("kind")
    @classmethod
    def _names_something(cls, kind: str) -> str:
        if kind not in cls.built_in and not IMPORT_PATH.fullmatch(kind):
            raise ValueError(f"one of {', '.join(cls.built_in)}, or an import path such as {cls.example}")
        return kind

    def __str__(self) -> str:
        """The kind, with its keys in brackets."""
        told = ", ".join(f"{key}={value}" for key, value in self.keys.items())
        return f"{self.kind}({told})" if told else self.kind

    @property
    def path(self) -> str:
        """The import path of what builds it."""
        return self.built_in.get(self.kind, self.kind)

    @property
    def keys(self) -> dict[str, Any]:
        """The keys of its own."""
        return dict(self.model_extra or {})
