"""A cross-validation takes settings as a training does."""

from __future__ import annotations

from pathlib import Path

import pytest

import mriseg
from mriseg.core.cross_validation import parse_groups


def test_it_takes_settings_as_a_training_does(folder: Path, tmp_path: Path) -> None:
    store, out = folder / "out.zarr", tmp_path / "out"
    with pytest.raises(mriseg.ConfigError, match="budget"):
        mriseg.cross_validate(store, out, budget="soon", backend="cpu")
    options = mriseg.CrossOptions(leave_out=parse_groups("A=nobody"))
    with pytest.raises(mriseg.ConfigError, match="no case matches nobody"):
        mriseg.cross_validate(store, out, options=options, backend="cpu")
    with pytest.raises(mriseg.RunError):
        mriseg.cross_validate(store, out, source="nowhere", backend="cpu")
    assert not out.exists()
    assert "learning_rate" in (mriseg.cross_validate.__doc__ or "")
