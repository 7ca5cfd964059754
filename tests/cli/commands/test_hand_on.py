"""Commands as typed: what they choose if it is not given, write, report, and how they fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from tests.cli.conftest import Type


def test_export_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, "mriseg export torchscript")
    assert result.exit_code == 0, result.output
    assert f"run {run}, the newest under runs/" in result.stderr
    assert "differs from the model by" in result.stdout
    [path] = (worked / run).glob("model*")
    assert callable(torch.jit.load(path))
    named = type_in(worked, f"mriseg export torchscript --model {run} --out here.pt")
    assert named.exit_code == 0 and (worked / "here.pt").is_file()
    unknown = type_in(worked, "mriseg export onnxx")
    assert unknown.exit_code == 2 and "known: " in unknown.stderr


def test_share_as_typed(worked: Path, run: Path, type_in: Type) -> None:
    assert type_in(worked, f"mriseg evaluate --model {run} --out held").exit_code == 0
    result = type_in(worked, "mriseg share handed --evaluation T1=held/evaluation.json")
    assert result.exit_code == 0, result.output
    assert "handed: " in result.output and "still to fill in" in result.output
    assert "| T1 | WT |" in (worked / "handed" / "README.md").read_text(encoding="utf-8")
    assert type_in(worked, "mriseg info handed").exit_code == 0
    # A folder that has the model's name is one only by its path.
    shutil.move(worked / "handed", worked / "base")
    for name, own in (("base", False), ("./base", True)):
        result = type_in(worked, f"mriseg info {name}")
        assert ("out.zarr" in result.output) == own, result.output
    result = type_in(worked, "mriseg share other --evaluation =")
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["onnx", "--int8"], "--int8 needs a store"),
        (["pt2", "--int8", "--store", "x.zarr"], "--int8 is for onnx, not for pt2"),
        (["onnx", "--store", "x.zarr"], "--store is for --int8"),
    ],
    ids=["no-store", "format", "no-int8"],
)
def test_options_that_do_not_fit_are_refused(
    words: list[str], message: str, tmp_path: Path, type_in: Type
) -> None:
    result = type_in(tmp_path, f"mriseg export {' '.join(words)} --model base")
    assert result.exit_code == 2 and message in " ".join(result.stderr.split())
