"""A library that is missing, or cannot be imported, is named with the way to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import ConfigError
from mriseg.strippers.extra import check_installed, library


def test_a_library_is_imported() -> None:
    assert library("any", "json.decoder", "strip").__name__ == "json.decoder"


def test_a_missing_library_is_named_before_it_is_imported() -> None:
    with pytest.raises(ConfigError, match=r"--strip any needs no_such_library, which is not inst"):
        check_installed("any", "no_such_library", "strip")


@pytest.mark.parametrize("fault", ["ImportError('libGL.so')", "PermissionError(13, 'denied')"])
def test_one_that_fails_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (tmp_path / "failing_library.py").write_text(f"raise {fault}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"cannot be imported here \((libGL.so|denied)\): pip"):
        library("any", "failing_library", "strip")
