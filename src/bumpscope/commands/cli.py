"""The command line: ``bumpscope [--log FILE] COMMAND [options]``.

Each command is a module, imported only when it is called, since torch and UMAP take seconds to import.
"""

from __future__ import annotations

import ast
import importlib
import logging
import os
import pkgutil
import sys
from pathlib import Path

from bumpscope import __version__, commands
from bumpscope.commands.interface import execute, leave_with_workflow
from bumpscope.store.files import unwritable

# Modules that commands share.
NO_COMMANDS = ("cli", "interface", "jobs", "sharing")


def command_names() -> list[str]:
    """Names of all commands, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__) if module.name not in NO_COMMANDS)


def _summary(name: str) -> str:
    """The first line of a command's docstring, read without importing what the command needs."""
    source = Path(commands.__path__[0], f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


def _usage() -> str:
    width = max(len(name) for name in command_names())
    lines = [f"  {name:<{width}}  {_summary(name)}" for name in command_names()]
    return "\n".join(
        [
            "Usage: bumpscope [--log FILE] COMMAND [options]",
            "",
            "Commands of the workflow; each can be run alone.",
            "",
            *lines,
            "",
            "bumpscope COMMAND --help prints the options of a command, bumpscope --version the version.",
        ]
    )


class _LogFile(logging.FileHandler):
    """A log that warns once that it cannot be written, where logging prints a traceback each time."""

    warned = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.warned:
            self.warned = True
            print(f"warning: {unwritable(self.baseFilename, error)}", file=sys.stderr)


def _start_log(path: Path | None) -> None:
    """Log progress to the terminal, and with times and details to ``path``."""
    terminal = logging.StreamHandler()
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [terminal]
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _LogFile(path, mode="a", encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        handlers.append(file)
    logging.basicConfig(level=logging.WARNING, handlers=handlers)
    logging.getLogger("bumpscope").setLevel(logging.DEBUG)


def main() -> None:
    """Run the command named on the command line."""
    arguments = sys.argv[1:]
    log_path = None
    if arguments[:1] == ["--log"] and len(arguments) > 1:
        log_path, arguments = Path(arguments[1]), arguments[2:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return
    if arguments[0] == "--version":
        print(__version__)
        return
    name = arguments[0]
    if name not in command_names():
        print(f"bumpscope: unknown command {name!r}; allowed: {', '.join(command_names())}", file=sys.stderr)
        sys.exit(2)
    try:
        _start_log(log_path)
    except OSError as error:
        print(f"bumpscope: {unwritable(log_path or '', error)}", file=sys.stderr)
        sys.exit(1)
    leave_with_workflow()
    # Figures go to files alone; notebooks export a backend of their own, which may not be installed here.
    os.environ["MPLBACKEND"] = "agg"
    try:
        module = importlib.import_module(f"bumpscope.commands.{name}")
    except Exception:
        # In the log too, which is the first place to look.
        logging.getLogger("bumpscope").exception("%s cannot be imported", name)
        sys.exit(1)
    sys.argv = [f"bumpscope {name}", *arguments[1:]]
    execute(getattr(module, name))
