"""Text on a console, and events as lines of it.

Text from files (names, reasons) is shown as is: never as rich's markup, and without the control
characters that a file's name may hold.
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from mriseg.console.drawing import Drawing, now
from mriseg.core.wording import visible
from mriseg.events import Advanced

# Where lines are not cut at a terminal's edge, tables need not be either.
_PLAIN_WIDTH = 200


def results() -> Console:
    """Where results go."""
    return _console(stderr=False)


def messages() -> Console:
    """Where everything else goes."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return (
        console
        if console.is_terminal
        else Console(stderr=stderr, highlight=False, width=_PLAIN_WIDTH)
    )


def say(console: Console, text: str, style: str = "") -> None:
    """A line, neither interpreted nor cut off."""
    console.print(Text(visible(text), style=style), soft_wrap=True)


class Lines(Drawing):
    """One line per event, and a line of progress now and then."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def line(self, text: str, style: str = "") -> None:
        """See `Drawing.line`."""
        say(self.console, text, style)

    def began(self) -> None:
        """Nothing to see yet."""

    def advanced(self, event: Advanced) -> None:
        """A line about it, if one is due."""
        if self.stage.due(time.monotonic()):
            self.line(self.stage.line(", ".join(now(event, ended=self.stage.ended))))

    def close(self) -> None:
        """Lines need no end."""
