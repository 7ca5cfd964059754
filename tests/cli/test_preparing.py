"""The options of a preparation say their own defaults, and are not given unless they are."""

from __future__ import annotations

from typing import get_args

from typer.testing import CliRunner

from mriseg.cli.app import app
from mriseg.cli.preparing import preparing
from mriseg.errors import UnknownNameError


def test_each_command_says_its_own_defaults() -> None:
    one, other = preparing("a", "b", "c"), preparing("as in training", "x", "y")
    assert [default for _, default in one.values()] == [None, None, None]
    said = [get_args(kind)[1].help for kind, _ in one.values()]
    assert [text.rpartition(" (default: ")[2] for text in said] == ["a)", "b)", "c)"]
    assert "(default: as in training)" in get_args(other["reference"][0])[1].help


def test_what_cannot_be_done_is_refused_before_anything_is_read() -> None:
    result = CliRunner().invoke(app, ["preprocess", "nowhere", "out.zarr", "--strip", "sharp"])
    assert result.exit_code == UnknownNameError.exit_code
    assert "deepbet" in result.output
