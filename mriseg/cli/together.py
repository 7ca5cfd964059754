"""A command that torchrun started several times: which may be, and who of them says something.

Nothing is imported for it where there is one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from mriseg.errors import ConfigError

COMMANDS = ("train", "transfer")
"""What several processes do together."""


def several() -> bool:
    """Whether this process was started as one of several."""
    if "WORLD_SIZE" not in os.environ and "RANK" not in os.environ:
        return False
    from mriseg.backends.launch import launched

    try:
        return launched() is not None
    except ConfigError:  # said where several are wanted
        return False


@contextmanager
def training(command: str) -> Iterator[None]:
    """The context of a command, which joins the processes that it was started with.

    Raises:
        ConfigError: there are several, and ``command`` is not for that.
        BackendError: they do not find one another.
    """
    if "WORLD_SIZE" not in os.environ and "RANK" not in os.environ:
        yield
        return
    if command not in COMMANDS:
        if several():
            raise ConfigError(
                f"mriseg {command} was started several times, as by torchrun (WORLD_SIZE is "
                f"{os.environ['WORLD_SIZE']}), and only train and transfer are for that: start it "
                f"once, without torchrun"
            )
        yield
        return
    from mriseg.backends import launch

    with launch.ranks().explaining():
        yield


def refuse(what: str) -> None:
    """Refuse ``what``, a part of a command that is for one process, where there are several.

    Raises:
        ConfigError: there are.
    """
    if several():
        raise ConfigError(f"{what} trains by one process at a time: start it without torchrun")


@contextmanager
def one_voice() -> Iterator[None]:
    """Of several processes the first writes to the terminal, and one that fails by itself."""
    if not several():
        yield
        return
    # PyTorch's own warnings about a process that is gone are pages of C++.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if os.environ["RANK"].strip() == "0":
        yield
        return

    def speaks() -> bool:
        # Imported by then, if there is anything to say.
        joined = sys.modules.get("mriseg.backends.joined")
        return joined is not None and joined.speaks()

    out, err = _Muffled(sys.stdout, lambda: False), _Muffled(sys.stderr, speaks)
    with redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err)):
        yield


class _Muffled:
    """A stream that lets through only what is written while ``speaks``."""

    def __init__(self, stream: TextIO, speaks: Callable[[], bool]) -> None:
        self._stream, self._speaks = stream, speaks

    def write(self, text: str) -> int:
        """Write ``text``, or forget it."""
        return self._stream.write(text) if self._speaks() else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
