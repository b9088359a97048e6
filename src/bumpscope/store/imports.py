"""What a choice of the configuration names: a class or function of the package, or of a folder of one's own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bumpscope.config.choice import Choice


class ImportFault(RuntimeError):
    """A choice that names nothing, or has other keys; its one-line message begins with the key at fault."""


def builder(choice: Choice, section: str) -> Callable[..., Any]:
    """The class or function that a choice names, which takes one argument and exactly the choice's keys.

    Args:
        section: of the configuration, for messages, such as ``denoiser``.

    Raises:
        ImportFault: when there is none, or it has no such keys.
    """
    module, _, name = choice.path.partition(":")
    # Wherever Python was started from: a folder beside the configuration holds code of one's own.
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportFault(
            f"{section}.kind: {module} cannot be imported (no module {error.name}); it must be on Python's path,"
            " such as in the folder that the workflow is started from"
        ) from None
    if (build := getattr(found, name, None)) is None:
        raise ImportFault(f"{section}.kind: {module} has no {name}")
    if not callable(build):
        raise ImportFault(f"{section}.kind: {choice.path} is no class")
    parameters = dict(list(inspect.signature(build).parameters.items())[1:])
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return build
    allowed = ", ".join(["kind", *parameters])
    for key in choice.keys:
        if key not in parameters:
            raise ImportFault(f"{section}.{key}: unknown key of {choice.kind}; allowed: {allowed}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in choice.keys:
            raise ImportFault(f"{section}.{key}: is missing; {choice.kind} needs it")
    return build
