"""A card begins with patients that chose nothing, and says what flatters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mriseg.core.pooled_calibration import Figure
from mriseg.io.model_sources import BASE
from mriseg.io.runs.manifest import read_manifest
from mriseg.report.card_cross_validation import Validation, best_validation, cross_validated
from mriseg.report.front_matter import front_matter
from mriseg.report.model_card import model_card, read_card
from tests.io.runs.examples import MANIFEST
from tests.io.test_cross_validations import DICE, RESULT
from tests.report.test_model_card import evaluation

NOBODY = Validation({}, lambda _: False)
CHOSE = Validation({"c": {"WT": 0.5, "ET": None}}, lambda name: name == "c")
CROSS = replace(
    RESULT,
    subsets=("all", "T1"),
    figures=(
        DICE,
        replace(DICE, subset="T1", mean=0.25),
        replace(DICE, metric="hd95"),
        replace(DICE, group="A", patients=3),
        Figure("B", "T1", "WT", "dice", 0, 0, 4, *[float("nan")] * 4),
    ),
)


def card(**changes: Any) -> str:
    given = {"name": "mine", "parameters": 1, "validation": CHOSE, "evaluations": {}, **changes}
    return model_card(given.pop("manifest", MANIFEST), cross=CROSS, **given)[0]


def test_it_comes_first_with_its_intervals_by_group_and_subset() -> None:
    text = card(evaluations={"all": evaluation("c")})
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows == [
        "| left out of training | region | mean | median | patients |",
        "| all patients, all modalities | WT | 0.750 [0.500, 0.875] | 0.500 | 7 |",
        "| all patients, T1 | WT | 0.250 [0.500, 0.875] | 0.500 | 7 |",
        "| A, all modalities | WT | 0.750 [0.500, 0.875] | 0.500 | 3 |",
        "| measured on | region | mean | median | cases |",
        "| all | WT | 0.500 [0.250, 0.750] | - | 1 |",
    ]
    assert "7 patients, each segmented by a run that was trained alike without them" in text
    assert "Left out whole, one after the other: A, B." in text
    assert "runs trained alike on 3 to 4 patients, not this model itself" in text
    assert text.index("Flattered, for comparison: The best validation") < text.index("| measured")
    assert "Measured subsets: all; T1." in text


def test_info_reads_it_back() -> None:
    stated = read_card(card(evaluations={"all": evaluation("c")}))
    assert [(f.measured_on, f.cases) for f in stated.figures] == [
        ("all patients, all modalities", "7"),
        ("all patients, T1", "7"),
        ("A, all modalities", "3"),
        ("all", "1"),
    ]
    assert any(text.startswith("Flattered") for text in stated.caveats)


def test_nothing_is_to_fill_in_where_it_is_all_that_was_measured() -> None:
    text = card(data="x", terms="y", validation=NOBODY)
    assert "to fill in" not in text and "Flattered" not in text


def test_folds_are_said_and_whose_calibration_it_is() -> None:
    folds = replace(CROSS, leaves_out=False, trained={"A": 4, "B": 4})
    own = replace(MANIFEST, config={"calibration": "cross"})
    text = " ".join(cross_validated(own, folds, NOBODY))
    assert "one after the other: 2 folds of them." in text and "alike on 4 patients" in text
    assert "each institution and each subset of modalities counting the same" in text
    assert "calibration:" not in " ".join(cross_validated(MANIFEST, folds, NOBODY))


def test_validation_is_said_where_there_was_one() -> None:
    assert list(best_validation(NOBODY)) == []
    assert list(best_validation(Validation({"c": {"WT": None}}, lambda _: True))) == []
    [text] = best_validation(CHOSE)
    assert "mean Dice of 0.500 over 1 case" in text


def test_the_hub_reads_it_first() -> None:
    hub = pytest.importorskip("huggingface_hub")
    manifest = read_manifest(Path(str(BASE)))
    text = front_matter(
        manifest, name="m", evaluations={"x": evaluation("c")}, validated=CHOSE.has, cross=CROSS
    )
    first, second, third = hub.ModelCard(text + "\n# m\n").data.eval_results
    assert (first.metric_value, second.metric_value, third.metric_value) == (0.75, 0.25, 0.5)
    assert first.metric_name == "Dice WT, mean of 7 patients left out of trainings like this one"
    assert first.dataset_name == "lgg (all, cross-validated)"
