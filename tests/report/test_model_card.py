"""A model card states what is known, and labels what is still to fill in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.report.card_cross_validation import Validation
from mriseg.report.model_card import Card, Figure, model_card, read_card
from tests.io.runs.examples import MANIFEST

MANY = replace(
    MANIFEST,
    versions={"mriseg": "0.1.0", "torch": "2.13.0"},
    parent={"run": "base3", "weights": "source"},
)


def evaluation(*cases: str, seen: bool = False) -> dict[str, Any]:
    numbers = {"mean": 0.5, "low": 0.25, "high": 0.75, "median": None, "cases": len(cases)}
    return {
        "summary": [{"region": "WT", "metric": metric, **numbers} for metric in ("dice", "hd95")],
        "cases": [{"case": case, "seen": seen} for case in cases],
    }


def card(manifest: Any = MANY, **changes: Any) -> tuple[str, tuple[str, ...]]:
    given: dict[str, Any] = {
        "name": "mine",
        "parameters": 12345,
        "validation": Validation({"c": {"WT": 0.5, "ET": None}}, lambda name: name == "c"),
        "evaluations": {},
    }
    return model_card(manifest, **{**given, **changes})


def test_what_is_still_to_fill_in_is_marked_and_listed() -> None:
    text, missing = card()
    assert missing == (
        "the terms of use",
        "the training data",
        "Dice with intervals (no evaluation was given)",
    )
    assert text.count("**still to fill in**") == 3
    text, missing = card(data="Phantoms.", terms="None.", evaluations={"all": evaluation("d")})
    assert missing == () and "to fill in" not in text


def test_it_says_what_the_model_is() -> None:
    text, _ = card()
    for part in (
        "# Model card: mine",
        "Not a medical device, not for clinical use",
        "12,345 parameters",
        "It segments WT (labels 1+2), ET (label 4), slice by slice, in T1.",
        "mriseg 0.1.0 and PyTorch 2.13.0 on 2026-01-01, transferred from `base3`",
        "2 training and 1 validation cases",
        "It holds their names too.",
        "about 64 x 96 voxels whose size is not known; scans are not resampled, registered",
    ):
        assert part in text, part
    sized = card(replace(MANY, spacing=(0.9375, 1.0)))[0]
    assert "about 64 x 96 voxels of 0.938 x 1 mm; slices whose pixels differ by more" in sized
    assert "names too" not in card(replace(MANY, salt="salt"))[0]
    assert "transferred" not in card(replace(MANY, parent={"run": "x", "weights": "random"}))[0]


@pytest.mark.parametrize(
    ("incomplete", "dropped", "expected"),
    [
        (False, 0.0, "All were present in training."),
        (True, 0.0, "In training, some training cases lacked one."),
        (
            True,
            0.4,
            "In training, some training cases lacked one and modalities were dropped from 40% of",
        ),
    ],
)
def test_it_says_which_modalities_training_lacked(
    incomplete: bool, dropped: float, expected: str
) -> None:
    config = {"augment": {"drop_modality": dropped}}
    text, _ = card(replace(MANY, incomplete=incomplete, config=config))
    assert expected in text


def test_an_evaluation_is_a_row_with_its_caveats() -> None:
    text, _ = card(
        evaluations={
            "all": evaluation("c", "d"),
            "T1 alone": evaluation("c", "d"),
            "seen": evaluation("a", seen=True),
        }
    )
    assert "| all | WT | 0.500 [0.250, 0.750] | - | 2 |" in text
    assert "all; T1 alone: 1 of 2 cases was used for validation" in text
    assert "seen: 1 of 1 case **was trained on**" in text


def test_what_a_card_states_is_read_back() -> None:
    text, _ = card(terms="CC BY\n4.0", evaluations={"FLAIR | T2": evaluation("c", seen=True)})
    assert read_card(text).figures == ()  # a table that was edited so is left out
    text, _ = card(terms="CC BY\n4.0", evaluations={"FLAIR": evaluation("c", "d", seen=True)})
    stated = read_card(text)
    assert stated.figures == (Figure("FLAIR", "WT", "0.500 [0.250, 0.750]", "-", "2"),)
    assert stated.terms == "CC BY 4.0"
    assert len(stated.caveats) == 2 and "used for validation" in stated.caveats[0]
    text, _ = card()
    assert read_card(text) == read_card("") == Card((), (), "")


@given(st.text(max_size=300))
def test_any_text_is_read_as_a_card(text: str) -> None:
    read_card(f"## How good it is\n{text}\n## Terms\n{text}")
