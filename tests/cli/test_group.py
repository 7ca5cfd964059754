from __future__ import annotations

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner, Result

from mriseg.cli.group import Command, Commands
from mriseg.errors import CaseError


def ends_in(error: BaseException, command: str) -> Result:
    app = typer.Typer(cls=Commands)
    app.callback()(lambda: None)

    @app.command(command)
    def fails() -> None:
        raise error

    return CliRunner().invoke(app, [command])


def stopped(left: str = "") -> KeyboardInterrupt:
    stop = KeyboardInterrupt()
    if left:
        stop.add_note(left)
    return stop


@pytest.mark.parametrize(
    ("error", "command", "code", "message"),
    [
        (CaseError("a", "it is empty"), "predict", 3, "error: case a: it is empty"),
        (
            stopped("the latest checkpoint is kept in runs/{mine}"),
            *("train", 130),
            "stopped: the latest checkpoint is kept in runs/{mine}",
        ),
        (stopped(), "train", 130, "stopped: no checkpoint was written yet; the same command"),
        (stopped(), "info", 130, "stopped: no half-written files are left"),
        (MemoryError(), "train", 4, "error: out of memory (MemoryError); try a smaller"),
        (OSError(28, "No space left", "a.csv"), "evaluate", 5, "error: a.csv: No space left"),
    ],
)
def test_what_ends_a_command_is_one_message(
    error: BaseException, command: str, code: int, message: str
) -> None:
    result = ends_in(error, command)
    assert result.exit_code == code
    assert message in result.stderr and result.stderr.count("\n") == 1


def test_a_mistake_of_mriseg_has_a_traceback() -> None:
    assert isinstance(ends_in(ValueError("a mistake"), "train").exception, ValueError)


def test_a_flag_shows_no_type() -> None:
    app = typer.Typer(cls=Commands)
    app.callback()(lambda: None)

    @app.command(cls=Command)
    def go(fast: bool = False, number: int = 3) -> None: ...

    text = CliRunner().invoke(app, ["go", "--help"]).stdout
    assert "--fast" in text and "<bool>" not in text and "<int>" in text
    assert "<bool>" not in CliRunner().invoke(app, ["--help"]).stdout


def test_ctrl_c_that_was_ignored_when_mriseg_started_stays_ignored() -> None:
    # As where a script runs `nohup mriseg train &`.
    code = (
        "import signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from mriseg.cli.group import _stoppable\n"
        "with _stoppable():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print(signal.getsignal(signal.SIGTERM).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "_stop\n"), done.stderr
