"""Every error mriseg raises on purpose, and the exit code that the command line gives it.

::

    MrisegError                 1
    ├── ConfigError             2   an option or a configuration that cannot work
    │   └── UnknownNameError    2   a name that a registry does not hold (also a KeyError)
    ├── InputError              3   a file or folder that is not what it should be
    │   ├── CaseError           3   one case is unusable; carries its name
    │   ├── StoreError          3   not a store, or of a format this version cannot read
    │   └── RunError            3   not a run folder, or one that does not fit
    ├── BackendError            4   this machine lacks what was asked for, memory too
    ├── OutputError             5   the result cannot be written where it was asked for
    │   └── BusyError           5   another process is writing there; later it may do
    ├── IncompleteError         6   the work was done, but some cases had to be skipped
    ├── DivergedError           7   training met a loss that is not a number
    ├── ExportError             8   an exported file did not give the model's output
    └── DamagedError            9   what is stored is no longer what was written

A message says what was given, what was expected and what to do. The command line prints it alone:
a traceback is for mriseg's own mistakes, never for a user's.
"""

from __future__ import annotations


class MrisegError(Exception):
    """The root of the tree; ``except MrisegError`` catches all that mriseg raises on purpose."""

    exit_code = 1


class ConfigError(MrisegError):
    """An option or a configuration that cannot work."""

    exit_code = 2


class UnknownNameError(ConfigError, KeyError):
    """A name that a registry does not hold; the message lists those that it does."""

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
    """This machine lacks what was asked for."""

    exit_code = 4


class OutputError(MrisegError):
    """The result cannot be written where it was asked for."""

    exit_code = 5


class BusyError(OutputError):
    """Another process is writing there: the same may do once that has ended."""


class IncompleteError(MrisegError):
    """The work was done, but some cases had to be skipped."""

    exit_code = 6


class DivergedError(MrisegError):
    """Training met a loss that is not a number."""

    exit_code = 7


class ExportError(MrisegError):
    """An exported file did not give the model's output."""

    exit_code = 8


class DamagedError(MrisegError):
    """What is stored, or what it was made of, is no longer what was written.

    A code of its own, so that a script that verifies tells damage that was found from a path that
    was mistyped.
    """

    exit_code = 9


def reason_of(error: BaseException) -> str:
    """What an error says, on one line: the system's own words, or the first line of its message."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(said).splitlines()[0]
