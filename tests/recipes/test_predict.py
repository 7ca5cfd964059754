"""Predicted masks lie on each scan's own grid, and are what the network's output says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, special

from mriseg.backends import Backend
from mriseg.core.calibration import Calibration
from mriseg.core.config import TrainConfig
from mriseg.core.padding import padded_size
from mriseg.core.prepare import prepare
from mriseg.core.regions import label_map
from mriseg.core.task import Task
from mriseg.engine.inference import fitted, probabilities
from mriseg.engine.segmenter import refined
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Event, Notice, Skipped, Wrote, finish
from mriseg.io import readers
from mriseg.io.runs import Checkpoint, Run, create_run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.load import load_model
from mriseg.recipes.predict import PredictOptions, PredictReport, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from mriseg.testing import phantoms

PLAIN = PredictOptions(overlays=False)

# What is written beside the masks.
BESIDE = {
    "report.json",
    "labels-itksnap.txt",
    "labels-slicer.ctbl",
    "report.html",
    "volumes.csv",
    "volumes.json",
}


def run_prediction(
    source: Path,
    out: Path,
    run: Run,
    cpu: Backend,
    options: PredictOptions = PLAIN,
    on_event: Callable[[Event], None] | None = None,
    **rest: Any,
) -> PredictReport:
    return finish(predict(source, out, run, cpu, options, **rest), on_event)


def canonical(path: Path) -> np.ndarray[Any, Any]:
    """A file's voxels [x, y, z] to the left, the back and the top, by nibabel alone."""
    image = nib.load(path)
    turn = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(image.affine), nib.orientations.axcodes2ornt("LPS")
    )
    return np.asarray(image.as_reoriented(turn).dataobj)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SLA", "PIR", "IPL"])
def test_a_mask_lies_on_the_scans_own_grid(
    trained: Run, cpu: Backend, tmp_path: Path, orientation: str
) -> None:
    where = {"orientation": orientation, "origin": (11, -7, 3), "spacing": (2, 1.5, 0.9)}
    (folder,) = phantoms.write_brats(tmp_path / "src", 1, seed=77, **where)
    report = run_prediction(folder, tmp_path / "out", trained, cpu)
    (result,) = report.results
    scan, mask = nib.load(next(folder.glob("*flair*"))), nib.load(result.mask)
    assert mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)
    assert mask.get_data_dtype() == np.uint8
    assert nib.aff2axcodes(mask.affine) == tuple(orientation)

    # The tumour is segmented where it is, the same voxels whatever the axes.
    marked = canonical(result.mask)
    truth = canonical(next(folder.glob("*seg*")))
    both = ((marked > 0) & (truth > 0)).sum()
    assert 2 * both / ((marked > 0).sum() + (truth > 0).sum()) > 0.5
    plain = phantoms.write_brats(tmp_path / "plain", 1, seed=77, **{**where, "orientation": "LPS"})
    reference = run_prediction(plain[0], tmp_path / "reference", trained, cpu)
    assert np.array_equal(canonical(reference.results[0].mask), marked)


