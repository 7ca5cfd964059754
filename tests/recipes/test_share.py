"""A shared model predicts as before, recognises its cases, and contains no names."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import CaseEntry
from mriseg.errors import ConfigError, InputError, OutputError, RunError
from mriseg.events import Notice, finish
from mriseg.io.cross_validations import write_cross_validation
from mriseg.io.runs import CARD, Run, create_run, open_run
from mriseg.io.store import Store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.export import export
from mriseg.recipes.info import holds
from mriseg.recipes.info_runs import RunInfo
from mriseg.recipes.predict import predict
from mriseg.recipes.resume import resume
from mriseg.recipes.share import share
from mriseg.recipes.transfer import transfer
from tests.io.test_cross_validations import RESULT


@pytest.fixture(scope="module")
def shared(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("models") / "handed"
    finish(share(trained, out))
    return open_run(out)


def renamed(case: CaseEntry, **changes: object) -> CaseEntry:
    plain = {"name": "new", "patient": "nobody", "content": "", "fingerprint": ()}
    return replace(case, **{**plain, **changes})  # type: ignore[arg-type]


def test_it_knows_the_pixels_it_was_trained_on(shared: Run, trained: Run) -> None:
    assert shared.manifest.spacing == trained.manifest.spacing == pytest.approx((1, 1))
    assert "of 1 x 1 mm; slices whose pixels differ" in (shared.path / CARD).read_text()


def test_it_is_slim(shared: Run, trained: Run) -> None:
    files = {path.name: path for path in shared.path.iterdir()}
    assert set(files) == {"run.json", "best.safetensors", "certainty.json", CARD}
    whole = (trained.path / "best.safetensors").stat().st_size
    assert files["best.safetensors"].stat().st_size < 0.55 * whole
    with safe_open(files["best.safetensors"], framework="np") as file:
        kinds = {name: file.get_tensor(name).dtype.name for name in file.keys()}  # noqa: SIM118
    assert kinds["encoder.1.0.conv.weight"] == "float16"
    assert kinds["encoder.1.0.norm.running_var"] == "float32"
    assert {str(v.dtype) for v in shared.load().weights.values()} == {
        "torch.float32",
        "torch.int64",
    }


def test_it_says_no_names_and_no_paths(shared: Run, trained: Run, brats_store: Store) -> None:
    content = b"".join(path.read_bytes() for path in shared.path.iterdir())
    for case in brats_store.index().cases:
        assert case.name.encode() not in content
        assert case.patient.encode() not in content
    assert str(Path(trained.manifest.store).parent).encode() not in content
    assert shared.manifest.store == "brats.zarr"
    names = {"train", "validation", "seen", "salt", "store", "config", "kind"}
    kept = {k: v for k, v in shared.manifest.__dict__.items() if k not in names}
    assert kept == {k: v for k, v in trained.manifest.__dict__.items() if k not in names}


def test_it_knows_its_cases_all_the_same(shared: Run, trained: Run, brats_store: Store) -> None:
    cases = brats_store.index().cases
    for run in (shared, trained):
        seen = run.manifest.seen_among(cases)
        assert seen == dict.fromkeys(trained.manifest.train, "")
        held = [case.name for case in cases if run.manifest.validated_on(case.name)]
        assert held == list(trained.manifest.validation)
    case = next(case for case in cases if case.name in trained.manifest.train)
    manifest = shared.manifest
    assert manifest.seen_among([renamed(case, content=case.content)])
    assert not manifest.seen_among([renamed(case)])
    assert manifest.seen_among([renamed(case, name=case.name, patient=case.patient)])
    [how] = shared.manifest.seen_among([renamed(case, fingerprint=case.fingerprint)]).values()
    assert "new looks like the same scan as a case of the training (similarity 1.00)" in how
    [how] = trained.manifest.seen_among([renamed(case, fingerprint=case.fingerprint)]).values()
    assert f"as {case.name} of the training" in how


def test_an_evaluation_leaves_its_cases_out(shared: Run, brats_store: Store, cpu: Backend) -> None:
    events: list[object] = []
    report = finish(evaluate(brats_store, shared, cpu), events.append)
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert any("cases that the model was trained on are left out" in text for text in notices)
    assert any("validation case" in text for text in notices)
    held = {score.case for score in report.scores}
    assert held.isdisjoint(report.seen) and len(held | set(report.seen)) == 4


def test_it_predicts_as_the_run_does(
    shared: Run, trained: Run, brats_store: Store, cpu: Backend
) -> None:
    first, second = (
        finish(evaluate(brats_store, run, cpu, include_seen=True)) for run in (trained, shared)
    )
    for one, other in zip(first.scores, second.scores, strict=True):
        assert other.dice == pytest.approx(one.dice, abs=0.05, nan_ok=True)


@pytest.mark.slow
def test_nothing_is_written_into_it(
    shared: Run,
    brats_store: Store,
    cpu: Backend,
    tiny: TrainConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.read_bytes() for path in shared.path.rglob("*")}
    exported = finish(export(shared))
    assert exported.path == Path("handed.torchscript.pt") and exported.path.is_file()
    finish(predict(Path(brats_store.location), tmp_path / "masks", shared, cpu))
    once = tiny.model_copy(update={"epochs": 1})
    report = finish(transfer(brats_store, shared, once, cpu, out=tmp_path / "carried"))
    with pytest.raises(RunError, match="is a model alone"):
        finish(resume(shared, cpu))
    info = holds(shared.path)
    assert isinstance(info, RunInfo) and info.is_model and not info.ended
    assert {path: path.read_bytes() for path in shared.path.rglob("*")} == before

    # What was hidden stays known, and hidden, further on.
    carried = open_run(report.run)
    assert set(shared.manifest.seen) < set(carried.manifest.seen)
    finish(share(carried, tmp_path / "again"))
    again = open_run(tmp_path / "again").manifest
    assert all(case.salt for case in again.seen) and set(shared.manifest.seen) < set(again.seen)
    assert again.parent is not None and again.parent["run"] == "handed"
    for case in brats_store.index().cases:
        known = [manifest.seen_among([case]) for manifest in (shared.manifest, carried.manifest)]
        assert bool(again.seen_among([case])) == any(known)


def test_names_are_kept_on_request(trained: Run, tmp_path: Path) -> None:
    finish(share(trained, tmp_path / "named", keep_names=True))
    kept = open_run(tmp_path / "named").manifest
    assert kept.train == trained.manifest.train and kept.seen == trained.manifest.seen
    assert "It holds their names too" in (tmp_path / "named" / CARD).read_text(encoding="utf-8")


def test_the_same_run_gives_the_same_folder(shared: Run, trained: Run, tmp_path: Path) -> None:
    finish(share(trained, tmp_path / "handed"))
    for path in shared.path.iterdir():
        assert (tmp_path / "handed" / path.name).read_bytes() == path.read_bytes()


def test_the_card_says_what_was_measured_and_what_is_missing(
    trained: Run, brats_store: Store, cpu: Backend, tmp_path: Path
) -> None:
    events: list[object] = []
    bare = finish(share(trained, tmp_path / "bare"), events.append)
    [notice] = [e.text for e in events if isinstance(e, Notice) and "to fill in" in e.text]
    assert all(what in notice for what in bare.missing)
    text = (bare.path / CARD).read_text(encoding="utf-8")
    assert len(bare.missing) == 3 and text.count("still to fill in") == 3

    finish(evaluate(brats_store, trained, cpu, include_seen=True, out=tmp_path / "all"))
    finish(evaluate(brats_store, trained, cpu, out=tmp_path / "held"))
    files = {"": tmp_path / "all/evaluation.json", "held": tmp_path / "held/evaluation.json"}
    report = finish(
        share(trained, tmp_path / "full", evaluations=files, data="Phantoms.", terms="None.")
    )
    text = (report.path / CARD).read_text(encoding="utf-8")
    assert report.missing == () and "still to fill in" not in text
    every = "+".join(trained.manifest.modalities)
    summary = json.loads(files[""].read_text())["summary"]
    for row in (row for row in summary if row["metric"] == "dice"):
        numbers = "{mean:.3f} [{low:.3f}, {high:.3f}] | {median:.3f} | {cases}".format(**row)
        assert f"| {every} | {row['region']} | {numbers} |" in text
    for said in (
        "not for clinical use",
        f"Measured subsets: {every}; held.",
        f"{every}: {len(trained.manifest.train)} of 4 cases **were trained on**",
        "chose the best epoch",
        "| held | WT |",
        "Phantoms.",
        "None.",
    ):
        assert said in text


def test_cases_without_a_fingerprint_are_reported(trained: Run, tmp_path: Path) -> None:
    seen = tuple(replace(case, fingerprint=()) for case in trained.manifest.seen)
    run = create_run(tmp_path / "run", replace(trained.manifest, seen=seen))
    run.save("best", trained.load())
    events: list[object] = []
    finish(share(run, tmp_path / "shared"), events.append)
    assert any("will not be recognised" in e.text for e in events if isinstance(e, Notice))


def test_a_run_without_best_weights_is_refused(trained: Run, tmp_path: Path) -> None:
    run = create_run(tmp_path / "run", trained.manifest)
    with pytest.raises(RunError, match=r"no best\.safetensors"):
        finish(share(run, tmp_path / "shared"))
    assert not (tmp_path / "shared").exists()


def test_what_makes_it_a_model_is_its_manifest_and_not_its_card(
    shared: Run, trained: Run, cpu: Backend, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(shared.path, model)
    (model / CARD).unlink()
    with pytest.raises(RunError, match="is a model alone"):
        finish(resume(open_run(model), cpu))
    # In the folder of a training, a card is the user's own text.
    training = open_run(shutil.copytree(trained.path, tmp_path / "training"))
    for name in (CARD, "README.md"):
        (training.path / name).write_text("My notes.")
    with pytest.raises(RunError, match="has ended"):  # and not that it is a model alone
        finish(resume(open_run(training.path), cpu))
    info = holds(training.path)
    assert isinstance(info, RunInfo) and info.ended == training.ended


def test_impossible_requests_are_refused_and_leave_nothing(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="exists; choose another folder"):
        finish(share(trained, trained.path))
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(InputError, match=r"other\.json is not an evaluation\.json"):
        finish(share(trained, tmp_path / "out", evaluations={"": other}))
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_a_weight_that_float16_cannot_hold_stays_as_it_is(trained: Run, tmp_path: Path) -> None:
    run = create_run(tmp_path / "large", trained.manifest)
    checkpoint = trained.load()
    checkpoint.weights["head.weight"][:] = 1e6
    run.save("best", checkpoint)
    finish(share(run, tmp_path / "out"))
    kept = open_run(tmp_path / "out").load().weights["head.weight"].numpy()
    np.testing.assert_array_equal(kept, 1e6)


def test_a_card_begins_with_those_who_chose_nothing(trained: Run, tmp_path: Path) -> None:
    manifest = trained.manifest
    like: dict[str, Any] = {
        "modalities": manifest.modalities,
        "regions": manifest.regions,
        "width": manifest.model["width"],
    }
    cross = replace(RESULT, **like, config={**manifest.config, "epochs": 77})
    write_cross_validation(tmp_path / "cross", cross, [])
    events: list[object] = []
    recipe = share(trained, tmp_path / "model", cross_validation=tmp_path / "cross")
    finish(recipe, events.append)
    card = (tmp_path / "model" / CARD).read_text()
    assert card.index("all patients, all modalities") < card.index("Flattered, for comparison")
    assert "left out of trainings like this one" in card
    notices = " ".join(event.text for event in events if isinstance(event, Notice))
    assert "the cross-validation trained with other epochs (77 there" in notices
    shown = holds(tmp_path / "model")
    assert isinstance(shown, RunInfo) and shown.card is not None
    assert shown.card.figures[0].measured_on == "all patients, all modalities"

    write_cross_validation(tmp_path / "other", replace(cross, width=64), [])
    with pytest.raises(ConfigError, match=r"networks with other width 64 \(the model 8\)"):
        finish(share(trained, tmp_path / "no", cross_validation=tmp_path / "other"))
    with pytest.raises(InputError, match="name the folder of a cross-validation that is finished"):
        finish(share(trained, tmp_path / "no", cross_validation=tmp_path))
    assert not (tmp_path / "no").exists()
