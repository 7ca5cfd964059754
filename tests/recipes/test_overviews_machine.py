"""A machine's reports are looked at with the others; here are their parts that may be unknown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.recipes.test_overviews import MACHINE, a_doctor


def test_what_is_not_known_is_left_out() -> None:
    assert "memory" not in str(replace(MACHINE, memory=None))
    doctor = a_doctor(Path())
    assert "safe batch size  12 slices" in str(doctor) and "step" in str(doctor)
    bare = str(replace(doctor, memory=None, pace=None))
    assert "safe batch size" not in bare and "step" not in bare
