"""What follows the last step of an epoch: the averaged network, its validation and calibration.

Each part is named in the progress, since for a narrow network all of it may take longer than the
epoch's steps.
"""

from __future__ import annotations

import math
from typing import Any

from mriseg.core.calibration import Calibration, calibrate
from mriseg.core.segnet import SegNet
from mriseg.engine.divergence import Suspect
from mriseg.events import Advanced, Event, Recipe, reporting
from mriseg.io.runs import Run
from mriseg.recipes.certainty import measure_certainty, spread
from mriseg.recipes.training import Training
from mriseg.recipes.validate import Validation, validate


def end_epoch(training: Training, row: dict[str, Any]) -> Recipe[tuple[bool, bool]]:
    """Validate if it is time to, keep the best, and add to the epoch's row.

    Returns:
        Whether this epoch is the best so far, and whether it was looked at as a last one would be.

    Raises:
        DivergedError: the network's output for a case is not finite.
    """
    setup, clock, at = training.setup, training.clock, training.at
    began = clock.tick()
    last, validates = clock.is_last(at.epoch), bool(setup.split.validation)
    regular = validates and at.epoch % setup.config.validate_every == 0
    # What a budget has left for steps is not spent on a validation that no step would follow.
    due = last or (regular and clock.affords_validation)
    better = False
    stages = _Stages(training, last=last)
    if last and not validates:
        at.best_epoch = at.epoch
        network = yield from _network(training, stages)
        training.keeper.save_best(network, at, {}, setup.prior_calibrations)
    elif due:
        network = yield from _network(training, stages)
        validation = yield from _validation(training, network, stages)
        row |= {f"dice_{name}": validation.mean(name) for name in setup.task.regions}
        row["dice"] = validation.score
        better = validation.score > at.best
        # What has not trained yet may still help, so patience waits for the last phase.
        waits = better or not training.trainer.is_final
        at.stale = 0 if waits else at.stale + 1
        if better:
            at.best, at.best_epoch, at.dice = validation.score, at.epoch, validation.dice
            if training.keeper.keeps:
                calibration = yield from _calibration(training, validation, stages)
                training.keeper.save_best(network, at, validation.dice, calibration)
    row["seconds"] = clock.tick()
    if due:
        # What a budget keeps for the end; a checkpoint has it for the next sitting.
        spent = clock.seconds - began
        at.ending = spent + training.certainty_seconds(spent)
    return better, due


def end_training(training: Training, run: Run) -> Recipe[None]:
    """Measure how sure the best weights may be, once, when no better ones will come.

    Raises:
        StoreError: a case cannot be read.
    """
    setup, clock, at = training.setup, training.clock, training.at
    count, began = len(spread(setup.split.validation)), clock.tick()

    def event(share: float) -> Event:
        numbers = {"Dice": at.best} if at.best >= 0 else {}
        number = min(int(share * count + 1e-9) + 1, count)
        left = (clock.glance() - began) * (1 / share - 1) if share > 0 else None
        return Advanced("train", clock.done(at.step), numbers, f"certainty {number}/{count}", left)

    work = measure_certainty(
        run,
        training.batches.store,
        training.trainer.backend,
        train=setup.split.train,
        validation=setup.split.validation,
        given=None if setup.given is None else setup.given.certainty,
    )
    yield from reporting(work, event)


class _Stages:
    """Events that say what is done after the steps, and how long it will still take."""

    def __init__(self, training: Training, *, last: bool) -> None:
        self._training, self._last = training, last
        self._began = training.clock.seconds
        setup = training.setup
        slices = sum(entry.shape[0] for entry in setup.index.only(setup.split.validation).cases)
        norm = training.norm_batches * setup.config.batch_size
        # Of all slices that pass through the network.
        self.norm_share = norm / max(norm + slices, 1)

    def event(self, what: str, done: int, total: int, share: float) -> Advanced:
        """``done`` of ``total`` of a part are done, and ``share`` of all parts."""
        training, clock = self._training, self._training.clock
        # No tick: processes that train together do not have the same events.
        spent = clock.glance() - self._began
        rest = spent / share - spent if share > 0.05 else max(clock.ending - spent, 0.0)
        later = training.left() or 0.0
        left = rest
        if clock.epochs is not None:
            left += later
        elif not self._last:
            left = later  # of a budget that goes on, all is known
        at = training.at
        numbers = {"Dice": at.best} if at.best >= 0 else {}
        item = f"{what} {done}/{total}"
        return Advanced("train", clock.done(at.step), numbers, item, left)


def _network(training: Training, stages: _Stages) -> Recipe[SegNet]:
    """The network as the run gives it, from the first epoch's batches whenever it is resumed."""
    count = training.norm_batches
    plans = training.setup.plan(epoch=0)[:count]
    images = (image for image, _ in training.batches(plans, "statistics")) if plans else None

    def event(done: float) -> Event:
        number = int(done)
        return stages.event("statistics", number, len(plans), stages.norm_share * done / len(plans))

    return (yield from reporting(training.trainer.averaging(images), event))


def _validation(training: Training, network: SegNet, stages: _Stages) -> Recipe[Validation]:
    setup, at = training.setup, training.at
    cases = setup.split.validation

    def event(share: float) -> Event:
        number = min(int(share * len(cases) + 1e-9) + 1, len(cases))
        overall = stages.norm_share + (1 - stages.norm_share) * share
        return stages.event("validate", number, len(cases), overall)

    work = validate(
        network,
        training.trainer.backend,
        training.batches.store,
        cases,
        setup.task,
        levels=training.levels,
    )
    validation = yield from reporting(work, event)
    if validation.non_finite:
        names = ", ".join(validation.non_finite)
        what = f"after epoch {at.epoch} the network's output for {names} is infinite or NaN"
        worst = [Suspect(ref, True, math.nan) for ref in validation.corrupt_slices]
        raise training.diverged(what, worst)
    training.keeper.draw_slices(at, validation.rows, setup.task.modalities, [*setup.task.regions])
    return validation


def _calibration(
    training: Training, validation: Validation, stages: _Stages
) -> Recipe[dict[str, Calibration]]:
    priors = training.setup.prior_calibrations
    calibrations: dict[str, Calibration] = {}
    for number, (name, prior) in enumerate(priors.items(), start=1):
        yield stages.event("calibrate", number, len(priors), 1.0)
        by_min_share = validation.dice_by_min_share[name]
        calibrations[name] = calibrate(validation.tallies[name], by_min_share, prior)
    return calibrations
