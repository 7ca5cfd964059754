"""Under torchrun some commands run, and one process speaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mriseg.cli import together
from mriseg.cli.app import app
from mriseg.errors import ConfigError
from tests.ranks import MRISEG, each, environment, free_port


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(1, 2, free_port()).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "line", ["info", "predict a b", "doctor x", "forecast x", "demo", "preprocess a b.zarr"]
)
def test_other_commands_are_refused_before_they_begin(second_of_two: None, line: str) -> None:
    result = CliRunner().invoke(app, line.split())
    command = line.split()[0]
    assert result.exit_code == 2
    assert f"error: mriseg {command} was started several times, as by torchrun" in result.stderr
    assert "start it once, without torchrun" in result.stderr and result.stderr.count("\n") == 1


def test_a_comparison_is_refused_where_there_are_several(second_of_two: None) -> None:
    with pytest.raises(ConfigError, match="--compare trains by one process at a time"):
        together.refuse("--compare")


def test_one_process_is_refused_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment(0, 1, 1):
        monkeypatch.delenv(name, raising=False)
    assert not together.several()
    together.refuse("--compare")
    with together.training("predict"), together.one_voice():
        assert sys.stderr is not None


def test_half_an_environment_stops_a_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in environment(0, 1, 1):
        monkeypatch.delenv(name, raising=False)
    # As in an image of a cluster, which sets it for all that runs there.
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = CliRunner().invoke(app, ["train", "x.zarr"])
    assert result.exit_code == 2
    assert "several processes train together, and RANK is not set and" in result.stderr
    assert CliRunner().invoke(app, ["info", "--help"]).exit_code == 0
    with together.training("predict"):
        pass


def test_of_several_processes_one_says_what_is_wrong_with_the_options(tmp_path: Path) -> None:
    first, second = each(tmp_path, *[[*MRISEG, "train", "--no-such"]] * 2)
    assert (first.returncode, second.returncode) == (2, 2)
    assert "No such option" in first.stderr and second.stderr == ""


def test_of_several_processes_one_says_what_is_wrong_with_the_store(tmp_path: Path) -> None:
    line = [*MRISEG, "train", "none.zarr", "--backend", "cpu", "--precision", "fp32"]
    first, second = each(tmp_path, line, line)
    assert (first.returncode, second.returncode) == (3, 3)
    assert first.stderr.count("error: ") == 1 and "none.zarr" in first.stderr
    assert second.stderr == second.stdout == ""


@pytest.mark.slow
def test_who_alone_is_wrong_is_named(tmp_path: Path) -> None:
    # On one machine a store is there for all or none; a broken option stands for what differs.
    line = [*MRISEG, "train", "none.zarr", "--backend", "cpu", "--precision"]
    first, second = each(tmp_path, [*line, "fp32"], [*line, "fp16"])
    assert second.returncode == 4 and second.stderr == ""
    # The first has an error of its own; both are told by it, or it alone.
    assert first.returncode in (3, 4) and first.stderr.count("error: ") == 1


@pytest.mark.slow
def test_help_is_as_fast_as_ever_and_imports_no_torch() -> None:
    code = "import sys, mriseg.cli.app; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
