"""Whether and how the progress of a call from Python is shown, where nobody handles its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

from mriseg.console.bars import Bars
from mriseg.console.drawing import Drawing
from mriseg.console.lines import Lines, messages
from mriseg.console.notebook import Notebook
from mriseg.events import Event

OnEvent = Callable[[Event], None]


class _Setting:
    """What `show_progress` was last called with."""

    always: bool | None = None


def show_progress(always: bool | None = None) -> None:
    """Set whether calls show how far they are: a bar, notices, and the time left.

    It is for the whole program. A call with an ``on_event`` of its own shows nothing else.

    Args:
        always: True shows it everywhere, as lines where there is neither a terminal nor a notebook;
            False nowhere; None, as at the start, in notebooks and terminals.
    """
    _Setting.always = always


@contextmanager
def drawing(console: Console | None = None) -> Iterator[OnEvent]:
    """A function that draws each event of a recipe it is handed.

    Args:
        console: where to; None: standard error, or the notebook.
    """
    drawn = _drawing_on(console or messages())
    try:
        yield drawn
    finally:
        drawn.close()


@contextmanager
def showing(on_event: OnEvent | None) -> Iterator[OnEvent | None]:
    """What handles the events of a call from Python: the caller, or else a drawing, or nothing."""
    if on_event is not None or not _is_shown():
        yield on_event
        return
    with drawing() as draw:
        yield draw


def _is_shown() -> bool:
    if _Setting.always is not None:
        return _Setting.always
    console = messages()
    return console.is_jupyter or console.is_terminal


def _drawing_on(console: Console) -> Drawing:
    if console.is_jupyter:
        return Notebook()
    return Bars(console) if console.is_terminal else Lines(console)
