"""Learning on from corrections: nothing trains on its own test, and a verdict decides."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Event, Notice, finish
from mriseg.io.corrections import Correction, read_corrections, save_correction, update_corrections
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.improvements import read_chain
from mriseg.io.predictions import ModelName
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.improve import ImproveOptions, ImproveReport, improve
from mriseg.testing import phantoms

SHAPE = (8, 32, 32)
PEOPLE = 5


def scan(folder: Path, index: int) -> Path:
    images, labels = phantoms.head(np.random.default_rng([77, index]), SHAPE)
    return phantoms.write_brats_case(folder / f"visitor_{index}", images, labels)


def corrected(folder: Path, scans: Path, run: Run, indices: range | list[int]) -> Path:
    """A folder in which a reader corrected these cases; the masks are the phantoms' truth."""
    for index in indices:
        case = scan(scans, index)
        truth = case / f"{case.name}_seg.nii.gz"
        images = [path for path in sorted(case.glob("*.nii.gz")) if path != truth]
        draft = Correction(
            case=case.name,
            mask=f"{case.name}.nii.gz",
            source=str(scans),
            scan=tuple(map(KnownFile.of, images)),
            model=ModelName(str(run.path), run.digest()),
            regions=tuple(run.manifest.regions),
            status="accepted" if index % 2 else "corrected",
            who="a reader",
            when="2026-11-30T12:00:00+00:00",
            file=None,
            patient=case.name,
        )
        save_correction(folder, lambda _, d=draft: d, lambda path, t=truth: shutil.copy(t, path))
        truth.unlink()  # What lies among the scans must not matter.
    return folder


@pytest.fixture(scope="module")
def options(tiny: TrainConfig) -> ImproveOptions:
    """A training of two steps."""
    brief = tiny.model_copy(update={"epochs": 1, "slices_per_epoch": 8})
    return ImproveOptions(brief, {"workers": 1})


@pytest.fixture(scope="module")
def done(
    trained: Run, options: ImproveOptions, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ImproveReport, list[Event], Path]:
    """A complete round on five patients, its events, and the folder of corrections."""
    root = tmp_path_factory.mktemp("improved")
    folder = corrected(root / "corrections", root / "scans", trained, range(PEOPLE))
    events: list[Event] = []
    recipe = improve(trained, folder, cpu, options, out=root / "out")
    return finish(recipe, events.append), events, folder


def test_nothing_is_trained_on_its_own_test(
    done: tuple[ImproveReport, list[Event], Path], trained: Run
) -> None:
    report, _, folder = done
    held = set(read_corrections(folder).held_out)
    assert len(held) == 2 and {pair.patient for pair in report.scores} == held
    manifest = open_run(report.new).manifest
    assert len(manifest.train) == 3 and not held & set(manifest.train)
    assert not held & {item.patient for item in manifest.seen} and manifest.validation == ()
    # The chain of models is remembered whole.
    assert set(trained.manifest.seen) < set(manifest.seen)


def test_what_it_writes_and_says(done: tuple[ImproveReport, list[Event], Path]) -> None:
    report, events, folder = done
    assert {path.name for path in report.path.iterdir()} == {
        *("plan.json", "cases.zarr", "model", "improve.json", "improve.csv", "report.html"),
    }
    text = " | ".join(event.text for event in events if isinstance(event, Notice))
    assert "3 patients to learn from, 2 kept aside for good: visitor_" in text
    assert "with 2 patients kept aside no difference can be shown" in text
    assert report.verdict in text and not report.better
    assert "too few to say" in report.verdict and "the old model stays in use" in report.verdict
    data = json.loads((report.path / "improve.json").read_text())
    assert data["verdict"] == report.verdict and len(data["scores"]) == 2
    assert report.verdict[1:40] in report.page.read_text()
    [one] = read_chain(folder).rounds
    assert (one.new.path, one.better) == (str(report.new.absolute()), False)
    assert read_chain(folder).in_use is None and len(one.learnt) == 3


def test_the_masks_are_the_corrections_and_not_what_lies_among_the_scans(
    done: tuple[ImproveReport, list[Event], Path],
) -> None:
    from mriseg.io.store import open_store

    store = open_store(done[0].path / "cases.zarr")
    assert sorted(store.cases()) == [f"visitor_{index}" for index in range(PEOPLE)]
    for name in store.cases():
        case = store.read_case(name)
        assert case.labels is not None and set(np.unique(case.labels)) <= {0, 1, 2, 4}
        assert case.labels.any()


