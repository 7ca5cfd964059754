"""What commands say: results go to stdout; progress, notices and errors to stderr.

So a pipe gets the results alone. How text and events are drawn is in `mriseg.console`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from mriseg.console.lines import messages, results, say
from mriseg.console.progress import drawing
from mriseg.core.wording import visible

__all__ = ["as_json", "drawing", "fail", "messages", "results", "say", "stop"]


def fail(text: str) -> None:
    """The one message of an error."""
    _final("error: ", "bold red", text)


def stop(text: str) -> None:
    """The one message of a command that was asked to stop, which is not an error."""
    _final("stopped: ", "bold yellow", text)


def _final(label: str, style: str, text: str) -> None:
    messages().print(Text.assemble((label, style), visible(text)), soft_wrap=True)


def as_json(file: str | None, data: Mapping[str, Any]) -> bool:
    """Write ``data`` to ``file``, if one is given; True where that was "-", stdout."""
    if file == "-":
        typer.echo(json.dumps(data, indent=1))
    elif file is not None:
        from mriseg.io.disk.documents import write_json

        write_json(Path(file), data)
    return file == "-"
