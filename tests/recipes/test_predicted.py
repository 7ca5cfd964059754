"""predict goes on where it stopped, and writes over nothing that something else made."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.errors import OutputError
from mriseg.events import Advanced, Began, Event, Notice, finish
from mriseg.io import predictions
from mriseg.io.disk.checksums import sha256
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.predictions import read_predictions
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes import loaded
from mriseg.recipes.predict import PredictOptions, PredictReport, predict
from mriseg.recipes.predicted import _differs
from mriseg.testing import phantoms

QUICK = PredictOptions(overlays=False, flips=False, adapt=False, refine=False)
FORCED = replace(QUICK, overwrite=True)

Predicting = Callable[..., PredictReport]


@pytest.fixture
def predicting(trained: Run, cpu: Backend) -> Predicting:
    def run(
        source: Path, out: Path, options: PredictOptions = QUICK, on_event: Any = None, **more: Any
    ) -> PredictReport:
        model = more.pop("model", trained)
        return finish(predict(source, out, model, cpu, options, **more), on_event)

    return run


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    phantoms.write_brats(tmp_path / "scans", 2, shape=(8, 40, 36))
    return tmp_path / "scans"


def recorded(out: Path) -> dict[str, Any]:
    document = json.loads((out / "report.json").read_text())
    return {mask["mask"]: mask for mask in document["masks"]}


def files_of(folder: Path) -> dict[str, bytes]:
    """All but the record, and the page, which says when it was written."""
    paths = [path for path in folder.iterdir() if path.stem != "report"]
    return {path.name: path.read_bytes() for path in paths}


def test_the_same_again_is_no_work(
    predicting: Predicting, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "masks"
    first = predicting(scans, out)
    assert [result.kept for result in first.results] == [False, False]
    before, report = files_of(out), (out / "report.json").read_bytes()

    monkeypatch.setattr(loaded, "load", None)  # the model is not even loaded
    for path in scans.rglob("*flair*"):
        os.utime(path, (1, 1))  # copied: another time, the same bytes
    events: list[Event] = []
    again = predicting(scans, out, on_event=events.append)
    assert [result.kept for result in again.results] == [True, True]
    assert [replace(result, kept=False) for result in again.results] == list(first.results)
    assert files_of(out) == before and (out / "report.json").read_bytes() == report
    assert not any(isinstance(event, Advanced) for event in events)
    assert any("2 cases are predicted already" in e.text for e in events if isinstance(e, Notice))


def test_it_goes_on_where_it_stopped(predicting: Predicting, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"

    class Killed(BaseException):
        pass

    def kill(event: Event) -> None:
        if isinstance(event, Advanced) and event.done >= 1:
            raise Killed

    with pytest.raises(Killed):
        predicting(scans, out, on_event=kill)
    # The record is of what is there.
    [(name, mask)] = recorded(out).items()
    assert mask["files"][0]["sha256"] == sha256(out / name)
    assert [result.kept for result in predicting(scans, out).results] == [True, False]
    assert set(recorded(out)) == {path.name for path in out.glob("*.nii.gz")}


def test_killed_between_the_record_and_the_mask_it_goes_on(
    predicting: Predicting, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "masks"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mriseg.recipes.predicted.put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            predicting(scans, out)
    assert len(recorded(out)) == 1 and not list(out.glob("*.nii.gz"))
    assert [result.kept for result in predicting(scans, out).results] == [False, False]


def test_a_correction_is_not_written_over(
    predicting: Predicting, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    first, second = (result.mask for result in predicting(scans, out).results)
    image = nib.load(first)
    nib.save(nib.Nifti1Image(np.zeros(image.shape, np.uint8), image.affine), first)
    os.utime(first, ns=(0, recorded(out)[first.name]["files"][0]["modified"]))
    corrected = first.read_bytes()
    report = predicting(scans, out)
    [(case, reason)] = report.skipped
    assert first.name.startswith(case)
    assert "edited since mriseg wrote it" in reason and "--overwrite" in reason
    assert first.read_bytes() == corrected
    assert [(r.mask, r.kept) for r in report.results] == [(second, True)]
    [said] = json.loads((out / "report.json").read_text())["skipped"]
    assert (said["case"], said["reason"]) == (case, reason)

    report = predicting(scans, out, FORCED)
    assert [result.kept for result in report.results] == [False, True] and not report.skipped
    assert first.read_bytes() != corrected
    assert json.loads((out / "report.json").read_text())["skipped"] == []


def test_a_mask_is_compared_by_its_bytes_whatever_its_time(tmp_path: Path) -> None:
    mask = tmp_path / "a.nii.gz"
    mask.write_bytes(b"mask")
    known = KnownFile.of(mask)
    assert not _differs(known, mask)
    mask.write_bytes(b"edit")
    os.utime(mask, ns=(0, known.modified))
    assert _differs(known, mask)
    # Of a map, which is large, size and time are enough.
    assert not _differs(known, tmp_path / "b.nii.gz")


def test_what_nobody_recorded_is_not_written_over(
    predicting: Predicting, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    out.mkdir()
    name = min(path.name for path in scans.iterdir())
    (out / f"{name}.nii.gz").write_bytes(b"somebody's mask")
    report = predicting(scans, out)
    assert [case for case, _ in report.skipped] == [name]
    assert "no record says that mriseg made it" in report.skipped[0][1]
    assert (out / f"{name}.nii.gz").read_bytes() == b"somebody's mask"
    # With nothing else to do that is still no error of the scans.
    report = predicting(scans / name, out)
    assert not report.results and len(report.skipped) == 1
    assert len(predicting(scans, out, FORCED).results) == 2


def test_two_scans_of_one_name(predicting: Predicting, scans: Path, tmp_path: Path) -> None:
    """P1/case and P2/case, of the same file names, sizes and times, one after the other."""
    folders = sorted(scans.iterdir())
    for patient, folder in zip(("P1", "P2"), folders, strict=True):
        target = tmp_path / patient / "case"
        target.mkdir(parents=True)
        for path in folder.iterdir():
            role = path.name.rpartition("_")[2]
            moved = path.rename(target / f"x_{role}")
            nib.save(nib.load(moved), target / f"x_{role.removesuffix('.gz')}")
            moved.unlink()
            os.utime(target / f"x_{role.removesuffix('.gz')}", (1, 1))
    out = tmp_path / "masks"
    predicting(tmp_path / "P1" / "case", out)
    before = (out / "case.nii.gz").read_bytes()
    report = predicting(tmp_path / "P2" / "case", out)
    [(_, reason)] = report.skipped
    assert "another scan" in reason and str(tmp_path / "P1" / "case") in reason
    assert (out / "case.nii.gz").read_bytes() == before
    assert predicting(tmp_path / "P1" / "case", out).results[0].kept

    report = predicting(tmp_path / "P2" / "case", out, FORCED)
    assert not report.results[0].kept
    assert recorded(out)["case.nii.gz"]["source"] == str(tmp_path / "P2" / "case")
    # A file of its own, likewise.
    one = tmp_path / "one" / "m.nii.gz"
    predicting(tmp_path / "P1" / "case", one)
    assert (tmp_path / "one" / "m.report.json").exists()
    assert predicting(tmp_path / "P2" / "case", one).skipped
    assert predicting(tmp_path / "P1" / "case", one).results[0].kept


def test_other_settings_and_another_model_are_other_masks(
    predicting: Predicting, trained: Run, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    name = min(path.name for path in scans.iterdir())
    predicting(scans / name, out)
    [(_, reason)] = predicting(scans / name, out, replace(QUICK, threshold=0.9)).skipped
    assert "other settings (threshold" in reason and "0.9" in reason
    some = replace(QUICK, modalities=("FLAIR",), allow_missing=True)
    [(_, reason)] = predicting(scans / name, out, some).skipped
    assert "modalities" in reason

    other = open_run(shutil.copytree(trained.path, tmp_path / "run"))
    assert predicting(scans / name, out, model=other).results[0].kept  # the same, elsewhere
    best = other.load("best")
    weights = {key: tensor.clone() for key, tensor in best.weights.items()}
    weights["head.bias"] += 0.5
    other.save("best", replace(best, weights=weights))
    [(_, reason)] = predicting(scans / name, out, model=other).skipped
    assert f"by another model ({trained.path})" in reason
    # What decides no voxel is no other setting.
    assert predicting(scans / name, out, replace(QUICK, batch_size=3)).results[0].kept


def test_maps_belong_to_their_mask(predicting: Predicting, scans: Path, tmp_path: Path) -> None:
    out, name = tmp_path / "masks", min(path.name for path in scans.iterdir())
    maps = replace(QUICK, probabilities=True, overlays=True)
    predicting(scans / name, out)
    assert not predicting(scans / name, out, maps).results[0].kept  # they were missing
    assert predicting(scans / name, out, maps).results[0].kept
    assert predicting(scans / name, out).results[0].kept  # they are its own still
    assert len(list(out.glob("*_prob_*"))) == 3 and (out / f"{name}.png").exists()
    (out / f"{name}_prob_ET.nii.gz").unlink()
    assert not predicting(scans / name, out, maps).results[0].kept

    predicting(scans / name, out, replace(FORCED, threshold=0.9))
    assert {path.name for path in out.iterdir()} == {
        f"{name}.nii.gz",
        "report.json",
        "labels-itksnap.txt",
        "labels-slicer.ctbl",
        "report.html",
        "volumes.csv",
        "volumes.json",
    }

    # Of unknown origin: in the way, too, and never removed.
    stray = out / f"{name}_prob_WT.nii.gz"
    stray.write_bytes(b"somebody's")
    [(_, reason)] = predicting(scans / name, out).skipped
    assert stray.name in reason
    events: list[Event] = []
    predicting(scans / name, out, FORCED, events.append)
    assert stray.read_bytes() == b"somebody's"
    assert any("is left beside its new mask" in e.text for e in events if isinstance(e, Notice))
    predicting(scans / name, out, replace(maps, overwrite=True))
    assert stray.read_bytes() != b"somebody's"


def test_the_segmentation_beside_a_scan_makes_no_other_scan(
    predicting: Predicting, scans: Path, tmp_path: Path
) -> None:
    predicting(scans, tmp_path / "masks")
    for path in scans.rglob("*seg*"):
        path.unlink()
    assert all(result.kept for result in predicting(scans, tmp_path / "masks").results)
    changed = next(scans.rglob("*flair*"))
    image = nib.load(changed)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine), changed)
    [(_, reason)] = predicting(scans, tmp_path / "masks").skipped
    assert "another scan" in reason


def test_cases_of_a_store_are_known_again(
    predicting: Predicting, brats_store: Store, tmp_path: Path
) -> None:
    store = open_store(shutil.copytree(brats_store.location, tmp_path / "in.zarr"))
    name, *_ = store.cases()
    out, where = tmp_path / "masks", Path(store.location)
    predicting(where, out, cases=[name])
    assert predicting(where, out, cases=[name]).results[0].kept
    # The same voxels in another place are another mask.
    case = store.read_case(name)
    affine = np.array(case.geometry.affine)
    affine[0, 3] += 5
    moved = replace(case.geometry, affine=tuple(map(tuple, affine.tolist())))
    store.append(name, replace(case, geometry=moved), patient=name, content="")
    assert "another scan" in predicting(where, out, cases=[name]).skipped[0][1]


def test_a_record_that_is_none_or_damaged(
    predicting: Predicting, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    predicting(scans, out)
    record = out / "report.json"
    whole = record.read_text()
    record.write_text(whole.replace("BraTS20_Training_001", "BraTS20_Training_009"))
    with pytest.raises(OutputError, match="damaged or was edited.*--overwrite"):
        predicting(scans, out)
    assert len(predicting(scans, out, FORCED).results) == 2
    record.write_text('{"mine": 1}')
    for options in (QUICK, FORCED):
        with pytest.raises(OutputError, match="not the record of masks"):
            predicting(scans, out, options)
    assert record.read_text() == '{"mine": 1}'


def test_two_processes_write_one_record(
    predicting: Predicting, scans: Path, tmp_path: Path
) -> None:
    """Each its own cases; the one that began first does not undo the other's."""
    out = tmp_path / "masks"
    first, second = sorted(path.name for path in scans.iterdir())

    def meanwhile(event: Event) -> None:
        if isinstance(event, Notice) and event.text.startswith("model"):
            predicting(scans, out, cases=[second])

    predicting(scans, out, on_event=meanwhile, cases=[first])
    assert set(recorded(out)) == {f"{first}.nii.gz", f"{second}.nii.gz"}
    assert not list(out.glob(".mriseg*"))


