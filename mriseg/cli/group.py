"""The root of the command line: what an error, Ctrl-C or a request to stop becomes."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from mriseg.cli import render
from mriseg.errors import BackendError, MrisegError, OutputError, reason_of

STOPPED = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
"""What asks to stop, and the exit code: Ctrl-C; kill, a time limit or a shutdown; a closed
terminal. A shell says the same of a process that died of the signal."""

# What stopping leaves, and how to go on.
_AFTER = {
    "preprocess": "the cases so far are whole; the same command again goes on with those left",
    "train": "the latest checkpoint is kept; go on with: mriseg train --resume [RUN]",
    "transfer": "the latest checkpoint is kept; go on with: mriseg train --resume [RUN]; "
    "a comparison, with the same options and --out",
    "predict": "the masks so far are whole",
    "demo": "what is written is whole; the same command again starts a new one beside it",
}


# What takes less memory.
_WEIGH = "mriseg doctor STORE says how many slices fit"
_LESS = {
    "train": f"start again with a smaller --batch-size, --size or --width; {_WEIGH}",
    "transfer": f"start again with a smaller --batch-size or --size; {_WEIGH}",
    "preprocess": "start again with fewer --workers: it goes on with the cases left",
    "bench": "give a smaller --batch-size, --size or --width",
    "doctor": "give a smaller --batch-size, --size or --width",
}


# Of a library's message, at most.
_QUOTED = 200


class Stopped(KeyboardInterrupt):
    """A signal asked to stop: as Ctrl-C, so that nothing takes it for an error to go on from.

    Attributes:
        exit_code: what it becomes.
    """

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Commands(TyperGroup):
    """Turns an error that was raised on purpose into one message and its exit code.

    A traceback is left for what nobody raised on purpose: mriseg's own mistakes.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _stoppable():
                return super().invoke(ctx)
        except MrisegError as error:
            render.fail(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt as stopped:
            after = _AFTER.get(ctx.invoked_subcommand or "", "nothing half-written is left")
            with suppress(OSError):  # the terminal may be gone
                render.fail(f"stopped: {after}")
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


def _exhausted(error: BaseException, command: str) -> str:
    """The message for memory that ran out; the libraries' own can be pages long."""
    less = _LESS.get(command, "close other programs, or take a machine with more")
    return f"memory ran out ({reason_of(error)[:_QUOTED]}); {less}"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Signals that ask to stop raise Stopped, the first time; the second time they end all.

    What whoever started mriseg had set for a signal, as nohup does, is left.
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
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    raise Stopped(STOPPED[signal.Signals(number).name])
