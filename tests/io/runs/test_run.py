"""A run folder: created where it is free, opened, calibrated, discarded; its kind is its own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors import SafetensorError

from mriseg.core.calibration import Calibration
from mriseg.errors import OutputError, RunError
from mriseg.io.runs import CARD, Run, checkpoint, create_model, create_run, discard, open_run
from tests.io.runs.examples import MANIFEST, a_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "run", MANIFEST)


def test_a_taken_folder_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        create_run(run.path, MANIFEST)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        create_run(tmp_path / "file", MANIFEST)
    (tmp_path / "empty").mkdir()
    assert create_run(tmp_path / "empty", MANIFEST).name == "empty"


def test_best_is_chosen_over_last(run: Run) -> None:
    assert not run.has("best") and run.chosen == "last"
    run.save("last", a_checkpoint())
    assert run.chosen == "last"
    run.save("best", a_checkpoint())
    assert run.has("best") and run.chosen == "best"


def test_the_calibration_of_all_regions_is_one_read(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibration = {"WT": Calibration(0.7, -1.3, 0.45, 0.1)}
    run.save("best", a_checkpoint(calibration=calibration))
    opened: list[object] = []
    original = checkpoint.safe_open

    def counting(*given: object, **named: object) -> object:
        opened.append(given)
        return original(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "safe_open", counting)
    result = run.calibration()
    # ET had no calibration.
    assert result.regions == (Calibration(0.7, -1.3, 0.45, 0.1), Calibration())
    assert result.thresholds == (0.45, 0.5)
    assert result.min_component_shares == (0.1, 0.0)
    assert result.platt == ((0.7, -1.3), (1.0, 0.0))
    assert len(opened) == 1


def test_a_run_without_weights_has_no_calibration(run: Run) -> None:
    with pytest.raises(RunError, match=r"has no last\.safetensors: its training did not get"):
        run.calibration()


def test_its_manifest_says_whether_it_is_a_model_and_no_other_file_does(
    run: Run, tmp_path: Path
) -> None:
    for name in (CARD, "README.md"):
        (run.path / name).write_text("My notes.")
    assert not open_run(run.path).is_shared
    model = create_model(tmp_path / "model", MANIFEST, a_checkpoint(), "A card.")
    assert model.is_shared and model.manifest.kind == "model"
    (model.path / CARD).unlink()
    assert open_run(model.path).is_shared


def test_nothing_is_left_of_a_model_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        create_model(tmp_path / "model", MANIFEST, a_checkpoint(), "A card.")
    assert not (tmp_path / "model").exists()


def test_a_run_without_weights_can_be_discarded(run: Run) -> None:
    (run.path / "images").mkdir()
    (run.path / "images" / "a.png").write_bytes(b"")
    discard(run)
    assert list(run.path.iterdir()) == []
    again = create_run(run.path, MANIFEST)
    again.save("last", a_checkpoint())
    with pytest.raises(OutputError, match="holds weights, which are kept"):
        discard(again)


def test_a_run_that_went_away_is_not_created_again(run: Run) -> None:
    assert run.within("images", "a.png") == run.path / "images" / "a.png"
    (run.path / "run.json").unlink()
    run.path.rmdir()
    with pytest.raises(OutputError, match=r"is gone: images/a\.png cannot be written"):
        run.within("images", "a.png")


def test_a_model_is_known_again_by_weights_calibration_and_channels(
    run: Run, tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="did not get that far"):
        run.digest()
    run.save("last", a_checkpoint())
    digests = [run.digest()]
    run.save("best", a_checkpoint(2.0))
    digests.append(run.digest())
    run.save("best", a_checkpoint(2.0, calibration={"WT": Calibration(threshold=0.4)}))
    digests.append(run.digest())
    other = replace(MANIFEST, modalities=tuple(reversed(MANIFEST.modalities)))
    if other != MANIFEST:
        digests.append(Run(run.path, other).digest())
    assert len(set(digests)) == len(digests)
    copied = Path(shutil.copytree(run.path, tmp_path / "copy"))
    assert open_run(copied).digest() == run.digest()
    # What says nothing of what it segments is no other model.
    assert Run(run.path, replace(MANIFEST, created="later")).digest() == run.digest()
