"""Code blocks and commands in README.md and docs/."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", flags=re.MULTILINE | re.DOTALL)
# Programs whose commands are found in sentences too.
INLINE = ("make", "python", ".venv/bin/python", "snakemake")


@dataclass(frozen=True)
class Block:
    """A fenced block: its page, first line, language and text."""

    page: str
    line: int
    kind: str
    text: str

    @property
    def file(self) -> str | None:
        """The path in a comment on the first line."""
        named = re.match(r"# ([\w./-]+\.(?:py|yaml))\n", self.text)
        return named[1] if named else None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """A shell command on a page."""

    place: str
    text: str

    def __str__(self) -> str:
        return self.text


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(*kinds: str) -> list[Block]:
    """Fenced blocks of these languages, or of all, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("```") % 2 == 0, f"{page}: a fence is not closed"
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start(3)) + 1
            found.append(Block(_name(page), line, match[2], textwrap.dedent(match[3])))
    return [block for block in found if not kinds or block.kind in kinds]


def write_blocks(folder: Path, *files: str) -> None:
    """Write the files that the pages show, each shown once, into a folder."""
    for name in files:
        (block,) = (block for block in blocks() if block.file == name)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(block.text, encoding="utf-8")


def commands() -> list[Command]:
    """Unique commands: those in bash blocks, and those in sentences that start with a program in ``INLINE``."""
    found = {}
    for block in blocks("bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            text = re.sub(r"\s+#.*$", "", line).strip()
            if text and not text.startswith("#"):
                found.setdefault(text, Command(str(block), text))
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for match in re.finditer(r"`([^`\n]+)`", prose):
            # With an ellipsis it is no complete command.
            if match[1].split()[0] in INLINE and " " in match[1] and "…" not in match[1]:
                found.setdefault(match[1], Command(_name(page), match[1]))
    return list(found.values())
