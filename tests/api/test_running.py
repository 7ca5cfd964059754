"""Every function shows its progress in the same way."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import mriseg
from mriseg import api

PACKAGE = Path(api.__file__).parent


@pytest.fixture(autouse=True)
def _as_at_the_start() -> Iterator[None]:
    yield
    mriseg.show_progress(None)


def test_no_function_runs_its_recipe_in_another_way() -> None:
    others = [path for path in PACKAGE.glob("*.py") if path.name != "_running.py"]
    assert len(others) > 5
    for path in others:
        names = {
            name.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        allowed = {"finish"} if path.name == "__init__.py" else set()
        assert not names & {"carry_out", "finish"} - allowed, path.name


def test_progress_on_request_and_not_in_a_test(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mriseg.verify(folder / "out.zarr")
    assert capsys.readouterr().err == ""
    mriseg.show_progress(True)
    mriseg.verify(folder / "out.zarr")
    assert "3/3 cases" in capsys.readouterr().err
    events: list[mriseg.Event] = []
    mriseg.verify(folder / "out.zarr", on_event=events.append)
    assert events and capsys.readouterr().err == ""
