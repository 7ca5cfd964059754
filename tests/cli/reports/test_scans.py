"""How the plan looks in a terminal: no name broken, every file named."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mriseg.cli.reports.scans import inspected
from mriseg.events import finish
from mriseg.recipes.inspect import inspect
from mriseg.testing import phantoms

SHAPE = (4, 6, 5)


@pytest.mark.parametrize("width", [80, 160])
def test_a_plan(tmp_path: Path, width: int) -> None:
    (case,) = phantoms.write_brats(tmp_path, 1, shape=SHAPE)
    phantoms.write_nifti(case / "stray.nii", np.ones(SHAPE, np.uint8))
    report = finish(inspect(tmp_path, workers=1))
    console = Console(file=io.StringIO(), width=width)
    inspected(console, report)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert case.name in text
    assert "stray.nii" in text
    assert "t1ce.nii.gz" in text
    assert "LPS" in text
    assert "1 case of 1 patient" in text
