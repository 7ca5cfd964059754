"""The loop: when it ends, what it keeps, and what it does about a loss that is not a number."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mriseg.backends import Backend, select
from mriseg.core.config import TrainConfig
from mriseg.engine.trainer import Pair, Trainer
from mriseg.errors import DivergedError
from mriseg.events import Advanced, Began, Event, Measured, Notice, Partly, Recipe, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes import epoch_end, fit, pace, training
from mriseg.recipes.clock import Clock
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.setup import plan_training
from mriseg.recipes.train import train
from mriseg.recipes.training import Training
from mriseg.recipes.transfer import transfer
from mriseg.recipes.validate import Validation
from mriseg.testing import phantoms
from tests.trainings import changed, numbers, run_training, weights_equal


def test_curves_that_cannot_be_written_do_not_stop_a_training(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    events: list[Event] = []

    def in_the_way(event: Event) -> None:
        events.append(event)
        if isinstance(event, Began):
            (tmp_path / "run" / "curves.png").mkdir()

    report = run_training(brats_store, short, cpu, tmp_path / "run", in_the_way)
    assert report.epochs == 2
    notices = [e.text for e in events if isinstance(e, Notice) and "learning curves" in e.text]
    assert len(notices) == 1 and "cannot be written" in notices[0]


def test_without_epochs_or_budget_there_is_a_default(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, epochs=None, slices_per_epoch=4)
    began = []
    recipe = train(brats_store, config, cpu, out=tmp_path / "run")
    for event in recipe:
        if isinstance(event, Began):
            began.append(event)
            recipe.close()
    assert began == [Began("train", 50, "step")]


def test_a_budget_ends_with_a_validation(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, epochs=None, budget=1.0, validate_every=50, slices_per_epoch=400)
    events: list[Event] = []
    report = run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    assert report.reason == "the budget is spent"
    assert report.seconds < 20
    [began] = [e for e in events if isinstance(e, Began)]
    assert (began.stage, began.total, began.unit) == ("train", 1, "second")
    row = open_run(tmp_path / "run").read_log()[-1]
    assert row["step"] < 100 and row["dice"] == report.best
    assert np.isfinite(row["loss"]) and row["loss"] > 0


class Time:
    """A time of its own: a step takes a second, a validation 20, the certainty at the end 30."""

    def __init__(self, patch: pytest.MonkeyPatch, slices: int) -> None:
        self.now = 0.0
        step, validate, end_training = Trainer.step, epoch_end.validate, fit.end_training

        def slow_step(trainer: Trainer, batch: Pair, progress: float) -> torch.Tensor:
            self.now += 1
            return step(trainer, batch, progress)

        def slow_validate(*given: Any, **more: Any) -> Partly[Validation]:
            self.now += 20
            return (yield from validate(*given, **more))

        def slow_certainty(*given: Any) -> Recipe[None]:
            self.now += 30
            return (yield from end_training(*given))

        patch.setattr(Training, "certainty_seconds", lambda *_: 30.0)
        patch.setattr(fit, "end_training", slow_certainty)
        patch.setattr(Trainer, "step", slow_step)
        patch.setattr(epoch_end, "validate", slow_validate)
        patch.setattr(training, "seconds_per_slice", lambda *_, **__: 20 / slices)
        patch.setattr(fit, "Clock", partial(Clock, now=lambda: self.now))


@pytest.mark.parametrize(
    ("budget", "batches", "validated"),
    # One validation at the end; and of those after 30 and 60 steps only the first, since no step
    # would follow the second.
    [(90.0, 100, [True]), (145.0, 30, [True, False, True])],
)
def test_a_budget_is_for_the_validation_too(
    brats_store: Store,
    tiny: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    budget: float,
    batches: int,
    validated: list[bool],
) -> None:
    config = changed(
        tiny, epochs=None, budget=budget, batch_size=2, slices_per_epoch=2 * batches, norm_batches=0
    )
    [held] = plan_training(brats_store, config).split.validation
    Time(monkeypatch, brats_store.index().only([held]).cases[0].shape[0])
    report = run_training(brats_store, config, cpu, tmp_path / "run")
    run = open_run(tmp_path / "run")
    assert report.reason == "the budget is spent"
    assert budget - 7 < report.seconds <= budget
    assert ["dice" in row for row in run.read_log()] == validated
    position = run.load("last").state["position"]
    assert position["ending"] == 20 + 30
    # The schedule ends with the steps.
    assert position["rate"] < 0.03 * config.learning_rate


def test_a_budget_that_is_too_short_is_said_to_be(
    brats_store: Store,
    tiny: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "seconds_per_slice", lambda *_, **__: 10.0)
    events: list[Event] = []
    config = changed(tiny, epochs=None, budget=5.0)
    report = run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    assert report.reason == "the budget is spent" and report.best is not None
    assert open_run(tmp_path / "run").read_log()[-1]["step"] == 1
    assert any("a budget of 5 s is too short here" in text for text in notices(events))


@pytest.mark.parametrize(
    "end",
    [
        pytest.param({"epochs": 6}, marks=pytest.mark.slow),
        pytest.param({"epochs": None, "budget": 5.0}, marks=pytest.mark.slow),
    ],
)
def test_a_training_says_once_how_long_it_will_take_and_computes_the_same(
    brats_store: Store,
    short: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: dict[str, Any],
) -> None:
    config = changed(short, **end)
    untold: list[Event] = []
    run_training(brats_store, config, cpu, tmp_path / "untold", untold.append)
    assert not any("on this machine" in text for text in notices(untold))
    for module in (fit, pace):
        monkeypatch.setattr(module, "WORTH_SAYING", 0.0)
    monkeypatch.setattr(pace, "LONG", 0.0)
    events: list[Event] = []
    run_training(brats_store, config, cpu, tmp_path / "told", events.append)
    [text] = [text for text in notices(events) if "on this machine" in text]
    if config.budget:
        assert text.startswith("the budget is enough for about")
    else:
        assert "(6 epochs of 12 steps at width 8, " in text and " a validation)" in text
        assert text.endswith("; --budget 30m would take 30 minutes")
        run, other = open_run(tmp_path / "told"), open_run(tmp_path / "untold")
        assert weights_equal(run, other) and numbers(run) == numbers(other)


def test_a_training_that_finds_nothing_says_so(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, epochs=1, learning_rate=1e-12, slices_per_epoch=4, loss="bce")
    events: list[Event] = []
    report = run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    assert report.best == 0
    [text] = [text for text in notices(events) if "found no" in text]
    assert "found no WT and no TC and no ET in any case" in text and "longer than 1 step," in text
    assert [e.note for e in events if isinstance(e, Measured)] == [""]


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def test_training_ends_early_when_it_no_longer_gets_better(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    # At this rate nothing is learnt: the Dice stays what it was at first.
    config = changed(
        tiny, epochs=40, patience=2, learning_rate=1e-12, slices_per_epoch=4, loss="bce"
    )
    report = run_training(brats_store, config, cpu, tmp_path / "run")
    assert report.epochs == 3 and report.best_epoch == 1
    assert report.reason == "no better Dice in 2 validations"


@pytest.mark.parametrize("end", [{"epochs": 2}, {"epochs": None, "budget": 0.5}])
def test_all_patients_may_train(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path, end: dict[str, Any]
) -> None:
    config = changed(tiny, validation=0.0, slices_per_epoch=8, **end)
    report = run_training(brats_store, config, cpu, tmp_path / "run")
    assert report.best is None and report.dice == {} and report.best_epoch == report.epochs
    run = open_run(tmp_path / "run")
    assert run.manifest.validation == () and len(run.manifest.train) == 4
    best, last = run.load("best"), run.load("last")
    assert best.weights.keys() == last.average.keys()
    for name, tensor in last.average.items():
        if "num_batches" not in name:
            # The average has statistics of its own.
            assert torch.equal(best.weights[name], tensor) == ("running" not in name), name
    assert "dice" not in run.read_log()[-1]


@pytest.mark.slow
def test_a_training_begins_at_half_the_resolution(
    tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "scans", 2, shape=(12, 72, 72))
    store_path = tmp_path / "large.zarr"
    finish(preprocess(tmp_path / "scans", store_path, workers=1))
    store = open_store(store_path)
    # Three epochs of four steps: the switch is in the middle of the second.
    short = changed(tiny, epochs=3, slices_per_epoch=16, validation=0.5)
    notices_of: dict[float, list[str]] = {}
    for share in (0.0, 0.5, 1.0):
        notices = notices_of.setdefault(share, [])
        run_training(
            store,
            changed(short, low_res_share=share),
            cpu,
            tmp_path / str(share),
            lambda e, to=notices: to.append(e.text) if isinstance(e, Notice) else None,
        )
    never, mixed, always = (open_run(tmp_path / str(share)) for share in notices_of)
    losses = [[row["loss"] for row in numbers(run)] for run in (never, mixed, always)]
    assert losses[1][0] == losses[2][0] != losses[0][0]
    assert losses[1][1] not in (losses[0][1], losses[2][1])
    halved, whole = "slices at half their resolution at first", "slices at full resolution"
    assert [[text for text in texts if "resolution" in text] for texts in notices_of.values()] == [
        [],
        [f"at 0% of the training: {halved}", f"at 50% of the training: {whole}"],
        [f"at 0% of the training: {halved}"],
    ]
    # Stopped before it or after, it goes on to the bit.
    for epoch in (1, 2):
        path = tmp_path / f"stopped-{epoch}"
        recipe = train(store, changed(short, low_res_share=0.5), cpu, out=path)
        next(e for e in recipe if isinstance(e, Measured) and e.step == epoch)
        recipe.close()
        assert not open_run(path).ended
        finish(resume(open_run(path), cpu))
        assert weights_equal(open_run(path), mixed) and numbers(open_run(path)) == numbers(mixed)


def test_what_is_kept_is_the_average(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    for decay in (0.0, 0.9):
        config = changed(tiny, epochs=2, slices_per_epoch=8, ema_decay=decay)
        run_training(brats_store, config, cpu, tmp_path / str(decay))
    last, averaged = (open_run(tmp_path / str(d)).load("last") for d in (0.0, 0.9))
    # The average has no part in the training.
    assert all(torch.equal(averaged.weights[k], v) for k, v in last.weights.items())
    assert all(torch.equal(last.average[k], v) for k, v in last.weights.items())
    assert any(not torch.equal(averaged.average[k], v) for k, v in last.weights.items())


def test_a_stage_that_never_trains_keeps_its_statistics(
    trained: Run, brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, epochs=1, slices_per_epoch=8)
    finish(transfer(brats_store, trained, config, cpu, freeze="encoder", out=tmp_path / "run"))
    before, after = (run.load("best").weights for run in (trained, open_run(tmp_path / "run")))
    for name in before:
        if "running" in name:
            assert torch.equal(before[name], after[name]) == name.startswith("encoder"), name


def test_validation_may_be_rare(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, epochs=3, validate_every=2, slices_per_epoch=8)
    run_training(brats_store, config, cpu, tmp_path / "run")
    rows = open_run(tmp_path / "run").read_log()
    # The last epoch is always validated.
    assert ["dice" in row for row in rows] == [False, True, True]


# What cannot work is refused before the first step


@pytest.mark.parametrize(("decay", "every"), [(1e4, 1), (1e42, 1), (1e42, 50)])
def test_divergence_keeps_the_last_good_checkpoint(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path, decay: float, every: int
) -> None:
    # At some step a finite loss is followed by weights that are not.
    config = changed(
        tiny, weight_decay=decay, validate_every=every, warmup=0, slices_per_epoch=4, epochs=30
    )
    with pytest.raises(DivergedError, match=r"lower --learning-rate") as caught:
        run_training(brats_store, config, cpu, tmp_path / "run")
    assert str(tmp_path / "run") in str(caught.value)
    run = open_run(tmp_path / "run")
    for which in ("last", "best"):
        if run.has(which):
            state = run.load(which).weights
            assert all(tensor.isfinite().all() for tensor in state.values()), which
    assert run.load("last").state["ended"] == ""


# Going on


def test_determinism_is_held_while_training_and_not_after(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    strict = select("cpu", precision="fp32", deterministic=True)
    held = []
    config = changed(short, epochs=1, slices_per_epoch=4)
    finish(
        train(brats_store, config, strict, out=tmp_path / "run"),
        lambda event: held.append((type(event), torch.are_deterministic_algorithms_enabled())),
    )
    assert (Advanced, True) in held and (Advanced, False) not in held
    assert not torch.are_deterministic_algorithms_enabled()
