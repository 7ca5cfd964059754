"""The library that registers is asked for by name."""

from __future__ import annotations

import sys

import pytest

from mriseg.alignment import extra
from mriseg.errors import ConfigError


def test_a_library_that_is_missing_is_named_with_what_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert extra.missing() == ""
    assert extra.library().Euler3DTransform
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert 'needs SimpleITK, not installed here: pip install "mriseg[align]"' in extra.missing()
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(ConfigError, match=r"cannot be imported .*mriseg\[align\]") as caught:
        extra.library()
    assert caught.value.exit_code == 2
