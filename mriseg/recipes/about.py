"""What a page says of its own making: the command, what was said, versions and settings."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from typing import Any

from mriseg import __version__
from mriseg.events import Event, Notice, R, Recipe, Skipped, passed
from mriseg.report.page import About

COMMAND: ContextVar[str] = ContextVar("mriseg command", default="")
"""What was typed; empty where mriseg was called from Python. The command line sets it."""


@dataclass
class Heard:
    """What recipes said.

    Attributes:
        notices: sentences, once each, in order.
        skipped: (case, reason).
    """

    notices: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def listening(self, recipe: Recipe[R]) -> Recipe[R]:
        """``recipe`` as it is, while this remembers what it says."""
        return passed(recipe, self._on)

    def _on(self, event: Event) -> Iterator[Event]:
        if isinstance(event, Notice) and event.text not in self.notices:
            self.notices.append(event.text)
        if isinstance(event, Skipped):
            self.skipped.append((event.case, event.reason))
        yield event


def about(
    versions: Mapping[str, str],
    *,
    heard: Heard | None = None,
    settings: Mapping[str, Any] | None = None,
    machine: str = "",
    unused: Mapping[str, str] | None = None,
) -> About:
    """What a page that is written now says of its making.

    Args:
        versions: name -> version of what made it.
        heard: what was said.
        settings: name -> value, whatever its type.
        machine: where it was computed.
        unused: image-like file -> why it is in no case.
    """
    heard = heard or Heard()
    return About(
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        command=COMMAND.get(),
        versions=dict(versions),
        machine=machine,
        settings={name: spoken_value(value) for name, value in (settings or {}).items()},
        notices=tuple(heard.notices),
        skipped=tuple(heard.skipped),
        unused=dict(unused or {}),
    )


def without_folders(command: str) -> str:
    """A command whose paths are names alone: folders name users, hospitals and studies."""
    words = [
        re.sub(r"^(--[\w-]+=)?(?=.*[/\\]).*[/\\](?=[^/\\])", r"\1.../", word.rstrip("/\\"))
        for word in shlex.split(command)
    ]
    return " ".join(word if " " not in word else shlex.quote(word) for word in words)


def software() -> dict[str, str]:
    """The versions of what is always there; see also `mriseg.recipes.setup.versions`."""
    return {
        "mriseg": __version__,
        "numpy": metadata.version("numpy"),  # itself unimported: --help comes by here
        "python": platform.python_version(),
    }


def spoken_value(value: Any) -> str:
    """A setting's value for people."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {spoken_value(item)}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(spoken_value, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def machine_of(facts: Mapping[str, Any]) -> str:
    """The machine in words, from what `mriseg.backends.describe` gives."""
    if not facts:
        return ""
    return f"{facts.get('name')} ({facts.get('device name')}), {facts.get('precision')}"
