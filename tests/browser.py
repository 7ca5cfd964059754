"""A real browser for tests of pages: Debian's Chromium, headless, WebGL in software.

    apt-get install chromium

A page opens from its file or its address, and everything that it asks for and says is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
)


@dataclass
class Opened:
    """A page in the browser.

    Attributes:
        page: playwright's.
        requests: every address that it asked for, its own first.
        complaints: errors and warnings on its console, and what it threw.
    """

    page: Any
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """The browser, with more flags than `FLAGS`; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=[*FLAGS, *flags])
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Any, place: Path | str, width: int = 1000, height: int = 900
) -> Iterator[Opened]:
    """The page of a file, from disk, or of an address."""
    page = browser.new_page(viewport={"width": width, "height": height})
    # Drawing in software, beside other tests, is slow.
    page.set_default_timeout(120_000)
    state = Opened(page)
    page.on("request", lambda request: state.requests.append(request.url))
    page.on("console", lambda message: _note(state, message))
    page.on("pageerror", lambda error: state.complaints.append(str(error)))
    page.goto(place.as_uri() if isinstance(place, Path) else place)
    yield state
    page.close()


def _note(state: Opened, message: Any) -> None:
    if message.type in {"error", "warning"}:
        state.complaints.append(message.text)
