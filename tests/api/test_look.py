"""What is there, from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import mriseg
from mriseg.errors import InputError


def test_info_of_everything(folder: Path) -> None:
    store, run = mriseg.open_store(folder / "out.zarr"), mriseg.open_run(folder / "run")
    assert mriseg.info(store) == mriseg.info(folder / "out.zarr")
    assert mriseg.info(store).cases == 3
    assert mriseg.info(run) == mriseg.info(str(folder / "run"))
    assert mriseg.info(run).width == 8
    assert mriseg.info(backend="cpu").chosen["name"] == "cpu"
    with pytest.raises(InputError, match="does not exist"):
        mriseg.info(folder / "nothing")
