"""Scores of patients: right on masks that are known, and of patients that training never saw."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.regions import region_masks
from mriseg.errors import ConfigError, InputError
from mriseg.events import Event, Measured, Notice, Wrote, finish
from mriseg.io.runs import Run
from mriseg.io.store import Store, open_store
from mriseg.recipes import evaluate as evaluation
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.predict import PredictOptions
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.scores import EvaluateReport
from mriseg.report import pictures
from mriseg.report.pictures import GridRow
from mriseg.testing import phantoms
from tests.pages import checked


def measure(
    store: Store,
    run: Run,
    cpu: Backend,
    on_event: Callable[[Event], None] | None = None,
    **options: Any,
) -> EvaluateReport:
    return finish(evaluate(store, run, cpu, **options), on_event)


def test_training_cases_are_left_out_unless_asked_for(
    brats_store: Store, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    manifest = trained.manifest
    events: list[Event] = []
    once = PredictOptions(flips=False)
    report = measure(brats_store, trained, cpu, events.append, options=once, out=tmp_path)
    assert {score.case for score in report.scores} == set(manifest.validation)
    assert [score.region for score in report.scores] == ["WT", "TC", "ET"]
    assert set(report.seen) == set(manifest.train)
    texts = [event.text for event in events if isinstance(event, Notice)]
    assert any("3 cases that the model was trained on are left out" in text for text in texts)
    assert any(
        "is the run's 1 validation case, which chose its best epoch and so is slightly" in text
        for text in texts
    )
    assert sum(isinstance(event, Measured) for event in events) == 3
    # The same as the training's own validation found, which sees each slice once.
    dice = trained.load("best").state["dice"][manifest.validation[0]]
    assert {s.region: s.dice for s in report.scores} == pytest.approx(dice)
    assert report.mean("WT") > 0.5

    everyone = measure(brats_store, trained, cpu, events.append, include_seen=True, out=tmp_path)
    assert len({score.case for score in everyone.scores}) == 4
    data = json.loads((tmp_path / "evaluation.json").read_text())
    assert {c["case"] for c in data["cases"] if c["seen"]} == set(manifest.train)
    # Settings that were not given are recorded as the run's calibration determined them.
    assert data["prediction"]["threshold"] == list(trained.calibration().thresholds)
    assert (data["prediction"]["model"], data["prediction"]["flips"]) == (str(trained.path), True)


def test_a_training_scan_is_known_under_another_name(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    source = tmp_path / "src"
    for number, name in enumerate((trained.manifest.train[0], trained.manifest.validation[0])):
        copy = source / f"Somebody_{number}"
        shutil.copytree(brats_source / name, copy)
        for path in copy.iterdir():
            path.rename(path.with_name(path.name.replace(name, copy.name)))
    finish(preprocess(source, tmp_path / "out.zarr", regions="WT,TC,ET", workers=1))
    report = measure(open_store(tmp_path / "out.zarr"), trained, cpu)
    assert report.seen == ("Somebody_0",)


def test_a_training_scan_is_recognised_by_its_content(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    """As a later release hands it on: renamed, other intensities, a modality less."""
    for number, name in enumerate((trained.manifest.train[0], trained.manifest.validation[0])):
        folder = tmp_path / "src" / f"Somebody_{number}"
        folder.mkdir(parents=True)
        for path in (brats_source / name).iterdir():
            if "_t1." in path.name:
                continue
            image = nib.load(path)
            values = np.asarray(image.dataobj)
            if "_seg" not in path.name:
                values = np.where(values > 0, values * 2.5 + 30, 0).astype(np.float32)
            new = folder / path.name.replace(name, folder.name)
            nib.save(nib.Nifti1Image(values, image.affine), new)
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", regions="WT,TC,ET", workers=1))
    events: list[Event] = []
    # The model never saw a case without T1, so that it has to be asked to do without.
    others = PredictOptions(modalities=tuple(m for m in trained.manifest.modalities if m != "T1"))
    new = open_store(tmp_path / "out.zarr")
    report = measure(new, trained, cpu, events.append, options=others)
    assert report.seen == ("Somebody_0",)
    notices = [event.text for event in events if isinstance(event, Notice)]
    [notice] = [text for text in notices if "looks like" in text]
    assert notice.startswith(f"Somebody_0 looks like the same scan as {trained.manifest.train[0]}")
    assert {score.case for score in report.scores} == {"Somebody_1"}


def test_only_labelled_and_named_cases_are_measured(
    brats_store: Store, trained: Run, cpu: Backend
) -> None:
    name = trained.manifest.validation[0]
    report = measure(brats_store, trained, cpu, cases=[name])
    assert {score.case for score in report.scores} == {name}
    with pytest.raises(InputError, match="no labelled case nobody"):
        measure(brats_store, trained, cpu, cases=["nobody"])
    with pytest.raises(InputError, match="--include-seen"):
        measure(brats_store, trained, cpu, cases=list(trained.manifest.train))


def test_a_store_without_the_models_regions_is_refused(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    finish(preprocess(brats_source, tmp_path / "out.zarr", workers=1))
    with pytest.raises(ConfigError, match="--regions WT,TC,ET"):
        measure(open_store(tmp_path / "out.zarr"), trained, cpu)


def test_a_case_that_cannot_be_read_harms_no_other(
    brats_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "src", 3, seed=31, names="2023")
    phantoms.write_brats(tmp_path / "src" / "more", 1, seed=40, modalities=("t1ce",))
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", regions="WT,TC,ET", workers=1))
    store = open_store(tmp_path / "out.zarr")
    names = list(store.cases())
    chunks = (Path(store.location) / "cases" / names[0] / "image" / "c").rglob("*")
    (shard,) = (path for path in chunks if path.is_file())
    shard.write_bytes(shard.read_bytes()[:100])
    report = measure(open_store(store.location), trained, cpu)
    reasons = dict(report.skipped)
    assert len(reasons) == 2 and len({score.case for score in report.scores}) == 2
    assert "cannot be read" in reasons[names[0]]
    assert any("none that the model reads" in reason for reason in reasons.values())
    with pytest.raises(InputError, match="no case of .* could be measured"):
        measure(open_store(store.location), trained, cpu, cases=[names[0]])


def test_how_masks_are_made_matters(brats_store: Store, trained: Run, cpu: Backend) -> None:
    nothing = measure(brats_store, trained, cpu, options=PredictOptions(min_volume=1e6))
    assert nothing.mean("WT") == 0
    scores = {
        measure(brats_store, trained, cpu, options=options).mean("WT")
        for options in (
            PredictOptions(),
            PredictOptions(flips=False),
            PredictOptions(adapt=False),
            PredictOptions(refine=False),
        )
    }
    assert len(scores) == 4 and min(scores) > 0.3


# Pictures


def test_an_evaluation_draws_its_cases(
    brats_store: Store, trained: Run, cpu: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grids: list[tuple[tuple[GridRow, ...], str]] = []

    def keep(path: Path, rows: Sequence[GridRow], *names: Any) -> None:
        grids.append((tuple(rows), names[-1]))
        pictures.grid(path, rows, *names)

    monkeypatch.setattr(evaluation, "grid", keep)
    events: list[Event] = []
    report = measure(
        brats_store, trained, cpu, events.append, include_seen=True, out=tmp_path / "all"
    )
    wrote = [event.path.name for event in events if isinstance(event, Wrote)]
    assert wrote == ["all", "dice.png", "cases.png", "report.html"]
    assert {path.name for path in (tmp_path / "all").iterdir()} == {
        "cases.csv", "summary.csv", "evaluation.json", "dice.png", "cases.png",
        "report.html",
    }  # fmt: skip

    ((rows, title),) = grids
    assert title == f"{trained.name}: 4 cases by mean Dice"
    means: dict[str, float] = {}
    for score in report.scores:
        means[score.case] = means.get(score.case, 0) + score.dice / 3
    best_first = sorted(means, key=lambda case: -means[case])
    held = trained.manifest.validation
    for rank, (row, case) in enumerate(zip(rows, best_first, strict=True), 1):
        place, name, dice, which = row.caption.split(" · ")
        assert place == {1: "best, 1 of 4", 4: "worst, 4 of 4"}.get(rank, f"{rank} of 4")
        assert name == (case if case in held else f"{case} (trained on it)")
        assert dice.startswith("Dice WT 0.") and "TC" in dice and "ET" in dice
        # What is shown is that slice of that case, and its truth.
        stored = brats_store.read_case(case)
        z = int(re.sub(r"\D", "", which)) - stored.box.start[0]
        np.testing.assert_array_equal(row.image, stored.channels(trained.manifest.modalities)[:, z])
        assert stored.labels is not None
        truth = region_masks(stored.labels, brats_store.spec.regions)
        np.testing.assert_array_equal(row.truth, truth[:, z])
        if rank < 4:
            assert truth[:, z].sum() == truth.sum(axis=(0, 2, 3)).max()
        # Nothing of the volume is held on to by a slice of it.
        assert row.image.base is None and row.truth.base is None and row.output.base is None

    # The same, where more cases are measured than are kept.
    monkeypatch.setattr(evaluation, "_KEPT", 1)
    measure(brats_store, trained, cpu, include_seen=True, out=tmp_path / "few")
    for name in ("cases.png", "dice.png"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "all" / name).read_bytes()

    measure(brats_store, trained, cpu, out=tmp_path / "none", pictures=False)
    assert not list((tmp_path / "none").glob("*.png"))
    page = checked((tmp_path / "none" / "report.html").read_text(encoding="utf-8"))
    assert not page.all("img") and page.all("table")


def test_finer_pixels_are_resampled_and_reported(
    brats_store: Store, fine_source: Path, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    finish(preprocess(fine_source, tmp_path / "fine.zarr", regions="WT,TC,ET", workers=1))
    events: list[Event] = []
    fine = open_store(tmp_path / "fine.zarr")
    once = PredictOptions(flips=False)
    measured = measure(fine, trained, cpu, events.append, options=once, include_seen=True)
    texts = [event.text for event in events if isinstance(event, Notice)]
    said = [text for text in texts if "voxels are 0.5 x 0.5 mm in plane" in text]
    assert len(said) == 2
    same = list(brats_store.cases())[:2]
    expected = measure(brats_store, trained, cpu, options=once, include_seen=True, cases=same)
    assert measured.mean("WT") == pytest.approx(expected.mean("WT"), abs=0.05)