def test_stopped_it_goes_on_and_later_rounds_only_add(
    done: tuple[ImproveReport, list[Event], Path],
    trained: Run,
    options: ImproveOptions,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "corrections"
    shutil.copytree(done[2], folder)
    before = set(read_corrections(folder).held_out)
    learnt = read_chain(folder).learnt
    corrected(folder, tmp_path / "scans", trained, range(PEOPLE, PEOPLE + 2))
    out = tmp_path / "out"
    stopped = improve(trained, folder, cpu, options, out=out)
    for _ in stopped:
        if (out / "model" / "last.safetensors").exists():
            stopped.close()
    assert not (out / "improve.json").exists() and len(read_chain(folder).rounds) == 1
    held = set(read_corrections(folder).held_out)
    assert before < held and not held & learnt
    report = finish(improve(trained, folder, cpu, options, out=out))
    assert set(read_corrections(folder).held_out) == held == {p.patient for p in report.scores}
    assert not held & set(open_run(report.new).manifest.train)
    # What is done is not another round when it is asked for again.
    again = finish(improve(trained, folder, cpu, options, out=out))
    assert again.scores == report.scores and len(read_chain(folder).rounds) == 2
    with pytest.raises(ConfigError, match="holds a round with other settings"):
        other = options.config.model_copy(update={"seed": 5})
        finish(improve(trained, folder, cpu, replace(options, config=other), out=out))


def test_the_next_round_has_a_folder_of_its_own(
    done: tuple[ImproveReport, list[Event], Path],
    trained: Run,
    options: ImproveOptions,
    cpu: Backend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # what was stopped goes on in the same place
        recipe = improve(trained, done[2], cpu, options)
        next(recipe)
        recipe.close()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["improve-corrections-2"]


def test_a_model_that_knows_the_patients_is_not_measured_on_them(
    done: tuple[ImproveReport, list[Event], Path],
    trained: Run,
    options: ImproveOptions,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    report, _, folder = done
    copy = tmp_path / "corrections"
    shutil.copytree(folder, copy)
    update_corrections(copy, lambda record: replace(record, held_out=()))
    (copy / "model.json").unlink()
    # The new model knows three of the five, so that two are left for a test.
    events: list[Event] = []
    recipe = improve(open_run(report.new), copy, cpu, options, out=tmp_path / "out")
    again = finish(recipe, events.append)
    assert {pair.patient for pair in again.scores} == {pair.patient for pair in report.scores}
    seen = replace(trained.manifest, seen=open_run(report.new).manifest.seen)
    everyone = corrected(tmp_path / "known", tmp_path / "scans", trained, [0, 1, 2, 3, 4])
    learnt = {item.name for item in seen.seen}
    unknown = [n for n in range(PEOPLE) if f"visitor_{n}" not in learnt]
    update_corrections(everyone, lambda record: record.without_case(f"visitor_{unknown[0]}"))
    with pytest.raises(ConfigError, match="the model knows 3 of them already"):
        finish(improve(Run(trained.path, seen), everyone, cpu, options, out=tmp_path / "no"))


def test_what_cannot_work_is_refused_in_one_message(
    done: tuple[ImproveReport, list[Event], Path],
    trained: Run,
    options: ImproveOptions,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "few"
    scans = tmp_path / "scans"
    corrected(folder, scans, trained, range(3))
    with pytest.raises(ConfigError, match="masks of 3 patients, and at least 4 are needed"):
        finish(improve(trained, folder, cpu, options, out=tmp_path / "out"))
    corrected(folder, scans, trained, [3])
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("")
    with pytest.raises(OutputError, match="is not of mriseg improve"):
        finish(improve(trained, folder, cpu, options, out=taken))
    scans.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"the scans of 4 corrections are not at .*scans"):
        finish(improve(trained, folder, cpu, options, out=tmp_path / "out"))
    (tmp_path / "elsewhere").rename(scans)
    images, _ = phantoms.head(np.random.default_rng(5), SHAPE)
    phantoms.write_brats_case(scans / "visitor_1", images, None)
    with pytest.raises(InputError, match="visitor_1: the scan is not the one that was corrected"):
        finish(improve(trained, folder, cpu, options, out=tmp_path / "out"))
    (folder / "visitor_0.nii.gz").unlink()
    with pytest.raises(InputError, match="the masks of visitor_0 are gone"):
        finish(improve(trained, folder, cpu, options, out=tmp_path / "other"))
    by_hand = options.config.model_copy(update={"exclude": ("visitor_1",)})
    with pytest.raises(ConfigError, match="not chosen by hand: leave exclude out"):
        finish(improve(trained, done[2], cpu, replace(options, config=by_hand)))


def test_cases_of_a_store_are_refused_with_what_to_do(
    trained: Run, brats_store: Store, cpu: Backend, tmp_path: Path
) -> None:
    folder = corrected(tmp_path / "corrections", tmp_path / "scans", trained, range(4))
    store = str(brats_store.location)
    for item in read_corrections(folder).cases.values():
        update_corrections(folder, lambda now, i=item: now.with_case(replace(i, source=store)))
    with pytest.raises(InputError, match="run mriseg annotate on the folder of the scans"):
        finish(improve(trained, folder, cpu, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
