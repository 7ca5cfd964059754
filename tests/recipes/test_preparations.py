"""A run's preparation is done to new scans, and masks go back to each scan of a session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.preparation import UNPREPARED, Preparation
from mriseg.errors import CaseError, ConfigError, InputError, OutputError
from mriseg.events import Event, Notice, finish
from mriseg.io import store as stores
from mriseg.io.disk.schemas import as_json
from mriseg.io.location import Location
from mriseg.io.predictions import read_predictions
from mriseg.io.runs import Run, open_run
from mriseg.io.runs.manifest import write_manifest
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.recipes.export import describe
from mriseg.recipes.predict import PredictOptions, PredictReport, predict
from mriseg.recipes.preparations import differences, preparation_for, preparation_of
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.train import train
from mriseg.testing import phantoms
from tests.sessions import grid_of, write_session
from tests.trainings import changed

QUICK = PredictOptions(overlays=False, flips=False, adapt=False, refine=False)
GRIDS = {
    "t1": grid_of((52, 60, 44), (3, 3, 3)),
    "t1ce": grid_of((52, 60, 44), (3, 3, 3)),
    "t2": grid_of((56, 64, 30), (2.8, 2.8, 4.5)),
    "flair": grid_of((78, 90, 22), (2, 2, 6)),
}
ON_T2 = Preparation(reference="T2")

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


def with_preparation(run: Run, preparation: Preparation) -> Run:
    return Run(run.path, replace(run.manifest, preparation=preparation))


def test_a_mask_lies_on_the_reference_and_on_request_on_each_scan(
    predicting: Predicting, tmp_path: Path
) -> None:
    folder = write_session(tmp_path / "src" / "a", GRIDS)
    out = tmp_path / "out"
    options = replace(QUICK, every_series=True, overlays=True)
    report, said = predicting(folder, out, options)
    (result,) = report.results
    main = nib.load(result.mask)
    assert main.shape == GRIDS["flair"].shape
    np.testing.assert_allclose(main.affine, np.array(GRIDS["flair"].affine))
    assert "T1, T1CE, T2 resampled onto the grid of its FLAIR" in said
    volume = np.count_nonzero(np.asarray(main.dataobj)) * 24
    assert volume > 0
    for name, grid in GRIDS.items():
        image = nib.load(out / f"a_on_series_{name.upper()}.nii.gz")
        assert image.shape == grid.shape
        np.testing.assert_allclose(image.affine, np.array(grid.affine), atol=1e-5)
        own = np.count_nonzero(np.asarray(image.dataobj)) * grid.voxel_volume
        # Some twenty voxels, which other grids have more or fewer of.
        assert own == pytest.approx(volume, rel=0.5)
    record = read_predictions(out / "report.json").masks[result.mask.name]
    assert record.session is not None and record.session.reference == "FLAIR"
    assert len(record.files) == 2 + len(GRIDS)
    assert "resampled onto the grid of FLAIR" in (out / "report.html").read_text()
    # The same command again keeps it; its masks are not taken for other cases'.
    again, _ = predicting(folder, out, options)
    assert again.results[0].kept
    assert "with other settings" in _reason(
        predicting, folder, out, replace(options, reference="t2")
    )
    evaluated = finish(evaluate_masks(out, out))
    assert {score.case for score in evaluated.scores} == {"a"}


def _reason(predicting: Predicting, folder: Path, out: Path, options: PredictOptions) -> str:
    report, _ = predicting(folder, out, options)
    return report.skipped[0][1]


def test_what_the_run_knows_is_done_without_an_option(
    predicting: Predicting, trained: Run, tmp_path: Path
) -> None:
    folder = write_session(tmp_path / "src" / "a", GRIDS)
    model = with_preparation(trained, ON_T2)
    report, said = predicting(folder, tmp_path / "one", QUICK, model)
    assert nib.load(report.results[0].mask).shape == GRIDS["t2"].shape
    assert "scans are prepared as in training: onto the grid of T2" in said
    record = read_predictions(tmp_path / "one" / "report.json").masks["a.nii.gz"]
    assert record.settings["preparation"] == as_json(ON_T2)
    report, said = predicting(folder, tmp_path / "two", replace(QUICK, reference="t1w"), model)
    assert nib.load(report.results[0].mask).shape == GRIDS["t1"].shape
    assert (
        "prepared otherwise than those that the model was trained on (onto the grid of T2;" in said
    )


def test_a_store_keeps_what_was_done_and_gives_it_to_its_run(
    cpu: Backend, tiny: Any, tmp_path: Path
) -> None:
    for seed, name in enumerate("abc"):
        write_session(tmp_path / "src" / name, GRIDS, labels_on="flair", seed=seed)
    where = tmp_path / "out.zarr"
    work = preprocess(tmp_path / "src", where, preparation=ON_T2, workers=1)
    assert all(case.status == "written" for case in finish(work).cases)
    store = stores.open_store(where)
    assert store.spec.preparation == ON_T2
    session = store.read_case("a").session
    assert session is not None and session.reference == "T2"
    assert session.series["FLAIR"].own.shape == GRIDS["flair"].shape
    with pytest.raises(OutputError, match=r"prepared otherwise \(onto the grid of T2; now none\)"):
        finish(preprocess(tmp_path / "src", where, workers=1))
    finish(train(store, tiny, cpu, out=tmp_path / "run"))
    run = open_run(tmp_path / "run")
    assert run.manifest.preparation == ON_T2
    assert describe(run)["preparation"] == as_json(ON_T2)
    # From a store masks go back as well.
    report = finish(predict(where, tmp_path / "masks", run, cpu, replace(QUICK, every_series=True)))
    assert len(report.results) == 3
    assert nib.load(tmp_path / "masks" / "a_on_series_FLAIR.nii.gz").shape == GRIDS["flair"].shape
    with pytest.raises(ConfigError, match="is a store, whose scans are prepared already"):
        finish(predict(where, tmp_path / "m", run, cpu, replace(QUICK, align=True)))
    other = tmp_path / "other.zarr"
    finish(preprocess(tmp_path / "src", other, workers=1))
    with pytest.raises(InputError, match="prepared otherwise than those that this run was started"):
        finish(resume(_unended(run), cpu, stores.open_store(other)))


def _unended(run: Run) -> Run:
    """The run as if it had been stopped."""
    last = run.load("last")
    run.save("last", replace(last, state={**last.state, "ended": ""}))
    return run


def test_a_run_of_before_knows_of_no_preparation(trained: Run, tmp_path: Path) -> None:
    import json

    from mriseg.io.disk.checksums import write_sealed_json

    path = tmp_path / "run.json"
    write_manifest(tmp_path, with_preparation(trained, ON_T2).manifest)
    assert open_run(tmp_path).manifest.preparation == ON_T2
    document = json.loads(path.read_text())
    assert document.pop("preparation") == as_json(ON_T2)
    write_sealed_json(path, {k: v for k, v in document.items() if k != "digest"})
    assert open_run(tmp_path).manifest.preparation == UNPREPARED


def test_a_case_that_cannot_be_brought_together_is_skipped_and_says_why(
    predicting: Predicting, tmp_path: Path
) -> None:
    folder = write_session(tmp_path / "src" / "a", GRIDS)
    lost = next(folder.glob("*_t2.nii.gz"))
    image = nib.load(lost)
    phantoms.write_nifti(lost, np.asarray(image.dataobj).T)  # An affine of ones.
    with pytest.raises(InputError, match="t2.nii.gz has the shape .* do not say where both lie"):
        predicting(tmp_path / "src", tmp_path / "out")
    del image
    with pytest.raises(CaseError, match="t2.nii.gz"):
        finish(preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1, strict=True))


def test_what_is_asked_for_in_any_spelling() -> None:
    assert preparation_of() == UNPREPARED
    assert preparation_of("t1gd", align=True, strip="none") == Preparation("T1CE", "rigid")
    assert differences(ON_T2, ON_T2) == []
    assert "(none; now onto the grid of T2)" in differences(ON_T2, UNPREPARED)[0]


def test_options_go_over_what_the_run_knows(trained: Run, tmp_path: Path) -> None:
    manifest = replace(trained.manifest, preparation=Preparation("T2", "rigid"))
    where = Location.of(tmp_path)
    assert preparation_for(where, QUICK, manifest)[0] == Preparation("T2", "rigid")
    off = replace(QUICK, align=False)
    assert preparation_for(where, off, manifest)[0] == Preparation("T2")
    assert preparation_for(where, QUICK, trained.manifest) == (UNPREPARED, [])


@pytest.fixture
def tiny(trained: Run) -> Any:
    return changed(trained.manifest.settings, epochs=1, validation=0.0)
