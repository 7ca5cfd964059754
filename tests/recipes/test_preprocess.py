"""Scans into a store: every layout, bad cases reported and left out, killed and resumed."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from mriseg.core.config import TrainConfig
from mriseg.core.regions import region_masks
from mriseg.errors import CaseError, InputError, OutputError, StoreError
from mriseg.events import Advanced, Began, Event, Notice, Skipped, Wrote, finish
from mriseg.io.readers import find
from mriseg.io.store import Store, open_store
from mriseg.recipes.preprocess import PreprocessReport, preprocess
from mriseg.recipes.setup import plan_training
from mriseg.testing import phantoms


def run(
    source: Path, out: Path, on_event: Callable[[Event], None] | None = None, **options: object
) -> PreprocessReport:
    return finish(preprocess(source, out, **{"workers": 1, **options}), on_event)  # type: ignore[arg-type]


def content(out: Path) -> dict[str, bytes]:
    """All of a store's files but the report, which tells what was done when."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.stem != "report"
    }


def status(report: PreprocessReport) -> dict[str, str]:
    return {case.case: case.status for case in report.cases}


@pytest.mark.parametrize("names", ["2020", "2023", "mixed"])
@pytest.mark.parametrize("gz", [True, False])
def test_brats_in_every_convention(tmp_path: Path, names: str, gz: bool) -> None:
    phantoms.write_brats(tmp_path / "src", 2, names=names, gz=gz)
    report = run(tmp_path / "src", tmp_path / "out.zarr")
    assert report.layout == "brats" and not report.skipped
    index = open_store(tmp_path / "out.zarr").index()
    assert index.modalities == ("T1", "T1CE", "T2", "FLAIR")
    assert index.regions == {"WT": (1, 2, 3, 4)}
    for number, entry in enumerate(index.cases):
        _, labels = phantoms.head(np.random.default_rng([0, number]))
        assert entry.foreground.sum() == (labels > 0).sum()


@pytest.mark.parametrize("names", ["2020", "2023"])
def test_regions_are_the_same_tissues_in_every_convention(tmp_path: Path, names: str) -> None:
    phantoms.write_brats(tmp_path / "src", 1, names=names)
    run(tmp_path / "src", tmp_path / "out.zarr", regions="TC,ET,rim=2")
    store = open_store(tmp_path / "out.zarr")
    (entry,) = store.index().cases
    _, labels = phantoms.head(np.random.default_rng([0, 0]))
    expected = region_masks(labels, {"TC": (1, 3, 4), "ET": (4,), "rim": (2,)}).sum((1, 2, 3))
    assert entry.foreground.sum(axis=0).tolist() == expected.tolist()
    assert list(store.index().regions) == ["TC", "ET", "rim"]


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SLA", "PIR"])
def test_any_orientation_gives_the_same_voxels(tmp_path: Path, orientation: str) -> None:
    stores = []
    for name, axes in (("plain", "LPS"), ("turned", orientation)):
        phantoms.write_brats(tmp_path / name, 1, orientation=axes)
        run(tmp_path / name, tmp_path / f"{name}.zarr")
        stores.append(open_store(tmp_path / f"{name}.zarr"))
    plain, turned = (store.read_case("BraTS20_Training_001") for store in stores)
    assert np.array_equal(plain.image, turned.image)
    assert plain.labels is not None and turned.labels is not None
    assert np.array_equal(plain.labels, turned.labels)


def test_lgg_and_its_copies_of_flair(tmp_path: Path) -> None:
    phantoms.write_lgg(tmp_path / "kaggle_3m", 3, missing={1: ["t1"], 2: ["t1", "t1ce"]})
    events: list[Event] = []
    report = run(tmp_path / "kaggle_3m", tmp_path / "out.zarr", events.append)
    assert report.layout == "lgg"
    assert [case.modalities for case in report.cases] == [
        ("T1", "FLAIR", "T1CE"),
        ("FLAIR", "T1CE"),
        ("FLAIR",),
    ]
    assert sum("copy of FLAIR" in e.text for e in events if isinstance(e, Notice)) == 3
    store = open_store(tmp_path / "out.zarr")
    assert {store.geometry(case.name).unit for case in store.index().cases} == {"px"}


