"""The names of ``import mriseg``, and what may be given in place of open things."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import mriseg
from mriseg import api
from mriseg.api._given import names_of, path_of, run_of, store_of
from mriseg.errors import ConfigError


def test_the_package_offers_what_the_module_holds() -> None:
    assert mriseg.__all__ is api.__all__
    for name in api.__all__:
        assert getattr(mriseg, name) is getattr(api, name)


def test_every_function_says_what_it_does() -> None:
    for name in api.__all__:
        assert inspect.getdoc(getattr(mriseg, name)), name


def test_open_things_are_taken_as_they_are(folder: Path) -> None:
    store, run = mriseg.open_store(folder / "out.zarr"), mriseg.open_run(folder / "run")
    assert store_of(store) is store and run_of(run) is run
    assert store_of(str(folder / "out.zarr")).location == store.location
    assert run_of(folder / "run").path == run.path


def test_names_and_paths() -> None:
    assert names_of("T1, FLAIR") == ("T1", "FLAIR") == names_of(["T1", "FLAIR"])
    assert names_of(None) is None and path_of(None) is None
    with pytest.raises(ConfigError, match="s3"):
        path_of("s3://bucket/x")
