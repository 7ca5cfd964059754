"""The call of a BIDS App, but for its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.bids_output import Sessions
from mriseg.errors import ConfigError, InputError
from mriseg.events import Event, Notice, finish
from mriseg.io import bids_validator
from mriseg.io.runs import Run
from mriseg.recipes.bids_app import bids_app, check_level
from mriseg.recipes.predict import PredictOptions
from tests import bids

QUICK = PredictOptions(overlays=False, flips=False, adapt=False, refine=False)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    bids.write(
        tmp_path / "raw", [("01", ""), ("02", "")], modalities=[*bids.SUFFIXES], shape=(8, 40, 36)
    )
    return tmp_path / "raw"


def test_sessions_are_predicted_into_a_derivative(
    scans: Path, tmp_path: Path, trained: Run, cpu: Backend
) -> None:
    out = tmp_path / "out"
    recipe = bids_app(scans, out, trained, cpu, QUICK, sessions=Sessions(("02",)))
    report = finish(recipe)
    assert [result.mask.relative_to(out).as_posix() for result in report.results] == [
        "sub-02/anat/sub-02_desc-mriseg_dseg.nii.gz"
    ]
    assert (out / "dataset_description.json").is_file()


@pytest.mark.slow
def test_a_data_set_with_errors_is_refused_unless_that_is_skipped(
    scans: Path, tmp_path: Path, trained: Run, cpu: Backend
) -> None:
    bids.problems(scans)  # skips where there is no validator
    bids.image(bids.anat(scans, "01") / "sub-01_mystery.nii.gz")
    with pytest.raises(InputError, match="has 1 error .*mystery.nii.gz.*--skip-bids-validation"):
        finish(bids_app(scans, tmp_path / "out", trained, cpu, QUICK))
    assert not (tmp_path / "out").exists()
    recipe = bids_app(
        scans, tmp_path / "out", trained, cpu, QUICK, sessions=Sessions(("02",)), validates=False
    )
    assert len(finish(recipe).results) == 1


def test_without_a_validator_that_is_said(
    scans: Path, tmp_path: Path, trained: Run, cpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bids_validator, "_PROGRAM", "bids-validator-that-is-not-there")
    said: list[str] = []

    def hear(event: Event) -> None:
        said.extend([event.text] if isinstance(event, Notice) else [])

    with pytest.raises(InputError, match="no sub-9"):
        finish(bids_app(scans, tmp_path, trained, cpu, QUICK, sessions=Sessions(("9",))), hear)
    assert "is not validated" in said[0] and "mriseg[bids]" in said[0]


def test_other_levels_are_refused() -> None:
    check_level("participant")
    for level, message in (("group", "each participant is segmented alone"), ("x", "only one")):
        with pytest.raises(ConfigError, match=message):
            check_level(level)


def test_no_data_set(tmp_path: Path, trained: Run, cpu: Backend) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        finish(bids_app(tmp_path / "no", tmp_path, trained, cpu))