@pytest.mark.parametrize("style", ["nnunet", "msd", "plain"])
@pytest.mark.parametrize("modalities", [("t1",), ("t1", "flair")])
def test_nnunet_and_the_decathlon(tmp_path: Path, style: str, modalities: tuple[str, ...]) -> None:
    phantoms.write_nnunet(tmp_path / "src", 2, style=style, modalities=modalities)
    channels = modalities if style == "plain" else None
    report = run(tmp_path / "src", tmp_path / "out.zarr", channels=channels)
    assert report.layout == "nnunet" and not report.skipped
    index = open_store(tmp_path / "out.zarr").index()
    assert index.modalities == tuple(name.upper() for name in modalities)
    # All that is labelled is the default target.
    assert [set(values) for values in index.regions.values()] == [{1, 2}]
    assert all(entry.foreground.any() for entry in index.cases)


def test_assumptions_about_channels_are_reported(tmp_path: Path) -> None:
    phantoms.write_nnunet(tmp_path / "src", 1, style="plain")
    events: list[Event] = []
    run(tmp_path / "src", tmp_path / "out.zarr", events.append)
    assert any("nothing names the channels" in e.text for e in events if isinstance(e, Notice))


def test_events_report_progress(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 2)
    events: list[Event] = []
    run(tmp_path / "src", tmp_path / "out.zarr", events.append)
    assert [e for e in events if isinstance(e, Began)] == [Began("preprocess", 2, "case")]
    assert [e.done for e in events if isinstance(e, Advanced)] == [1, 2]
    assert [e for e in events if isinstance(e, Wrote)] == [
        Wrote(tmp_path / "out.zarr", "store"),
        Wrote(tmp_path / "out.zarr" / "report.html", "report"),
    ]


