"""What the Hub's library says comes as one message; what is no answer is told apart."""

from __future__ import annotations

import sys

import pytest

from mriseg.errors import ConfigError, RunError
from mriseg.io.hub.library import UnreachableError, explained, library

errors = pytest.importorskip("huggingface_hub.errors")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r'pip install "mriseg\[hub\]"'):
        library()


@pytest.mark.parametrize(
    "error",
    [errors.OfflineModeIsEnabled("offline"), ConnectionResetError("reset"), TimeoutError("late")],
)
def test_no_answer_is_not_a_refusal(error: Exception) -> None:
    with pytest.raises(UnreachableError), explained("hf:ada/glioma", RunError):
        raise error


def test_what_is_not_of_the_hub_passes() -> None:
    with pytest.raises(ZeroDivisionError), explained("hf:ada/glioma", RunError):
        raise ZeroDivisionError
