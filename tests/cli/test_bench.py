from __future__ import annotations

import json
from pathlib import Path

import pytest

from mriseg.cli import render
from tests.cli.conftest import Type

QUICK = "--quick --width 8 --batch-size 2 --size 40x48 --backend cpu --precision fp32"


def test_bench_as_typed(worked: Path, type_in: Type) -> None:
    result = type_in(worked, f"mriseg bench out.zarr {QUICK} --json bench.json")
    assert result.exit_code == 0, result.output
    for shown in ("training step", "inference", "FLOP/s", "out.zarr (3 cases)", "images/s"):
        assert shown in result.stdout
    data = json.loads((worked / "bench.json").read_text())
    assert data["config"]["size"] == [40, 48]


def test_json_alone_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = {"a": [1, None]}
    assert render.as_json("-", data)
    assert json.loads(capsys.readouterr().out) == data
    assert not render.as_json(None, data) and not render.as_json(str(tmp_path / "x.json"), data)
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "x.json").read_text()) == data


def test_bench_of_what_cannot_be(worked: Path, type_in: Type) -> None:
    wrong = type_in(worked, "mriseg bench --size 240 --backend cpu --precision fp32")
    assert wrong.exit_code == 2 and "expected height x width" in wrong.stderr
    none = type_in(worked, "mriseg bench none.zarr --backend cpu --precision fp32")
    assert none.exit_code == 3 and "does not exist" in none.stderr
