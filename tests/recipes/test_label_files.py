"""The label files beside masks: once for all of them, and never over somebody's own."""

from __future__ import annotations

from pathlib import Path

from mriseg.core.label_tables import ITK_SNAP, SLICER
from mriseg.events import Event, Notice, finish
from mriseg.io.predictions import ModelName, Predictions, record_path
from mriseg.recipes.label_files import write_label_files
from tests.pages import mask_record

WT = {"WT": (1, 2, 4)}


def known(volumes: dict[str, float], digest: str = "a") -> Predictions:
    record = mask_record(volumes=volumes, model=ModelName("base", digest))
    return Predictions({record.mask: record})


def run(record: Path, masks: Predictions) -> tuple[tuple[Path, ...], list[str]]:
    events: list[Event] = []
    paths = finish(write_label_files(record, masks, WT, "a"), events.append)
    return paths, [event.text for event in events if isinstance(event, Notice)]


def test_both_lie_beside_the_masks(tmp_path: Path) -> None:
    paths, said = run(record_path(tmp_path), known({"WT": 1.0}))
    assert paths == (tmp_path / ITK_SNAP, tmp_path / SLICER)
    assert said == []
    before = [path.read_bytes() for path in paths]
    run(record_path(tmp_path), known({"WT": 1.0}))
    assert [path.read_bytes() for path in paths] == before


def test_of_a_mask_that_is_a_file_they_bear_its_name(tmp_path: Path) -> None:
    paths, _ = run(record_path(tmp_path / "mask.nii.gz"), known({"WT": 1.0}))
    assert [path.name for path in paths] == [f"mask.{ITK_SNAP}", f"mask.{SLICER}"]


def test_without_a_mask_there_are_none(tmp_path: Path) -> None:
    assert run(record_path(tmp_path), Predictions()) == ((), [])


def test_somebodys_own_file_stays(tmp_path: Path) -> None:
    (tmp_path / ITK_SNAP).write_text("my own labels")
    paths, said = run(record_path(tmp_path), known({"WT": 1.0}))
    assert [path.name for path in paths] == [SLICER]
    assert (tmp_path / ITK_SNAP).read_text() == "my own labels"
    assert "mriseg did not write it: left as it is" in said[0]


def test_masks_of_another_model_are_said_to_be_numbered_otherwise(tmp_path: Path) -> None:
    _, said = run(record_path(tmp_path), known({"left": 1.0}, digest="b"))
    assert "those of base are of other regions" in said[0]
