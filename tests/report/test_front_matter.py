"""What the Hub reads of a card: by its own library, without a network, it reads what was meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.io.model_sources import BASE
from mriseg.io.runs.manifest import Manifest, read_manifest
from mriseg.report.front_matter import front_matter, without_front_matter

hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return read_manifest(Path(str(BASE)))


def evaluation(store: str | None = "lgg") -> dict[str, Any]:
    rows = [("WT", "dice", 0.89612), ("WT", "hd95", 3.0), ("ET", "dice", None)]
    return {
        "summary": [
            {"region": region, "metric": metric, "mean": mean, "cases": 3}
            for region, metric, mean in rows
        ],
        "cases": [{"case": name, "seen": name == "c"} for name in "abc" for _ in range(2)],
        "prediction": store and {"store": store},
    }


def written(manifest: Manifest, **given: Any) -> Any:
    defaults: dict[str, Any] = {
        "name": "mine",
        "evaluations": {"FLAIR alone": evaluation()},
        "validated": lambda name: name == "a",
    }
    text = front_matter(manifest, **{**defaults, **given})
    assert text.startswith("---\n") and text.endswith("\n---\n")
    return hub.ModelCard(text + "\n# Model card: mine\n").data


def test_the_hub_reads_the_dice_that_was_measured(manifest: Manifest) -> None:
    data = written(manifest)
    assert data.library_name == "mriseg" and data.pipeline_tag == "image-segmentation"
    assert {"mri", "segnet", *(name.lower() for name in manifest.modalities)} <= set(data.tags)
    [result] = data.eval_results
    assert data.model_name == "mine"
    assert (result.metric_type, result.metric_value) == ("dice", 0.8961)
    assert result.metric_name == ("Dice WT, mean of 3 cases (1 chose the epoch, 1 was trained on)")
    assert (result.dataset_name, result.dataset_type) == ("lgg (FLAIR alone)", "lgg")
    result.validate() if hasattr(result, "validate") else None
    # And writes it again as it was.
    assert hub.ModelCardData(**data.to_dict()).to_yaml() == data.to_yaml()


def test_without_an_evaluation_nothing_is_claimed(manifest: Manifest) -> None:
    empty = evaluation()
    empty["summary"] = empty["summary"][1:]
    for evaluations in ({}, {"x": empty}):
        assert "model-index" not in front_matter(
            manifest, name="mine", evaluations=evaluations, validated=lambda _: False
        )


def test_an_evaluation_of_an_earlier_version_names_what_was_measured(manifest: Manifest) -> None:
    [result] = written(manifest, evaluations={"T1+FLAIR": evaluation(None)}).eval_results
    assert (result.dataset_name, result.dataset_type) == ("T1+FLAIR", "t1-flair")


@pytest.mark.parametrize(
    ("terms", "licence"),
    [
        ("CC BY-NC-SA 4.0", "cc-by-nc-sa-4.0"),
        ("MIT", "mit"),
        ("Apache 2.0.", "apache-2.0"),
        ("Only within our hospital.", "other"),
        ("Not MIT", "other"),
        (None, None),
    ],
)
def test_only_a_licence_by_name_is_given_as_one(
    terms: str | None, licence: str | None, manifest: Manifest
) -> None:
    data = written(manifest, terms=terms)
    assert data.license == licence
    assert (data.license_name == "see-terms") == (licence == "other")


def test_a_transfer_names_the_model_that_it_is_from(manifest: Manifest) -> None:
    from dataclasses import replace

    assert written(manifest).base_model is None
    for run, base in (("hf:ada/glioma@" + "0" * 40, "ada/glioma"), ("glioma", None)):
        carried = replace(manifest, parent={"run": run, "weights": "source"})
        assert written(carried).base_model == base


@settings(max_examples=25)
@given(text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_any_text_comes_back(text: str) -> None:
    manifest = read_manifest(Path(str(BASE)))
    data = written(manifest, name=text, evaluations={text: evaluation(None)})
    assert data.model_name == text
    assert data.eval_results[0].dataset_name == text


def test_a_card_without_it_is_the_card() -> None:
    card = "# Model card: x\n\n---\n\ntext\n"
    assert without_front_matter("---\na: 1\n---\n\n" + card) == card
    assert without_front_matter(card) == card
