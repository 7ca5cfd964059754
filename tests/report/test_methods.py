from __future__ import annotations

import re

import pytest

from mriseg.report import methods
from mriseg.report.page import Methods

TEXTS = {
    "prediction": methods.of_prediction(
        version="0.1.0",
        torch="2.13.0",
        model="base",
        digest="ab" * 32,
        modalities=("T1", "FLAIR"),
        regions=("WT",),
        settings={"flips": True, "adapt": True, "refine": True},
    ),
    "training": methods.of_training(
        version="0.1.0",
        torch="2.13.0",
        width=16,
        modalities=("T1", "T2", "FLAIR"),
        regions=("WT", "ET"),
        cases=(32, 1),
        parent="base",
        layout="lgg",
    ),
    "evaluation": methods.of_evaluation(
        version="0.1.0", tolerance=2, unit="mm", model="run", cases=8
    ),
    "comparison": methods.of_comparison(version="0.1.0", patients=20, folds=5, source="base"),
    "data": methods.of_data(version="0.1.0", layout="brats"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_is_of_sentences_and_each_citation_is_in_it(text: Methods) -> None:
    assert "0.1.0" in text.text and text.text.endswith(".")
    assert not re.search(r"\.\.|  |\{|None", text.text)
    assert text.citations and len(set(text.citations)) == len(text.citations)
    for citation in text.citations:
        assert citation.key in text.text and citation.url.startswith("https://")


def test_what_was_done_is_said_and_what_was_not_is_not() -> None:
    assert "32 cases trained the network; 1 other chose" in TEXTS["training"].text
    assert "T1, T2 and FLAIR" in TEXTS["training"].text
    assert "mirrored copies" in TEXTS["prediction"].text
    plain = methods.of_prediction(
        version="1", torch="2", model="runs/a", digest="x", modalities=("T1",), regions=("WT",),
        settings={"flips": False},
    ).text  # fmt: skip
    assert not re.search("mirrored|adapted|refined|gliomas", plain)


def test_data_sets_are_cited_by_their_layouts() -> None:
    assert [c.key for c in TEXTS["data"].citations][1:] == [
        "Menze et al. 2015",
        "Bakas et al. 2017",
    ]
    assert "Buda et al. 2019" in TEXTS["training"].text
