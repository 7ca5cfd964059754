"""The root of the command line: what an error or Ctrl-C becomes."""

from __future__ import annotations

import errno
from typing import Any

import typer
from typer.core import TyperGroup

from mriseg.cli import render
from mriseg.errors import MrisegError, OutputError

INTERRUPTED = 130

# What Ctrl-C leaves, and how to go on.
_AFTER = {
    "preprocess": "the cases so far are whole; the same command again goes on with those left",
    "train": "the latest checkpoint is kept; go on with: mriseg train --resume [RUN]",
    "transfer": "the latest checkpoint is kept; go on with: mriseg train --resume [RUN]",
    "predict": "the masks so far are whole",
    "demo": "what is written is whole; the same command again starts a new one beside it",
}


class Commands(TyperGroup):
    """Turns an error that was raised on purpose into one message and its exit code.

    A traceback is left for what nobody raised on purpose: mriseg's own mistakes.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except MrisegError as error:
            render.fail(str(error))
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            after = _AFTER.get(ctx.invoked_subcommand or "", "nothing half-written is left")
            render.fail(f"stopped: {after}")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            # A reader that went away (head, less) is the shell's business.
            if error.errno in (errno.EPIPE, None):
                raise
            where = f"{error.filename}: " if error.filename else ""
            render.fail(f"{where}{error.strerror}")
            raise typer.Exit(OutputError.exit_code) from None