@pytest.mark.parametrize(("adapt", "refine"), [(True, True), (False, True), (True, False)])
def test_the_mask_is_what_the_networks_output_says(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path, adapt: bool, refine: bool
) -> None:
    settings = {"flips": True, "adapt": adapt, "refine": refine, "threshold": 0.4}
    options = replace(PLAIN, probabilities=True, **settings)
    report = run_prediction(brats_source, tmp_path, trained, cpu, options)
    manifest = trained.manifest
    model = load_model(trained, cpu)
    assert not model.training
    task = Task(manifest.modalities, manifest.regions, manifest.frame)
    network_for = fitted(model, cpu, task, adapt=adapt)
    _, listing = readers.find(brats_source)
    assert [result.case for result in report.results] == [case.name for case in listing.cases]
    for case, result in zip(listing.cases, report.results, strict=True):
        loaded = case.load()
        # The segmentation must not shape what the network sees.
        prepared = prepare(loaded.images, None, loaded.geometry)
        output = probabilities(network_for(prepared), cpu, prepared, task, flips=(3,))
        if refine:
            by_itself = output
            output = refined(output, prepared, task, trained.calibration().platt)
            assert np.abs(output - by_itself).max() > 0.01
        labels = label_map(prepared.to_source(output > 0.4), manifest.regions)
        assert np.array_equal(np.asarray(nib.load(result.mask).dataobj), labels)
        assert set(np.unique(labels)) <= {0, 1, 2, 4}
        for region, expected in zip(manifest.regions, prepared.to_source(output), strict=True):
            path = tmp_path / f"{case.name}_prob_{region}.nii.gz"
            image = nib.load(path)
            assert image.get_data_dtype() == np.float32
            np.testing.assert_allclose(np.asarray(image.dataobj), expected, atol=1e-6)
        marked = (output > 0.4).sum(axis=(1, 2, 3)) / 1000
        assert list(result.volumes.values()) == pytest.approx(marked.tolist())
    assert len(list(tmp_path.glob("*.nii.gz"))) == 4 * (1 + len(manifest.regions))


