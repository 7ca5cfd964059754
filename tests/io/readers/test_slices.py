from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import CaseError
from mriseg.io.readers import slices


def test_slices_are_in_the_order_of_their_numbers() -> None:
    assert slices.ordered({10: Path("b"), 9: Path("a")}) == (Path("a"), Path("b"))


def test_missing_slices_are_listed() -> None:
    slices.check_numbers("x", {3, 4, 5})
    with pytest.raises(CaseError, match="its slices 0, 1, 2 are missing"):
        slices.check_numbers("x", {3, 4}, first=0)
    with pytest.raises(CaseError, match="its slices 2, 3, 4, 5, 6 and 2 more are missing"):
        slices.check_numbers("x", {1, 9})
