from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from mriseg.cli.app import app
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


def test_a_setting_that_was_typed_is_named_as_it_was_typed(tmp_path: Path) -> None:
    runner = CliRunner()
    (tmp_path / "x.toml").write_text("seed = -1\nsize = [33, 3]\n")
    for line, said in {
        "bench --size 240x7": "error: --size = 7: input should be",
        "train x.zarr --seed -1 --batch-size 0": "--batch-size = 0: ",
        "transfer x.zarr --from base --l2-sp -1": "error: --l2-sp = -1.0: ",
        f"train x.zarr --config {tmp_path / 'x.toml'}": "x.toml: ",
    }.items():
        result = runner.invoke(app, line.split())
        message = " ".join(result.stderr.split())
        assert result.exit_code == 2 and said in message, message
        assert not re.search(r"\w\.\d = |l2_sp =", message) or "x.toml" in message
