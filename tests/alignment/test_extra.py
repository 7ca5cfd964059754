"""The library that registers is asked for by name."""

from __future__ import annotations

import pytest

from mriseg.alignment.extra import ALIGN


def test_the_library_that_registers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ALIGN.missing() == ""
    assert ALIGN.library().Euler3DTransform
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'needs SimpleITK, not installed here: pip install "mriseg[align]"' in ALIGN.missing()
