"""Events in a notebook: a bar that is drawn over, and below it the lines that stay.

It is plain HTML, which every notebook's front end draws over by its ``display_id`` and keeps when
the work has ended. rich's bars would need ipywidgets, and would be lost in a saved notebook.
"""

from __future__ import annotations

import time
from html import escape
from importlib import import_module
from typing import Any

from mriseg.console.drawing import Drawing, now
from mriseg.core.wording import visible
from mriseg.events import Advanced

# Seconds between two drawings of a bar.
_DRAW_EVERY = 0.25
# Lines that are shown; those before them are folded away, and of these no more than so many kept.
_SHOWN, _KEPT = 12, 500


class Notebook(Drawing):
    """The display of one piece of work."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[tuple[str, str]] = []
        self._progress = ""
        self._handle: Any = None
        self._drawn = 0.0

    def line(self, text: str, style: str = "") -> None:
        """See `Drawing.line`."""
        self._lines = [*self._lines, (visible(text), style)][-_KEPT:]
        self._draw()

    def began(self) -> None:
        """A new bar, in the place of the last."""
        self._progress = visible(self.stage.line(""))
        self._draw()

    def advanced(self, event: Advanced) -> None:
        """The bar grows."""
        self._progress = visible(self.stage.line(", ".join(now(event, ended=self.stage.ended))))
        if self.stage.ended or time.monotonic() - self._drawn >= _DRAW_EVERY:
            self._draw()

    def close(self) -> None:
        """Take the bar away; the lines stay."""
        self._progress = ""
        if self._handle is not None:
            self._draw()

    def _draw(self) -> None:
        display: Any = import_module("IPython.display").display  # there, in a notebook
        self._drawn = time.monotonic()
        shown = {"text/html": self._html(), "text/plain": self._text()}
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)

    def _text(self) -> str:
        return "\n".join([*(text for text, _ in self._lines), *filter(None, [self._progress])])

    def _html(self) -> str:
        earlier, latest = self._lines[:-_SHOWN], self._lines[-_SHOWN:]
        folded = ""
        if earlier:
            folded = f"<details><summary>{len(earlier)} lines before</summary>{_block(earlier)}"
            folded += "</details>"
        bar = ""
        if self._progress:
            share = f' value="{self.stage.done:g}" max="{self.stage.total}"'
            known = share if self.stage.total else ""
            bar = f"<div><progress{known}></progress> {escape(self._progress)}</div>"
        return f"<div>{folded}{_block(latest)}{bar}</div>"


def _block(lines: list[tuple[str, str]]) -> str:
    if not lines:
        return ""
    drawn = (f"<b>{escape(text)}</b>" if style else escape(text) for text, style in lines)
    text = "\n".join(drawn)
    return f'<pre style="margin:0;white-space:pre-wrap;background:none">{text}</pre>'
