"""What a prediction says of its cases: empty masks, training cases, channels; one file alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.preparation import UNPREPARED, Preparation
from mriseg.errors import ConfigError, InputError
from mriseg.events import Event, Notice, finish
from mriseg.io.location import Location
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.predict import PredictOptions, PredictReport, predict
from mriseg.recipes.prediction import asked_for
from mriseg.testing import phantoms

QUICK = PredictOptions(overlays=False, flips=False, adapt=False, refine=False)

Predicting = Callable[..., tuple[PredictReport, str]]


@pytest.fixture
def predicting(trained: Run, cpu: Backend) -> Predicting:
    def run(
        source: Path, out: Path, options: PredictOptions = QUICK, model: Run = trained
    ) -> tuple[PredictReport, str]:
        events: list[Event] = []
        report = finish(predict(source, out, model, cpu, options), events.append)
        return report, "\n".join(event.text for event in events if isinstance(event, Notice))

    return run


def test_empty_masks_are_said(predicting: Predicting, tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "scans", 2, shape=(8, 40, 36))
    nothing = replace(QUICK, min_volume=1e6)
    report, said = predicting(tmp_path / "scans", tmp_path / "a", nothing)
    names = tuple(sorted(folder.name for folder in folders))
    assert report.empty == names
    assert f"the mask of 2 of 2 cases is empty: {', '.join(names)}" in said
    # Kept ones as well: whoever starts it again did not see the end.
    assert "2 of 2 cases is empty" in predicting(tmp_path / "scans", tmp_path / "a", nothing)[1]
    report, said = predicting(tmp_path / "scans", tmp_path / "b")
    assert report.empty == () and "empty" not in said


def test_training_cases_are_named(
    predicting: Predicting, trained: Run, brats_source: Path, brats_store: Store, tmp_path: Path
) -> None:
    trains, validates = trained.manifest.train, trained.manifest.validation
    for source in (brats_source, Path(brats_store.location)):
        report, said = predicting(source, tmp_path / source.name)
        assert {r.case for r in report.results if r.trained_on} == set(trains)
        assert f"trained on {len(trains)} of {len(trains) + len(validates)} cases" in said
        assert all(name in said for name in trains)
    # By its looks, under another name and without the names of the model's cases.
    hidden = tuple(item.without_names("salt") for item in trained.manifest.seen)
    model = Run(trained.path, replace(trained.manifest, seen=hidden))
    shutil.copytree(brats_source / trains[0], tmp_path / "new" / "patient")
    report, said = predicting(tmp_path / "new", tmp_path / "renamed", QUICK, model)
    assert report.results[0].trained_on and "trained on 1 of 1 case" in said
    stranger = phantoms.write_brats(tmp_path / "stranger", 1, seed=901)[0]
    report, said = predicting(stranger, tmp_path / "stranger-out", QUICK, model)
    assert not report.results[0].trained_on and "trained on" not in said


def test_the_channels_are_said_where_some_are_missing_or_not_used(
    predicting: Predicting, tmp_path: Path
) -> None:
    three = phantoms.write_brats(tmp_path / "a", 1, modalities=("t1", "t2", "flair"))[0]
    report, said = predicting(three, tmp_path / "a-out")
    assert "used T1" not in said and report.results[0].modalities == ("T1", "T2", "FLAIR")
    some = replace(QUICK, modalities=("t1", "t2f"), allow_missing=True)
    four = phantoms.write_brats(tmp_path / "b", 1)[0]
    report, said = predicting(four, tmp_path / "b-out", some)
    assert "used T1, FLAIR; not used: T1CE, T2" in said
    [result] = report.results
    assert (result.modalities, result.missing, set(result.unused)) == (
        ("T1", "FLAIR"),
        (),
        {"T1CE", "T2"},
    )


def test_a_text_of_names_is_read_as_one(trained: Run) -> None:
    options = PredictOptions(modalities="t1w, flair").naming(trained.manifest)  # type: ignore[arg-type]
    assert options.modalities == ("T1", "FLAIR")
    with pytest.raises(ConfigError, match="no modality is named"):
        PredictOptions(modalities=()).naming(trained.manifest)


def test_every_option_that_shapes_a_mask_is_a_setting(trained: Run) -> None:
    """A new one is, unless it is said to be none."""
    base = asked_for(Location.of("in"), trained, PredictOptions(), UNPREPARED).settings
    free = {"probabilities", "overlays", "dicom_seg", "allow_missing", "overwrite", "batch_size"}
    # These are in it together, as the preparation that they make of the run's.
    free |= {"reference", "align", "strip", "every_series"}
    assert set(base) == {item.name for item in fields(PredictOptions)} - free | {"mriseg"}
    named = PredictOptions(modalities=trained.manifest.modalities)
    assert asked_for(Location.of("in"), trained, named, UNPREPARED).settings == base
    for change in ({"threshold": 0.1}, {"flips": False}, {"modalities": ("FLAIR",)}):
        other = asked_for(Location.of("in"), trained, PredictOptions(**change), UNPREPARED)
        assert other.settings != base
    aligned = asked_for(Location.of("in"), trained, PredictOptions(), Preparation(align="rigid"))
    assert aligned.settings["preparation"]["align"] == "rigid"


def test_one_file_is_what_its_name_says(
    predicting: Predicting, trained: Run, tmp_path: Path
) -> None:
    folder = phantoms.write_brats(tmp_path / "scans", 1)[0]
    flair = next(folder.glob("*flair*"))
    allowed = replace(QUICK, allow_missing=True)
    report, said = predicting(flair, tmp_path / "m.nii.gz", allowed)
    assert report.results[0].modalities == ("FLAIR",)
    assert f"{flair.name} is taken as FLAIR, by its name" in said
    assert "T1, T1CE, T2 of the same case lie beside it and are not read" in said
    assert f"mriseg predict {folder} {tmp_path / 'm.nii.gz'} --model {trained.path}" in said
    unnamed = flair.rename(tmp_path / "scan.nii.gz")
    with pytest.raises(InputError, match=rf"none fits.*mriseg predict {unnamed} .* --channels "):
        predicting(unnamed, tmp_path / "x.nii.gz", allowed)
