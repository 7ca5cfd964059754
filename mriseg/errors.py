"""Every error mriseg raises on purpose, and the exit code that the command line gives it.

::

    MrisegError                 1
    ├── ConfigError             2   an option or a configuration that cannot work
    │   └── UnknownNameError    2   a name that is not in a registry (also a KeyError)
    ├── InputError              3   a file or folder that is not what it should be
    │   ├── CaseError           3   one case is unusable; carries its name
    │   ├── StoreError          3   not a store, or of a format this version cannot read
    │   └── RunError            3   not a run folder, or one that does not fit
    ├── BackendError            4   this machine lacks what was requested, including memory
    ├── OutputError             5   the result cannot be written where it was requested
    │   └── BusyError           5   another process is writing there; it may work later
    ├── IncompleteError         6   the work was done, but some cases had to be skipped
    ├── DivergedError           7   a training's loss is not a finite number
    ├── ExportError             8   an exported file did not reproduce the model's output
    ├── DamagedError            9   what is stored is no longer what was written
    ├── WorkerError            10   workers that are not there, went away, or lack what they need
    └── RankError              11   another process of the same training failed or was killed

A message says what was given, what was expected and what to do. The command line prints it alone:
a traceback is for mriseg's own mistakes, never for a user's.
"""

from __future__ import annotations

import textwrap


class MrisegError(Exception):
    """The root of the tree; ``except MrisegError`` catches all that mriseg raises on purpose."""

    exit_code = 1


class ConfigError(MrisegError):
    """An option or a configuration that cannot work."""

    exit_code = 2


class UnknownNameError(ConfigError, KeyError):
    """A name that is not in a registry; the message lists the known ones."""

    # KeyError prints the repr of its argument, which would put the message in quotes.
    __str__ = Exception.__str__


class InputError(MrisegError):
    """A file or folder that is not what it should be."""

    exit_code = 3


class CaseError(InputError):
    """One case is unusable.

    Attributes:
        case: the case's name.
        reason: what is wrong with it, in one sentence.
    """

    def __init__(self, case: str, reason: str) -> None:
        super().__init__(case, reason)
        self.case = case
        self.reason = reason

    def __str__(self) -> str:
        return f"case {self.case}: {self.reason}"


class StoreError(InputError):
    """Not a store, or of a format that this version cannot read."""


class RunError(InputError):
    """Not a run folder, or one that does not fit what it is used for."""


class BackendError(MrisegError):
    """This machine lacks what was requested."""

    exit_code = 4


class OutputError(MrisegError):
    """The result cannot be written where it was requested."""

    exit_code = 5


class BusyError(OutputError):
    """Another process is writing there; it may work once that process has ended."""


class IncompleteError(MrisegError):
    """The work was done, but some cases had to be skipped."""

    exit_code = 6


class DivergedError(MrisegError):
    """The loss of a training is not a finite number."""

    exit_code = 7


class ExportError(MrisegError):
    """An exported file did not reproduce the model's output."""

    exit_code = 8


class DamagedError(MrisegError):
    """What is stored, or what it was made from, is no longer what was written.

    With its own exit code, so that a verifying script can tell actual damage from a mistyped path.
    """

    exit_code = 9


class WorkerError(MrisegError):
    """Workers that do cases elsewhere are not there, went away, or lack what the work needs."""

    exit_code = 10


class RankError(MrisegError):
    """Another process of the same training failed or was killed, and so this one ends, too.

    Where the other's exit code is known, it is that.
    """

    exit_code = 11


def first_line(error: BaseException, longest: int = 200) -> str:
    """An error's type and the first line of its message, for a sentence.

    PyTorch's messages go on for pages.

    Args:
        error: of any library.
        longest: letters of the message.
    """
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return f"{type(error).__name__}: {textwrap.shorten(lines[0], longest, placeholder=' ...')}"


def reason_of(error: BaseException) -> str:
    """What an error says, on one line: the system's own words, or the first line of its message."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(said).splitlines()[0]
