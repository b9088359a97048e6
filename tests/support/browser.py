"""Pages in a real browser, offline, for tests: what a visitor of a page would see, do and be told.

Tests take the fixture ``visit`` (conftest.py). What they drove is logged in ``driven.log``, and pictures are kept, in
``tests/artefacts/`` or where BUMPSCOPE_ARTEFACTS says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, sync_playwright

import debian
from debian import Unavailable

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS_TO_INSTALL = 300
SIZES = {"phone": (390, 844), "laptop": (1366, 768), "desktop": (1920, 1080)}
SCHEMES = ("light", "dark")
# WebGL on the processor, for pages that draw in three dimensions.
ARGUMENTS = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
ARTEFACTS = Path(os.environ.get("BUMPSCOPE_ARTEFACTS") or Path(__file__).parents[1] / "artefacts")
LOG = ARTEFACTS / "driven.log"
# What never leaves the page.
WITHIN = re.compile(r"data:|blob:|about:")
Scheme = Literal["light", "dark"]


def chromium() -> str:
    """The path of a Chromium, which is installed where there is none and it can be.

    Raises:
        Unavailable: where there is none.
        FileNotFoundError: when BUMPSCOPE_CHROMIUM names no program.
    """
    wanted = os.environ.get("BUMPSCOPE_CHROMIUM")
    if wanted:
        if not shutil.which(wanted):
            raise FileNotFoundError(f"BUMPSCOPE_CHROMIUM: {wanted} is not a program")
        return wanted
    if not (found := _installed()):
        if reason := debian.obstacle():
            raise Unavailable(f"there is no Chromium: {reason}")
        debian.install(["chromium"], SECONDS_TO_INSTALL, _installed)
        found = _installed()
    if not found:
        raise Unavailable("apt-get installed a Chromium that does not start")
    return found


def pdftotext() -> str:
    """The path of poppler's pdftotext, which is installed where there is none and it can be.

    Raises:
        Unavailable: where there is none.
    """
    if not (found := shutil.which("pdftotext")):
        if reason := debian.obstacle():
            raise Unavailable(f"there is no pdftotext: {reason}")
        debian.install(["poppler-utils"], SECONDS_TO_INSTALL, lambda: shutil.which("pdftotext"))
        found = shutil.which("pdftotext")
    return str(found)


def _installed() -> str | None:
    """The first of the known programs that starts: on Ubuntu one of them may only say how to get it."""
    for path in filter(None, map(shutil.which, PROGRAMS)):
        try:
            done = subprocess.run([path, "--version"], capture_output=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if done.returncode == 0 and b"Chrom" in done.stdout:
            return path
    return None


@contextmanager
def browser(executable: str) -> Iterator[Browser]:
    """A Chromium without a window while the block lasts."""
    with sync_playwright() as playwright:
        started = _launch(playwright, executable)
        yield started
        started.close()


def _launch(playwright: Playwright, executable: str) -> Browser:
    # Playwright adds --no-sandbox, without which Chromium does not start as root.
    return playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)


class Visit:
    """A file opened in a browser that has no network.

    Attributes:
        page: Playwright's page.
        errors: what the page wrote to the console as an error, and exceptions that nothing caught.
        requests: addresses asked for that are neither the file itself (or one of ``also``) nor inside the page.
    """

    def __init__(
        self, chromium: Browser, file: Path, who: str, size: str | tuple[int, int], scheme: Scheme, fragment: str = ""
    ):
        self.file, self._who = file.resolve(), who
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._own = {self.file.as_uri()}
        width, height = SIZES[size] if isinstance(size, str) else size
        self.context: BrowserContext = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=width < 500
        )
        self.context.set_offline(True)
        self.context.set_default_timeout(10_000)
        self.context.on("request", lambda request: self._ask(request.url))
        self.page: Page = self.context.new_page()
        self.page.on("websocket", lambda socket: self._ask(socket.url))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))
        self.log(f"open {self.file.name}{fragment}, {width}x{height}, {scheme}")
        self.page.goto(self.file.as_uri() + fragment)

    def allow(self, file: Path) -> None:
        """Let the page ask for, or lead to, another file."""
        self._own.add(file.resolve().as_uri())

    def _ask(self, address: str) -> None:
        if not WITHIN.match(address) and re.split("[?#]", address)[0] not in self._own:
            self.requests.append(address)

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"console: {message.text}")

    def log(self, what: str) -> None:
        """Add a line to what was driven."""
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with LOG.open("a", encoding="utf-8") as file:
            file.write(f"{self._who}: {what}\n")

    def press(self, key: str, times: int = 1) -> None:
        """Press a key, as Playwright names it."""
        self.log(f"press {key}" + (f" {times} times" if times > 1 else ""))
        for _ in range(times):
            self.page.keyboard.press(key)

    def click(self, selector: str) -> None:
        """Click the one element that fits."""
        self.log(f"click {selector}")
        self.page.click(selector, strict=True)

    def show(self, size: str | tuple[int, int] | None = None, scheme: Scheme | None = None) -> None:
        """Change the window's size (a name in SIZES, or px) and the colour scheme."""
        if size is not None:
            width, height = SIZES[size] if isinstance(size, str) else size
            self.page.set_viewport_size({"width": width, "height": height})
        if scheme is not None:
            self.page.emulate_media(color_scheme=scheme)
        self.log(f"show {size or ''} {scheme or ''}".rstrip())

    def shoot(self, name: str, whole: bool = False) -> Path:
        """Keep a picture of the window, or of the whole page, as NAME.png."""
        path = ARTEFACTS / f"{name}.png"
        self.page.screenshot(path=path, full_page=whole)
        self.log(f"picture {path.name}")
        return path

    def portraits(self, name: str, whole: bool = False, schemes: Sequence[Scheme] = SCHEMES) -> list[Path]:
        """Keep NAME-SIZE-SCHEME.png at each of the three sizes, light and dark."""
        paths = []
        for size in SIZES:
            for scheme in schemes:
                self.show(size, scheme)
                paths.append(self.shoot(f"{name}-{size}-{scheme}", whole))
        return paths

    def overflow(self) -> int:
        """By how many px the page is wider than the window; what scrolls inside itself does not count."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

    def close(self) -> None:
        """End the visit, unless it has ended.

        Raises:
            AssertionError: when the page wrote an error or asked for anything.
        """
        if self.page.is_closed():
            return
        self.page.wait_for_timeout(50)  # what was asked for last
        self.context.close()
        assert not self.errors, f"{self.file.name}: {self.errors}"
        assert not self.requests, f"{self.file.name} asked for {self.requests}"
