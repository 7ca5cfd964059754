"""A library that is missing, or cannot be imported, is named with the way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import BackendError, ConfigError
from mriseg.extras import Extra

JSON = Extra("strip", "--strip any", ("json",))


def test_what_is_installed_is_imported() -> None:
    assert JSON.missing() == ""
    JSON.check()
    assert JSON.library().dumps(1) == "1"
    assert JSON.library("json.decoder").__name__ == "json.decoder"


def test_all_that_is_missing_is_named_without_an_import() -> None:
    extra = Extra("strip", "--strip any", ("json", "no_such_library", "nor_this"), BackendError)
    how = 'needs no_such_library and nor_this, not installed here: pip install "mriseg[strip]"'
    assert extra.missing() == f"--strip any {how}"
    with pytest.raises(BackendError, match="--strip any needs no_such_library and nor_this"):
        extra.check()
    with pytest.raises(BackendError, match=r"no_such_library, which cannot be imported here \(No"):
        extra.library("no_such_library.part")


@pytest.mark.parametrize("fault", ["ImportError('libGL.so')", "PermissionError(13, 'denied')"])
def test_one_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (tmp_path / "failing_library.py").write_text(f"raise {fault}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be imported here \((libGL.so|denied)\): pip"):
        JSON.library("failing_library")
