"""A page of `mriseg export web` as a contender: a case in Chromium, on the processor."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks._timing import Contender

_FLAGS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
_LONGEST = 900_000


@contextmanager
def page_contender(page: Path, files: Sequence[Path]) -> Iterator[Contender | None]:
    """A case's files through a page in one file: preparing, each slice, and drawing the mask.

    None where playwright, psutil or Chromium is missing. Seconds are the browser's own processor
    seconds, of all its processes.
    """
    program = shutil.which("chromium")
    try:
        import psutil
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        yield None
        return

    def spent() -> float:
        seconds = 0.0
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            seconds += times.user + times.system
        return seconds

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(_FLAGS))
        tab = browser.new_page()
        tab.set_default_timeout(_LONGEST)
        tab.goto(page.resolve().as_uri())
        tab.wait_for_selector("body[data-ready]")
        tab.set_input_files("#files", [str(path) for path in files])
        tab.select_option("#wish", "processor")

        def run() -> float:
            tab.click("#start:not([disabled])")
            before = spent()
            tab.wait_for_selector("body[data-state=done], body[data-state=failed]")
            seconds = spent() - before
            if reason := tab.inner_text("#failed"):
                raise RuntimeError(f"the page did not segment the case: {reason}")
            return seconds

        yield run
        browser.close()