def test_a_segmentation_beside_the_scan_changes_nothing(
    trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    images, labels = phantoms.head(rng)
    # Far from the brain, so that a crop that held it would be another.
    labels[0, :3, :3] = 1
    contents = []
    for name, truth in (("with", labels), ("without", None)):
        folder = phantoms.write_brats_case(tmp_path / name / "somebody", images, truth)
        options = replace(PLAIN, probabilities=True)
        run_prediction(folder, tmp_path / f"{name}-out", trained, cpu, options)
        files = sorted((tmp_path / f"{name}-out").glob("*.nii.gz"))
        contents.append([path.read_bytes() for path in files])
    assert len(contents[0]) == 4 and contents[0] == contents[1]


def test_a_case_larger_than_the_training_frame_gets_its_own(
    trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    (folder,) = phantoms.write_brats(tmp_path / "src", 1, shape=(6, 130, 70))
    loaded = readers.find(folder)[1].cases[0].load()
    case = prepare(loaded.images, None, loaded.geometry)
    height, width = padded_size(case.box.shape[1:], trained.manifest.frame)
    assert height % 32 == width % 32 == 0
    assert height >= case.box.shape[1] > trained.manifest.frame[0] and width >= case.box.shape[2]
    report = run_prediction(folder, tmp_path / "out", trained, cpu)
    assert nib.load(report.results[0].mask).shape == (70, 130, 6)


def test_a_single_case_may_go_to_a_single_file(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    folder = sorted(brats_source.iterdir())[0]
    out = tmp_path / "new" / "my.mask.nii"
    options = PredictOptions(probabilities=True)
    events: list[Event] = []
    report = run_prediction(folder, out, trained, cpu, options, events.append)
    assert [result.mask for result in report.results] == [out]
    assert sorted(p.name for p in out.parent.iterdir()) == [
        "my.mask.labels-itksnap.txt",
        "my.mask.labels-slicer.ctbl",
        "my.mask.nii",
        "my.mask.png",
        "my.mask.report.html",
        "my.mask.report.json",
        "my.mask.volumes.csv",
        "my.mask.volumes.json",
        *(f"my.mask_prob_{region}.nii.gz" for region in ("ET", "TC", "WT")),
    ]
    assert Wrote(out, "mask") in events
    done = [(e.done, e.item) for e in events if isinstance(e, Advanced)]
    # The case moves as its slices do.
    assert done == sorted(done) and len(done) > 3 and {item for _, item in done} == {folder.name}
    assert 0 <= done[0][0] < 1 and done[-1][0] == 1
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > 100
    with pytest.raises(InputError, match="holds 4 cases"):
        run_prediction(brats_source, tmp_path / "x.nii.gz", trained, cpu)


def test_cases_can_be_chosen(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    name = sorted(p.name for p in brats_source.iterdir())[2]
    report = run_prediction(brats_source, tmp_path, trained, cpu, cases=[name])
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.nii.gz", *BESIDE}
    assert report.results[0].case == name and report.results[0].unit == "mm"
    with pytest.raises(InputError, match=rf"holds no case nobody; it has .*{name}"):
        run_prediction(brats_source, tmp_path, trained, cpu, cases=["nobody"])


def test_from_a_store_masks_are_those_of_the_scans(
    trained: Run, cpu: Backend, brats_source: Path, brats_store: Store, tmp_path: Path
) -> None:
    direct = run_prediction(brats_source, tmp_path / "direct", trained, cpu)
    stored = run_prediction(Path(brats_store.location), tmp_path / "stored", trained, cpu)
    for one, other in zip(direct.results, stored.results, strict=True):
        a, b = nib.load(one.mask), nib.load(other.mask)
        np.testing.assert_allclose(a.affine, b.affine)
        np.testing.assert_array_equal(np.asarray(a.dataobj), np.asarray(b.dataobj))


def test_only_some_modalities_may_be_used(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    """As if the others' files were not there, which for these phantoms have the same brain."""
    folder = sorted(brats_source.iterdir())[0]
    chosen = replace(PLAIN, modalities=("T2", "FLAIR"), allow_missing=True)
    used = run_prediction(folder, tmp_path / "a", trained, cpu, chosen).results[0]
    lacking = shutil.copytree(folder, tmp_path / "src" / folder.name)
    for path in lacking.glob("*_t1*"):
        path.unlink()
    gone = run_prediction(lacking, tmp_path / "b", trained, cpu, replace(chosen, modalities=None))
    whole = run_prediction(folder, tmp_path / "c", trained, cpu).results[0]
    assert np.array_equal(canonical(used.mask), canonical(gone.results[0].mask))
    assert not np.array_equal(canonical(used.mask), canonical(whole.mask))
    with pytest.raises(ConfigError, match="reads no modality FLAIRE; .*did you mean FLAIR"):
        options = replace(chosen, modalities=("t1", "FLAIRE"))
        run_prediction(folder, tmp_path / "d", trained, cpu, options)
    with pytest.raises(ConfigError, match="no modality PD"):
        run_prediction(folder, tmp_path / "d", trained, cpu, replace(chosen, modalities=("PD",)))
    # A model that never saw a case without a modality still needs the option.
    with pytest.raises(InputError, match="--allow-missing"):
        run_prediction(folder, tmp_path / "e", trained, cpu, replace(chosen, allow_missing=False))


def test_a_calibration_shapes_probabilities_and_masks(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    """The line is in the probabilities, and the threshold is the run's unless one is given."""
    run = open_run(shutil.copytree(trained.path, tmp_path / "run"))
    best = run.load("best")
    regions = list(run.manifest.regions)
    calibration = Calibration(2.0, -1.0, 0.2)
    state = {**best.state, "calibration": dict.fromkeys(run.manifest.regions, calibration)}
    run.save("best", replace(best, state=state))
    folder = sorted(brats_source.iterdir())[0]
    # Refined, a voxel that rounding puts on the other side of "sure" moves others a little.
    plain = replace(PLAIN, refine=False)
    written = replace(plain, probabilities=True)
    before = run_prediction(folder, tmp_path / "a", trained, cpu, written).results[0]
    after = run_prediction(folder, tmp_path / "b", run, cpu, written).results[0]
    half = run_prediction(folder, tmp_path / "c", run, cpu, replace(plain, threshold=0.5))

    was, became = (
        np.stack(
            [nib.load(r.mask.with_name(f"{r.case}_prob_{name}.nii.gz")).dataobj for name in regions]
        )
        for r in (before, after)
    )
    # A run of few patients has a shift of its own, which the new line takes the place of.
    shift = np.array(trained.calibration().platt)[:, 1, None, None, None]
    assert {scale for scale, _ in trained.calibration().platt} == {1.0} and (shift < 0).all()
    inside = (was > 1e-4) & (was < 1 - 1e-4)
    logits = special.logit(was.astype(float).clip(1e-6, 1 - 1e-6)) - shift
    expected = special.expit(2.0 * logits - 1.0)
    np.testing.assert_allclose(became[inside], expected[inside], atol=0.02)
    assert set(run.calibration().thresholds) == {0.2}
    assert set(trained.calibration().thresholds) == {0.5}
    mask = np.asarray(nib.load(after.mask).dataobj)
    np.testing.assert_array_equal(mask > 0, (became > np.float32(0.2)).any(axis=0))
    assert all(half.results[0].volumes[name] < after.volumes[name] for name in regions)


def test_small_components_are_removed(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    folder = sorted(brats_source.iterdir())[0]
    # A low threshold leaves many small components.
    loose = replace(PLAIN, threshold=0.05)
    plain = run_prediction(folder, tmp_path / "a", trained, cpu, loose).results[0]
    clean = run_prediction(
        folder, tmp_path / "b", trained, cpu, replace(loose, min_volume=0.05)
    ).results[0]
    assert clean.volumes["WT"] <= plain.volumes["WT"]
    for label in (canonical(clean.mask) > 0,):
        # Voxels that touch by a corner are one component.
        pieces, count = ndimage.label(label, np.ones((3, 3, 3)))
        assert count and np.bincount(pieces.ravel())[1:].min() >= 50
    nothing = replace(PLAIN, min_volume=1e6)
    empty = run_prediction(folder, tmp_path / "c", trained, cpu, nothing).results[0]
    assert not canonical(empty.mask).any() and set(empty.volumes.values()) == {0.0}


def test_a_case_that_lacks_a_modality(trained: Run, cpu: Backend, tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "src" / "a", 1, seed=5)
    phantoms.write_brats(tmp_path / "src" / "b", 1, seed=6, modalities=("t1", "flair"))
    phantoms.write_brats(tmp_path / "src" / "c", 1, seed=7, modalities=("t1ce",))
    assert not trained.manifest.incomplete
    events: list[Event] = []
    report = run_prediction(tmp_path / "src", tmp_path / "out", trained, cpu, PLAIN, events.append)
    reasons = dict(report.skipped)
    assert len(report.results) == 1 and len(reasons) == 2
    assert "lacks T2" in reasons["b__BraTS20_Training_001"]
    assert "--allow-missing" in reasons["b__BraTS20_Training_001"]
    assert "none fits" in reasons["c__BraTS20_Training_001"]
    assert {(e.case, e.reason) for e in events if isinstance(e, Skipped)} == set(report.skipped)
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "a__BraTS20_Training_001.nii.gz",
        *BESIDE,
    }

    events.clear()
    allowed = replace(PLAIN, allow_missing=True)
    report = run_prediction(
        tmp_path / "src", tmp_path / "out", trained, cpu, allowed, events.append
    )
    assert len(report.results) == 2
    assert any("lacks T2: the channel reads 0" in e.text for e in events if isinstance(e, Notice))


def test_a_model_that_saw_incomplete_cases_takes_them(
    trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "src", 1, modalities=("t1", "flair"))
    tolerant = Run(trained.path, replace(trained.manifest, incomplete=True))
    assert len(run_prediction(tmp_path / "src", tmp_path / "out", tolerant, cpu).results) == 1


def test_a_bad_case_is_reported_and_harms_no_other(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    shutil.copytree(brats_source, tmp_path / "src")
    folders = sorted((tmp_path / "src").iterdir())
    next(folders[1].glob("*flair*")).write_bytes(b"<html>")
    events: list[Event] = []
    report = run_prediction(tmp_path / "src", tmp_path / "out", trained, cpu, PLAIN, events.append)
    assert [name for name, _ in report.skipped] == [folders[1].name]
    assert len(report.results) == 3
    assert not (tmp_path / "out" / f"{folders[1].name}.nii.gz").exists()
    with pytest.raises(InputError, match=rf"none of the cases .*1 case\).*{folders[1].name}"):
        run_prediction(folders[1], tmp_path / "none", trained, cpu)


def test_an_output_that_is_not_a_number_is_no_empty_mask(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    weights = {name: tensor.clone() for name, tensor in trained.load("best").weights.items()}
    weights["head.bias"][:] = torch.nan
    broken = create_run(tmp_path / "run", trained.manifest)
    broken.save("best", Checkpoint(weights, {}, {}))
    with pytest.raises(InputError, match="not a number"):
        run_prediction(brats_source, tmp_path / "out", broken, cpu)
    assert not (tmp_path / "out").exists()


def test_names_in_a_store_lead_nowhere(
    trained: Run, cpu: Backend, brats_store: Store, tmp_path: Path
) -> None:
    store = open_store(shutil.copytree(brats_store.location, tmp_path / "in" / "s.zarr"))
    case = store.read_case(trained.manifest.validation[0])
    for number, name in enumerate(("../../up", "/etc/x", "..", "a/b")):
        store.append(name, case, patient=str(number), content="")
    out = tmp_path / "deep" / "out"
    report = run_prediction(tmp_path / "in" / "s.zarr", out, trained, cpu)
    assert len(report.results) == 8
    assert all(result.mask.parent == out for result in report.results)
    assert len(list(out.glob("*.nii.gz"))) == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "in"]


def test_names_that_are_one_in_a_file_get_a_file_each(
    trained: Run, cpu: Backend, brats_store: Store, tmp_path: Path
) -> None:
    store = open_store(shutil.copytree(brats_store.location, tmp_path / "s.zarr"))
    case = store.read_case(trained.manifest.validation[0])
    names = ("a/b", "a_b", "a:b", "A_B", "x" * 255, "x" * 254 + "/", "é" * 120, "a_b_prob_WT")
    for name in names:
        store.append(name, case, patient=name, content="")
    out = tmp_path / "out"
    options = PredictOptions(probabilities=True, overlays=False)
    report = run_prediction(tmp_path / "s.zarr", out, trained, cpu, options, cases=names)
    assert len(report.results) == len(names)
    files = [path.name for path in out.glob("*.nii.gz")]
    assert len({name.casefold() for name in files}) == len(files) == 4 * len(names)
    # What a name's file is called does not hang on which other names there are.
    alone = run_prediction(tmp_path / "s.zarr", out, trained, cpu, cases=["a/b"]).results[0].mask
    assert alone in [result.mask for result in report.results]


def test_a_single_slice_gives_a_single_slice(
    trained: Run, cpu: Backend, tmp_path: Path, rng: np.random.Generator
) -> None:
    images, _ = phantoms.head(rng)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    for name, image in images.items():
        folder = tmp_path / "src" / "flat"
        folder.mkdir(parents=True, exist_ok=True)
        plane = np.rint(image[12].T).astype(np.int16)
        nib.save(nib.Nifti1Image(plane, affine), folder / f"flat_{name}.nii.gz")
    (result,) = run_prediction(tmp_path / "src", tmp_path / "out", trained, cpu).results
    mask = nib.load(result.mask)
    assert mask.shape == (40, 48)
    np.testing.assert_allclose(mask.affine, affine)
    assert np.asarray(mask.dataobj).any()


def test_lgg_patients_get_masks_by_slice(tiny: TrainConfig, cpu: Backend, tmp_path: Path) -> None:
    phantoms.write_lgg(tmp_path / "kaggle_3m", 3, missing={1: ["t1"]})
    finish(preprocess(tmp_path / "kaggle_3m", tmp_path / "out.zarr", workers=1))
    config = TrainConfig.model_validate({**tiny.model_dump(), "epochs": 1})
    finish(train(open_store(tmp_path / "out.zarr"), config, cpu, out=tmp_path / "run"))
    run = open_run(tmp_path / "run")
    assert run.manifest.unit == "px"
    options = PredictOptions(allow_missing=True)
    report = run_prediction(tmp_path / "kaggle_3m", tmp_path / "masks", run, cpu, options)
    assert len(report.results) == 3
    for result in report.results:
        mask = nib.load(result.mask)
        # Slices, rows and columns as the TIFFs have them.
        assert mask.shape == (12, 64, 64) and result.unit == "px"
        assert result.volumes["WT"] == np.asarray(mask.dataobj).sum()
        assert result.mask.with_name(f"{result.case}.png").exists()


def test_assumptions_about_channels_are_reported(
    tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_nnunet(tmp_path / "src", 2, style="plain")
    finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1))
    config = TrainConfig.model_validate({**tiny.model_dump(), "epochs": 1, "slices_per_epoch": 4})
    finish(train(open_store(tmp_path / "out.zarr"), config, cpu, out=tmp_path / "run"))
    run = open_run(tmp_path / "run")
    events: list[Event] = []
    run_prediction(tmp_path / "src", tmp_path / "a", run, cpu, PLAIN, events.append)
    assert any("nothing names the channels" in e.text for e in events if isinstance(e, Notice))
    with pytest.raises(InputError, match="none fits"):
        run_prediction(tmp_path / "src", tmp_path / "b", run, cpu, channels=["T1"])


def test_a_folder_that_cannot_be_written_is_reported(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        run_prediction(brats_source, tmp_path / "file", trained, cpu)


# Real scans


@pytest.mark.realdata
@pytest.mark.parametrize(
    "name",
    [pytest.param("Brats17_TCIA_105_1", marks=pytest.mark.slow), "BraTS-GLI-00000-000"],
)
def test_a_mask_of_a_real_case_lies_on_its_grid(
    trained: Run, cpu: Backend, brats_dir: Path, tmp_path: Path, name: str
) -> None:
    (folder,) = (p for p in brats_dir.rglob(name) if p.is_dir())
    report = run_prediction(folder, tmp_path, trained, cpu)
    mask = nib.load(report.results[0].mask)
    scan = nib.load(next(p for p in sorted(folder.rglob("*.nii*")) if "seg" not in p.name))
    assert mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-4)


@pytest.mark.realdata
def test_masks_of_real_slices_and_lesions_lie_on_their_grids(
    trained: Run, cpu: Backend, oddities_dir: Path, ms_dir: Path, tmp_path: Path
) -> None:
    report = run_prediction(oddities_dir / "scaled-labels", tmp_path / "a", trained, cpu)
    assert report.results
    sources = readers.find(oddities_dir / "scaled-labels")[1].cases
    (lesions, *_) = readers.find(ms_dir)[1].cases
    folder = lesions.files[0].parent
    more = run_prediction(folder, tmp_path / "b", trained, cpu)
    for result, case in zip((*report.results, *more.results), (*sources, lesions), strict=True):
        mask, scan = nib.load(result.mask), nib.load(case.files[0])
        assert mask.shape == tuple(n for n in scan.shape if n > 1 or len(mask.shape) > 2)
        np.testing.assert_allclose(mask.affine[:3, 3], scan.affine[:3, 3], atol=1e-3)
        np.testing.assert_allclose(mask.affine[:, :2], scan.affine[:, :2], atol=1e-4)


# Pixels of another size


def dice(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


@pytest.mark.parametrize("orientation", ["RAS", "SAL"])
def test_finer_pixels_change_little_and_the_mask_stays_on_them(
    trained: Run, cpu: Backend, brats_source: Path, tmp_path: Path, orientation: str
) -> None:
    assert trained.manifest.spacing == pytest.approx((1, 1))
    folder = sorted(brats_source.iterdir())[0]
    expected = canonical(run_prediction(folder, tmp_path / "a", trained, cpu).results[0].mask)
    images, _ = phantoms.head(np.random.default_rng([0, 0]))
    fine = {name: image.repeat(2, 1).repeat(2, 2) for name, image in images.items()}
    spacing = (1.0, 0.5, 0.5)
    turned = {"spacing": spacing, "orientation": orientation}
    phantoms.write_brats_case(tmp_path / "fine" / "case", fine, None, **turned)
    notices: list[Event] = []
    report = run_prediction(
        tmp_path / "fine", tmp_path / "b", trained, cpu, on_event=notices.append
    )
    result = report.results[0]
    scan = nib.load(next((tmp_path / "fine" / "case").iterdir()))
    mask = nib.load(result.mask)
    assert mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine)
    # In voxels of 0.25 cubic millimetres.
    assert result.volumes["WT"] == pytest.approx(np.count_nonzero(np.asarray(mask.dataobj)) / 4000)
    mask_of_fine = canonical(result.mask) > 0
    assert dice(mask_of_fine, (expected > 0).repeat(2, 0).repeat(2, 1)) > 0.93
    text = (
        "case: its voxels are 0.5 x 0.5 mm in plane and the model was trained at 1 x 1 mm: "
        "resampled for the network"
    )
    assert text in [event.text for event in notices if isinstance(event, Notice)]


def test_pixels_within_a_fifth_are_left_as_they_are(
    trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    images, _ = phantoms.head(np.random.default_rng([0, 0]))
    contents, notices = [], []
    for name, side in (("one", 1.0), ("near", 1.19), ("far", 1.3)):
        spacing = (1.0, side, side)
        phantoms.write_brats_case(tmp_path / name / "case", images, None, spacing=spacing)
        events: list[Event] = []
        options = replace(PLAIN, probabilities=True)
        run_prediction(
            tmp_path / name, tmp_path / f"{name}-out", trained, cpu, options, events.append
        )
        contents.append(
            [
                np.asarray(nib.load(p).dataobj)
                for p in sorted((tmp_path / f"{name}-out").glob("*.nii.gz"))
            ]
        )
        notices.append(["resampled" in e.text for e in events if isinstance(e, Notice)])
    one, near, far = contents
    assert all(map(np.array_equal, one, near)) and not all(map(np.array_equal, one, far))
    assert [any(said) for said in notices] == [False, False, True]


@pytest.mark.realdata
@pytest.mark.slow
def test_the_shipped_model_sees_coarse_and_fine_pixels_as_it_sees_its_own(
    cpu: Backend, brats_dir: Path, tmp_path: Path
) -> None:
    """Sixteen slices at 1 mm, and in plane every second voxel and each voxel twice."""
    (folder,) = (path for path in brats_dir.rglob("Brats17_CBICA_AXN_1") if path.is_dir())
    volumes = {
        name: nib.load(next(folder.glob(f"*_{name}.nii.gz")))
        for name in ("t1", "t1ce", "t2", "flair", "seg")
    }
    affine = volumes["t1"].affine
    # Turned by 10 degrees within the slice and by 5 out of it.
    oblique = np.eye(4)
    for angle, i, j in ((10, 0, 1), (5, 1, 2)):
        step, turn = np.eye(4), np.deg2rad(angle)
        step[[i, j, i, j], [i, j, j, i]] = np.cos(turn), np.cos(turn), -np.sin(turn), np.sin(turn)
        oblique = step @ oblique
    sheared = np.eye(4)
    sheared[0, 1] = 0.1
    scores = {}
    for name, side, world in (
        ("1", 1.0, np.eye(4)),
        ("2", 2.0, np.eye(4)),
        ("0.5", 0.5, np.eye(4)),
        ("2 oblique", 2.0, oblique),
        ("2 sheared", 2.0, sheared),
    ):
        grid = world @ affine @ np.diag([side, side, 1, 1])
        source = tmp_path / name / "in"
        source.mkdir(parents=True)
        for which, image in volumes.items():
            slab = np.asarray(image.dataobj)[:, :, 70:86]
            slab = slab[::2, ::2] if side == 2 else slab
            slab = slab.repeat(2, 0).repeat(2, 1) if side == 0.5 else slab
            if which == "seg":
                truth = slab > 0
            else:
                nib.save(nib.Nifti1Image(slab, grid), source / f"case_{which}.nii.gz")
        report = run_prediction(source, tmp_path / name, open_run("base"), cpu)
        mask = nib.load(report.results[0].mask)
        assert mask.shape == truth.shape
        np.testing.assert_allclose(mask.affine, grid, atol=1e-4)
        scores[name] = dice(np.asarray(mask.dataobj) > 0, truth)
    print({name: round(score, 3) for name, score in scores.items()})
    assert scores["1"] > 0.9
    assert all(score >= 0.95 * scores["1"] for score in scores.values()), scores
