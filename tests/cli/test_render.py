"""What commands say: JSON alone on stdout, and the last message labelled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mriseg.cli import render


def test_json_alone_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = {"a": [1, None]}
    assert render.as_json("-", data)
    assert json.loads(capsys.readouterr().out) == data
    assert not render.as_json(None, data) and not render.as_json(str(tmp_path / "x.json"), data)
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "x.json").read_text()) == data


def test_an_error_and_a_stop_are_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    render.fail("no such [folder]")
    render.stop("finished masks are complete")
    assert capsys.readouterr().err == (
        "error: no such [folder]\nstopped: finished masks are complete\n"
    )
