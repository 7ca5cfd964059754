"""Commands and their root: what an error, Ctrl-C or a request to stop becomes."""

from __future__ import annotations

import errno
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from mriseg.cli import render, together
from mriseg.errors import BackendError, MrisegError, OutputError, reason_of

STOPPED = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
"""Signals that ask to stop, and the exit code: Ctrl-C; kill, a time limit or a shutdown; a closed
terminal. A shell reports the same of a process that died of the signal."""

# What is left after a stop, and how to continue, unless the command knows more.
_UNTRAINED = "no checkpoint was written yet; the same command starts again"
_AFTER = {
    "preprocess": "finished cases are complete; the same command continues with the others",
    "train": _UNTRAINED,
    "transfer": _UNTRAINED,
    "predict": "finished masks are complete; the same command continues with the others",
    "bids": "finished masks are complete; the same command continues with the others",
    "improve": "finished steps are kept; the same command continues",
    "demo": "finished files are complete; the same command starts a new demo beside them",
}


_DOCTOR = "mriseg doctor STORE shows how many slices fit"
# What takes less memory.
_LESS = {
    "train": f"try a smaller --batch-size, --size or --width; {_DOCTOR}",
    "transfer": f"try a smaller --batch-size or --size; {_DOCTOR}",
    "preprocess": "try fewer --workers: the same command continues with the remaining cases",
    "bench": "try a smaller --batch-size, --size or --width",
    "doctor": "try a smaller --batch-size, --size or --width",
}


# "size.1" in "size.1 = 33: ...; transfer.l2_sp = ...", where a message begins or goes on.
_SETTING = re.compile(r"(\A|; )(?:[a-z]\w*\.)*([a-z]\w*?)(?:\.\d+)?(?= = )")

# Characters of a library's message, at most.
_MAX_QUOTED = 200


class Stopped(KeyboardInterrupt):
    """A signal asked to stop: as Ctrl-C, so that nothing takes it for an error to go on from.

    Attributes:
        exit_code: what it becomes.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Command(TyperCommand):
    """A command whose help shows no type for an option that takes no value.

    It is run by all of the processes that were started for it, see `mriseg.cli.together`.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with together.training(ctx.info_name or ""):
            return super().invoke(ctx)

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, --help among them."""
        return _untyped_flags(super().get_params(ctx))


class Commands(TyperGroup):
    """Turns an error that was raised on purpose into one message and its exit code.

    Tracebacks are for mriseg's own mistakes.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Its parameters, --help among them."""
        return _untyped_flags(super().get_params(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _stoppable():
                return super().invoke(ctx)
        except MrisegError as error:
            render.fail("; ".join([_as_typed(str(error), self, ctx), *notes_of(error)]))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stopped:
            with suppress(OSError):  # the terminal may be gone
                render.stop(_left_by(stopped, ctx.invoked_subcommand or ""))
            code = stopped.exit_code if isinstance(stopped, Stopped) else STOPPED["SIGINT"]
            raise typer.Exit(code) from None
        except (typer.Exit, typer.Abort):
            raise  # no errors, but RuntimeErrors all the same
        except (MemoryError, RuntimeError) as error:
            # torch, its libraries and numpy each have an error of their own for this.
            from mriseg.backends.machine import ran_out

            if not ran_out(error):
                raise
            render.fail(_exhausted(error, ctx.invoked_subcommand or ""))
            raise typer.Exit(BackendError.exit_code) from None
        except OSError as error:
            # A reader that went away (head, less) is the shell's business.
            if error.errno in (errno.EPIPE, None):
                raise
            where = f"{error.filename}: " if error.filename else ""
            render.fail(f"{where}{reason_of(error)}")
            raise typer.Exit(OutputError.exit_code) from None


def _as_typed(message: str, commands: TyperGroup, ctx: Any) -> str:
    """A message about settings, under the names of the options that were typed.

    One about a file of settings begins with that file and keeps the file's names.
    """
    command = commands.get_command(ctx, ctx.invoked_subcommand or "")
    if command is None or message.startswith("--"):
        return message
    names = {str(item.name): item.opts[0] for item in command.params if item.opts}

    def typed(setting: re.Match[str]) -> str:
        option = names.get(setting[2])
        return f"{setting[1]}{option}" if option else setting[0]

    return _SETTING.sub(typed, message)


def _untyped_flags(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    return parameters


def _left_by(stopped: KeyboardInterrupt, command: str) -> str:
    """What a stop left: as a note of the exception says, or what holds for every such command."""
    notes = notes_of(stopped)
    return notes[0] if notes else _AFTER.get(command, "no half-written files are left")


def notes_of(error: BaseException) -> list[str]:
    """What was added to an error on its way."""
    return list(getattr(error, "__notes__", []))


def _exhausted(error: BaseException, command: str) -> str:
    """The message for memory that ran out; the libraries' own can be pages long."""
    less = _LESS.get(command, "close other programs, or use a machine with more memory")
    return f"out of memory ({reason_of(error)[:_MAX_QUOTED]}); {less}"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Signals that ask to stop raise Stopped, the first time; the second time they end all.

    A signal that was handled or ignored before mriseg started, as under nohup, is left as is.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in STOPPED if hasattr(signal, name)]
        usual = (signal.SIG_DFL, signal.default_int_handler)
        before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) in usual}
    for number in before:
        signal.signal(number, _stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            # Of several processes, each that ends has still to say why.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    # torchrun passes on to its processes what the terminal has sent to them already.
    signal.signal(number, signal.SIG_IGN if together.several() else signal.SIG_DFL)
    raise Stopped(STOPPED[signal.Signals(number).name])
