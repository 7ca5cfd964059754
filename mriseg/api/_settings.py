"""The settings of a training in the help of the functions that take them."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from mriseg.core.settings import Config, settings_of

F = TypeVar("F", bound=Callable[..., Any])

_WIDTH = 96


def lists_settings(*kinds: type[Config]) -> Callable[[F], F]:
    """A decorator that appends the settings of configurations to a function's docstring.

    They are read from the fields that declare them, as are the options of the command line, so that
    ``help(mriseg.train)`` can lack none.

    Args:
        kinds: `TrainConfig`, `TransferConfig`.
    """

    def listed(function: F) -> F:
        if function.__doc__ is not None:  # Python keeps none under -OO
            lines = [line for kind in kinds for line in _settings(kind)]
            function.__doc__ = "\n".join(
                [function.__doc__.rstrip(), "", "    Settings:", *lines, ""]
            )
        return function

    return listed


def _settings(kind: type[Config]) -> list[str]:
    lines = []
    for name, (field, setting) in settings_of(kind).items():
        unit = "" if setting.default or not setting.unit else f" {setting.unit}"
        text = f"{name}: {setting.text}. Default: {setting.default_text(field)}{unit}."
        lines += textwrap.wrap(
            text, _WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 12, break_on_hyphens=False
        )
    return lines