def test_an_unlabelled_case_and_one_that_lacks_a_modality_are_in(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src" / "a", 1, labelled=False)
    phantoms.write_brats(tmp_path / "src" / "b", 1, seed=1, modalities=("t1", "flair"))
    report = run(tmp_path / "src", tmp_path / "out.zarr")
    assert sorted((case.labelled, case.modalities) for case in report.cases) == [
        (False, ("T1", "T1CE", "T2", "FLAIR")),
        (True, ("T1", "FLAIR")),
    ]


def test_a_healthy_case_is_in_with_a_notice(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 1, tumour=False)
    report = run(tmp_path / "src", tmp_path / "out.zarr")
    assert report.cases[0].notices == ("the segmentation is empty",)


def corrupt(folder: Path, how: str) -> None:
    """Make one file of a BraTS case, written as .nii.gz, bad in one of the ways that occur."""
    flair = next(folder.glob("*flair.nii.gz"))
    seg = next(folder.glob("*seg.nii.gz"))
    shape = phantoms.SMALL
    if how == "truncated":
        whole = flair.read_bytes()
        flair.write_bytes(whole[: len(whole) // 2])
    elif how == "cut checksum":
        flair.write_bytes(flair.read_bytes()[:-4])
    elif how == "web page":
        flair.write_bytes(b"<!DOCTYPE html><html><body>404</body></html>")
    elif how == "empty file":
        flair.write_bytes(b"")
    elif how == "NaN":
        phantoms.write_nifti(flair, np.full(shape, np.nan, dtype=np.float32))
    elif how == "shapes":
        phantoms.write_nifti(flair, np.ones((3, 4, 5), dtype=np.int16))
    elif how == "empty brain":
        for path in folder.glob("*.nii.gz"):
            phantoms.write_nifti(path, np.zeros(shape, dtype=np.int16))
    elif how == "constant":
        phantoms.write_nifti(flair, np.full(shape, 7, dtype=np.int16))
    elif how == "all ones":
        phantoms.write_nifti(seg, np.ones(shape, dtype=np.uint8))
    elif how == "no labels":
        phantoms.write_nifti(seg, np.full(shape, 0.5, dtype=np.float32))
    else:
        raise AssertionError(how)


BAD = {
    "truncated": "truncated",
    "cut checksum": "truncated",
    "web page": "a web page",
    "empty file": "not a NIfTI file (it is empty)",
    "NaN": "NaN",
    "shapes": "shape",
    "empty brain": "brain is empty",
    "constant": "constant",
    "all ones": "covers the whole volume",
    "no labels": "labels are whole numbers",
}


def test_bad_cases_are_reported_and_harm_no_other(tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "src", len(BAD) + 2)
    for folder, how in zip(folders, BAD, strict=False):
        corrupt(folder, how)
    events: list[Event] = []
    out = tmp_path / "out.zarr"
    report = run(tmp_path / "src", out, events.append)

    reasons = {case.case: case.reason for case in report.skipped}
    assert list(reasons) == [folder.name for folder in folders[: len(BAD)]]
    for (how, said), reason in zip(BAD.items(), reasons.values(), strict=True):
        assert said in reason, (how, reason)
        assert "\n" not in reason
    assert {e.case: e.reason for e in events if isinstance(e, Skipped)} == reasons
    assert [e.done for e in events if isinstance(e, Advanced)][-1] == len(folders)

    store = open_store(out)
    assert list(store.cases()) == [folder.name for folder in folders[-2:]]
    assert all(store.read_case(name).image.any() for name in store.cases())
    written = json.loads((out / "report.json").read_text())
    del written["digest"]
    assert {c["case"]: c["reason"] for c in written["cases"] if c["status"] == "skipped"} == reasons
    assert written == json.loads(json.dumps(report.to_json()))
    assert report.file == out / "report.json"


def test_strict_stops_at_the_first_bad_case(tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "src", 3)
    corrupt(folders[1], "web page")
    with pytest.raises(CaseError, match=rf"{folders[1].name}.*web page"):
        run(tmp_path / "src", tmp_path / "out.zarr", strict=True)
    assert list(open_store(tmp_path / "out.zarr").cases()) == [folders[0].name]


def test_when_no_case_can_be_used_that_is_an_error(tmp_path: Path) -> None:
    (folder,) = phantoms.write_brats(tmp_path / "src", 1)
    corrupt(folder, "NaN")
    with pytest.raises(InputError, match=rf"none of the cases .*1 case\).*{folder.name}"):
        run(tmp_path / "src", tmp_path / "out.zarr")
    with pytest.raises(InputError, match="there is no folder"):
        run(tmp_path / "nowhere", tmp_path / "x.zarr")
    assert not (tmp_path / "x.zarr").exists()


def test_a_case_repaired_later_is_added(tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "src", 2)
    good = next(folders[0].glob("*flair.nii.gz")).read_bytes()
    corrupt(folders[0], "truncated")
    assert status(run(tmp_path / "src", tmp_path / "out.zarr"))[folders[0].name] == "skipped"
    next(folders[0].glob("*flair.nii.gz")).write_bytes(good)
    assert status(run(tmp_path / "src", tmp_path / "out.zarr")) == {
        folders[0].name: "written",
        folders[1].name: "kept",
    }


def test_existing_cases_are_kept_and_changed_ones_are_redone(tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "src", 4, gz=False)
    out = tmp_path / "out.zarr"
    first = run(tmp_path / "src", out)
    before = content(out)
    assert set(status(first).values()) == {"written"}
    again = run(tmp_path / "src", out)
    assert set(status(again).values()) == {"kept"}
    assert content(out) == before
    # All but the status is reported for a kept case, too.
    assert [c.modalities for c in again.cases] == [c.modalities for c in first.cases]
    assert [c.shape for c in again.cases] == [c.shape for c in first.cases]

    # Copied: another time, the same bytes. Changed: the same size, other bytes.
    copied = next(folders[0].glob("*flair.nii"))
    os.utime(copied, (1, 1))
    changed = next(folders[1].glob("*flair.nii"))
    content_of = bytearray(changed.read_bytes())
    content_of[-40_000:-39_000] = bytes(1000)
    changed.write_bytes(content_of)
    next(folders[2].glob("*t2.nii")).unlink()
    shutil.rmtree(folders[3])
    assert list(status(run(tmp_path / "src", out)).values()) == ["kept", "written", "written"]
    assert open_store(out).cases()[folders[2].name].modalities == ("T1", "T1CE", "FLAIR")
    # What went away from the source stays in the store.
    assert folders[3].name in open_store(out).cases()


def test_channels_named_otherwise_are_read_again(tmp_path: Path) -> None:
    phantoms.write_nnunet(tmp_path / "src", 1, style="plain")
    out = tmp_path / "out.zarr"
    run(tmp_path / "src", out)
    assert open_store(out).index().modalities == ("image",)
    assert status(run(tmp_path / "src", out, channels=["T2"])) == {"phantom_001": "written"}
    assert open_store(out).index().modalities == ("T2",)


def test_a_store_of_other_regions_is_refused(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 1)
    run(tmp_path / "src", tmp_path / "out.zarr")
    with pytest.raises(OutputError, match="made for other regions"):
        run(tmp_path / "src", tmp_path / "out.zarr", regions="ET")


def test_layouts_may_share_a_store(tmp_path: Path) -> None:
    """Each case keeps its own modalities; what both segment is one region."""
    phantoms.write_brats(tmp_path / "brats", 2)
    phantoms.write_lgg(tmp_path / "kaggle_3m", 2)
    out = tmp_path / "out.zarr"
    run(tmp_path / "brats", out)
    with pytest.raises(OutputError, match=r"--regions"):
        run(tmp_path / "kaggle_3m", out)
    run(tmp_path / "kaggle_3m", out, regions="WT=1+2+3+4")
    index = open_store(out).index()
    assert len(index.cases) == 4 and index.modalities == ("T1", "T1CE", "T2", "FLAIR")
    assert {len(case.modalities) for case in index.cases} == {3, 4}
    assert all(case.foreground.sum() > 0 for case in index.cases)


def test_two_processes_give_the_same_store_as_one(tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "src", 5)
    corrupt(folders[2], "NaN")
    one = run(tmp_path / "src", tmp_path / "one.zarr", workers=1)
    two = run(tmp_path / "src", tmp_path / "two.zarr", workers=2)
    assert one.cases == two.cases
    assert content(tmp_path / "one.zarr") == content(tmp_path / "two.zarr")


SCRIPT = """
import sys
from pathlib import Path
from mriseg.events import finish
from mriseg.recipes.preprocess import preprocess
if __name__ == "__main__":
    finish(preprocess(Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3])))
"""


def finished(out: Path) -> list[str]:
    try:
        return list(open_store(out).cases())
    except StoreError:
        return []


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_killed_and_started_again_it_ends_as_if_never_stopped(tmp_path: Path, workers: int) -> None:
    source, out, script = tmp_path / "src", tmp_path / "out.zarr", tmp_path / "main.py"
    phantoms.write_brats(source, 8, shape=(48, 96, 80), seed=3)
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, script, source, out, str(workers)])
    deadline = time.monotonic() + 60
    while len(finished(out)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # Nobody is left behind to write what nobody waits for.
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive

    before = finished(out)
    assert 0 < len(before) < 8, "it was to be killed in the middle"
    stamps = {
        path: path.stat().st_mtime_ns
        for name in before
        for path in (out / "cases" / name).rglob("*")
        if path.is_file()
    }
    store = open_store(out)
    # Every case that appears is whole.
    assert all(store.read_case(name).labels is not None for name in before)

    report = run(source, out)
    kept = [name for name, what in status(report).items() if what == "kept"]
    assert kept == sorted(before)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    run(source, tmp_path / "whole.zarr")
    after = {k: v for k, v in content(out).items() if not k.endswith(".partial")}
    assert after == content(tmp_path / "whole.zarr")


def test_torch_is_not_needed() -> None:
    # It takes seconds to import and 200 MB per process, of which preprocessing starts many.
    script = "import sys, mriseg.recipes.preprocess; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_scan_under_two_names_is_one_patient(tmp_path: Path) -> None:
    (folder, other) = phantoms.write_brats(tmp_path / "src", 2)
    copy = folder.with_name("BraTS19_X_1")
    shutil.copytree(folder, copy)
    for path in copy.iterdir():
        path.rename(path.with_name(path.name.replace(folder.name, copy.name)))
    run(tmp_path / "src", tmp_path / "out.zarr")
    setup = plan_training(open_store(tmp_path / "out.zarr"), TrainConfig(width=8))
    sides = [set(setup.split.train), set(setup.split.validation)]
    assert {folder.name, copy.name} in sides and {other.name} in sides


# Real scans


@pytest.mark.realdata
def test_the_real_brats_cases(brats_dir: Path, tmp_path: Path) -> None:
    report = run(brats_dir, tmp_path / "out.zarr", regions="WT,TC,ET", workers=2)
    assert report.layout == "brats" and len(report.cases) == 5 and not report.skipped
    notices = {case.case: " ".join(case.notices) for case in report.cases}
    assert "affine" in notices["Brats17_TCIA_105_1"]
    store = open_store(tmp_path / "out.zarr")
    for entry in store.index().cases:
        assert entry.modalities == ("T1", "T1CE", "T2", "FLAIR")
        whole, core, enhancing = entry.foreground.sum(axis=0)
        assert whole >= core >= enhancing > 0
        case = store.read_case(entry.name)
        inside = case.image[:, (case.image != 0).any(axis=0)].astype(np.float64)
        assert np.abs(inside.mean(axis=1)).max() < 0.02
        assert np.abs(inside.std(axis=1) - 1).max() < 0.02


@pytest.mark.realdata
def test_a_real_case_without_labels(brats_unlabelled_dir: Path, tmp_path: Path) -> None:
    (case,) = run(brats_unlabelled_dir, tmp_path / "out.zarr").cases
    assert case.status == "written" and not case.labelled


@pytest.mark.realdata
def test_a_real_case_of_two_modalities(brats_two_modalities_dir: Path, tmp_path: Path) -> None:
    (case,) = run(brats_two_modalities_dir, tmp_path / "out.zarr", regions="WT,ET").cases
    assert case.status == "written" and set(case.modalities) == {"FLAIR", "T1CE"}
    store = open_store(tmp_path / "out.zarr")
    assert store.index().cases[0].foreground.sum(axis=0).min() > 0
    # Its background is a constant that is not 0, and is cropped away all the same.
    assert np.prod(case.shape) < 0.5 * 240 * 240 * 155


@pytest.mark.realdata
def test_real_labels_that_were_scaled(oddities_dir: Path, tmp_path: Path) -> None:
    report = run(oddities_dir / "scaled-labels", tmp_path / "out.zarr", regions="WT,ET")
    assert report.cases and not report.skipped
    store = open_store(tmp_path / "out.zarr")
    values: set[int] = set()
    for name in store.cases():
        case = store.read_case(name)
        assert case.geometry.ndim == 2 and case.labels is not None
        values |= set(np.unique(case.labels).tolist())
    assert 4 in values and values <= {0, 1, 2, 4}


@pytest.mark.realdata
def test_a_real_web_page_named_nifti(oddities_dir: Path, tmp_path: Path) -> None:
    (page,) = (oddities_dir / "html-as-nifti").rglob("*.nii.gz")
    folder, other = phantoms.write_brats(tmp_path / "src", 2)
    shutil.copy(page, next(folder.glob("*flair.nii.gz")))
    report = run(tmp_path / "src", tmp_path / "out.zarr")
    assert status(report) == {folder.name: "skipped", other.name: "written"}
    assert "web page" in report.skipped[0].reason


@pytest.mark.realdata
def test_real_lgg_patients(lgg_dir: Path, tmp_path: Path) -> None:
    source = tmp_path / "kaggle_3m"
    source.mkdir()
    _, listing = find(lgg_dir)
    lacking = []
    for case in listing.cases:
        loaded = case.load()
        if len(loaded.images) < 3:
            lacking.append(case)
        if len(lacking) == 2:
            break
    for case in {c.name: c for c in (*lacking, *listing.cases[:2])}.values():
        shutil.copytree(case.files[0].parent, source / case.files[0].parent.name)
    report = run(source, tmp_path / "out.zarr")
    assert not report.skipped
    by_name = {case.case: case for case in report.cases}
    assert all(len(by_name[case.name].modalities) < 3 for case in lacking)
    assert all("copy of FLAIR" in " ".join(by_name[c.name].notices) for c in lacking)


def linked(source: Path, target: Path, names: list[str]) -> None:
    target.mkdir(parents=True)
    for name in names:
        shutil.copy(source / name, target / name)


@pytest.mark.realdata
def test_real_hippocampi(hippocampus_dir: Path, tmp_path: Path) -> None:
    names = sorted(p.name for p in (hippocampus_dir / "images").iterdir())[::40]
    for part in ("images", "labels"):
        linked(hippocampus_dir / part, tmp_path / "src" / part, names)
    report = run(tmp_path / "src", tmp_path / "out.zarr", channels=["T1"], regions="label1,label2")
    assert len(report.cases) == len(names) and not report.skipped
    store = open_store(tmp_path / "out.zarr")
    for entry in store.index().cases:
        assert entry.foreground.sum(axis=0).min() > 0
        # A crop within the head has no air, so none of it is taken for background.
        assert entry.shape == store.geometry(entry.name).canonical_shape


@pytest.mark.realdata
def test_real_ms_lesions(ms_dir: Path, tmp_path: Path) -> None:
    report = run(ms_dir, tmp_path / "out.zarr", workers=2)
    assert len(report.cases) == 2 and not report.skipped
    assert report.regions == {"lesion": (1,)}
    for case in report.cases:
        assert set(case.modalities) == {"T1", "T1CE", "T2", "FLAIR"}
    store = open_store(tmp_path / "out.zarr")
    assert all(entry.foreground.any() for entry in store.index().cases)


def test_what_a_gzip_claims_is_not_believed(tmp_path: Path) -> None:
    (folder,) = phantoms.write_brats(tmp_path / "src", 1)
    flair = next(folder.glob("*flair.nii.gz"))
    header = bytearray(gzip.decompress(flair.read_bytes())[:352])
    header[42:48] = np.array([30000, 30000, 30000], dtype="<i2").tobytes()
    flair.write_bytes(gzip.compress(bytes(header), mtime=0))
    with pytest.raises(InputError, match="claims 30000 x 30000 x 30000"):
        run(tmp_path / "src", tmp_path / "out.zarr")


def test_an_open_store_sees_what_is_added(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 1)
    run(tmp_path / "src", tmp_path / "out.zarr")
    store: Store = open_store(tmp_path / "out.zarr")
    assert len(store.cases()) == 1
    phantoms.write_brats(tmp_path / "src", 2)
    run(tmp_path / "src", tmp_path / "out.zarr")
    assert len(store.cases()) == 2


def test_a_scan_under_two_names_is_reported_and_stays_on_one_side(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src", 4)
    images, labels = phantoms.head(np.random.default_rng([0, 0]))
    louder = {name: image * 2 + 5 * (image > 0) for name, image in images.items()}
    phantoms.write_brats_case(tmp_path / "src" / "Copy", louder, labels)
    run(tmp_path / "src", tmp_path / "out.zarr")
    store = open_store(tmp_path / "out.zarr")
    twins = {"BraTS20_Training_001", "Copy"}
    for seed in range(5):
        setup = plan_training(store, TrainConfig(seed=seed))
        assert len(twins & set(setup.split.validation)) in (0, 2)
        [notice] = [text for text in setup.notices if "same scan" in text]
        assert notice.startswith("BraTS20_Training_001 and Copy look like the same scan")


def test_nothing_is_left_of_a_new_store_that_no_case_could_be_written_into(tmp_path: Path) -> None:
    folders = phantoms.write_brats(tmp_path / "src", 2)
    for folder in folders:
        corrupt(folder, "web page")
    out = tmp_path / "deep/x.zarr"
    events: list[Event] = []
    for strict in (False, True):
        with pytest.raises(InputError):
            finish(preprocess(tmp_path / "src", out, workers=1, strict=strict), events.append)
        assert not out.exists()
    assert not [event for event in events if isinstance(event, Wrote)]
    # A store that held a case before keeps it.
    phantoms.write_brats(tmp_path / "good", 1)
    finish(preprocess(tmp_path / "good", out, workers=1))
    with pytest.raises(InputError):
        finish(preprocess(tmp_path / "src", out, workers=1))
    assert len(open_store(out).cases()) == 1


def test_scans_without_segmentations_are_said_to_be_so(tmp_path: Path) -> None:
    for folder in phantoms.write_brats(tmp_path / "src", 1):
        next(folder.glob("*_seg*")).rename(tmp_path / "seg.nii.gz")
        next(folder.glob("*_t1.*")).rename(tmp_path / "flat.nii.gz")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat.nii.gz").rename(tmp_path / "flat/one.nii.gz")
    for source in ("src", "flat"):
        events: list[Event] = []
        finish(preprocess(tmp_path / source, tmp_path / f"{source}.zarr", workers=1), events.append)
        said = [event.text for event in events if isinstance(event, Notice)]
        assert said[0].startswith("1 case in layout ") and said[0].endswith("; no case is labelled")
        assert all(len(text) < 300 for text in said)