def test_what_comes_meanwhile_is_not_written_over(
    predicting: Predicting, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    name = min(path.name for path in scans.iterdir())

    def meanwhile(event: Event) -> None:
        if isinstance(event, Began):
            out.mkdir(exist_ok=True)
            (out / f"{name}.nii.gz").write_bytes(b"mine")

    report = predicting(scans, out, on_event=meanwhile)
    assert [case for case, _ in report.skipped] == [name]
    assert (out / f"{name}.nii.gz").read_bytes() == b"mine"
    assert len(report.results) == 1


def test_what_the_record_says_of_a_mask(
    predicting: Predicting, trained: Run, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    [result, *_] = predicting(scans, out).results
    record = read_predictions(predictions.record_path(out)).masks[result.mask.name]
    assert (record.case, record.source) == (result.case, str(scans))
    assert record.files[0].sha256 == sha256(result.mask)
    folder = scans / result.case
    images = [path for path in folder.iterdir() if "seg" not in path.name]
    assert {file.sha256 for file in record.scan} == {sha256(path) for path in images}
    assert record.model.digest == trained.digest() and record.model.path == str(trained.path)
    assert record.modalities == trained.manifest.modalities and record.missing == ()
    assert record.unused == ("T1CE",) and "not used: T1CE" in " ".join(record.notices)
    assert record.volumes == result.volumes
