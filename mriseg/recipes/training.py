"""A training under way: its parts, what it says of itself, and what it does about NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from mriseg.engine.divergence import Suspect, suspects
from mriseg.engine.segmenter import case_cost
from mriseg.engine.trainer import Trainer
from mriseg.errors import DivergedError
from mriseg.events import Advanced
from mriseg.recipes.batches import Batches
from mriseg.recipes.certainty import spread
from mriseg.recipes.clock import Clock
from mriseg.recipes.diverged import diverged
from mriseg.recipes.keeper import Onlooker, Position
from mriseg.recipes.pace import Outlook, Pace, validations_left
from mriseg.recipes.setup import Setup
from mriseg.recipes.validate import seconds_per_slice


@dataclass(frozen=True)
class Training:
    """A training under way: each part knows its own business and none of the others'.

    Attributes:
        setup: its plan.
        trainer: what a step changes.
        batches: reads and augments.
        clock: epochs or a budget.
        pace: how long a step takes.
        keeper: writes.
        at: how far it is.
        is_new: whether its settings can still be chosen, since it has only begun.
    """

    setup: Setup
    trainer: Trainer
    batches: Batches
    clock: Clock
    pace: Pace
    keeper: Onlooker
    at: Position
    is_new: bool

    @property
    def levels(self) -> tuple[float, ...]:
        """Of each region, the probability above which a validation segments a voxel."""
        return tuple(each.own_threshold for each in self.setup.prior_calibrations.values())

    @property
    def norm_batches(self) -> int:
        """Batches that the average's statistics are re-estimated from; 0: they are averaged."""
        config = self.setup.config
        return min(config.norm_batches, self.clock.batches) if config.ema_decay else 0

    def save(self, ended: str = "") -> None:
        """Write "last", whose weights are finite."""
        self.check_weights()
        self.at.seconds = before = self.clock.tick()
        self.at.paused = self.clock.paused
        self.keeper.save(self.trainer, self.at, ended)
        self.keeper.took = self.clock.tick() - before

    def certainty_seconds(self, validation: float) -> float:
        """Seconds that measuring the certainty at the very end takes, where a validation takes so.

        Each case passes through the network once for each mirrored copy, instead of once.
        """
        names = self.setup.split.validation
        if not names:
            return 0.0
        augment = self.setup.config.augment
        copies: int = 2 ** sum(share > 0 for share in (augment.flip, augment.vertical_flip))
        cases = self.setup.index.only(names).cases
        slices = fmean(case.shape[0] for case in cases)
        once, each = (case_cost(slices, passes=passes, adapt=True) for passes in (1, copies))
        return validation * each / once * len(spread(names)) / len(names)

    # What it says

    def left(self) -> float | None:
        """Seconds until the end of everything; None: nothing is known yet."""
        clock, at, config = self.clock, self.at, self.setup.config
        if clock.epochs is None:
            return max(clock.budget - clock.seconds, 0.0)
        if not self.pace.is_known:
            return None
        every = config.validate_every if self.setup.split.validation else clock.epochs
        ends = validations_left(at.epoch, clock.epochs, every)
        return self.pace.seconds(at.step, clock.total) + ends * clock.ending

    def stepped(self, speed: float) -> Advanced:
        """The event after some steps, ``speed`` of them images per second."""
        at = self.at
        numbers = {"loss": at.loss_sum / at.batch, "images/s": speed}
        if at.best >= 0:
            numbers["Dice"] = at.best
        item = f"epoch {at.epoch + 1}"
        if self.clock.epochs is None:
            item += f", step {at.step}"
        return Advanced("train", self.clock.done(at.step), numbers, item, self.left())

    def outlook(self) -> Outlook:
        """What is left of it, for a sentence."""
        clock, at, setup, pace = self.clock, self.at, self.setup, self.pace
        config = setup.config
        validates, every = bool(self.setup.split.validation), config.validate_every
        if clock.epochs is not None:
            steps: float = clock.total - at.step
            seconds = pace.seconds(at.step, clock.total)
            endings = validations_left(at.epoch, clock.epochs, every if validates else clock.epochs)
        else:
            seconds = max(clock.deadline - clock.seconds, 0.0)
            steps, endings = pace.steps_in(seconds, clock.deadline), 1
            if validates and steps:
                # Validations in between take their share of the time for steps.
                per_step = seconds / steps + clock.ending / (clock.batches * every)
                steps = seconds / per_step
        return Outlook(
            epochs=clock.epochs,
            batches=clock.batches,
            width=setup.width,
            steps_left=steps,
            step_seconds=seconds / steps if steps else clock.step_seconds,
            endings_left=endings,
            ending=clock.ending,
            validates=validates,
            narrower=config.transfer is None and config.encoder_weights is None,
            shorter=self.is_new,
        )

    def measure_ending(self) -> None:
        """Find out how long the end will take, if that is not known yet, from a few slices."""
        if self.clock.ending:
            return
        self.clock.pause()
        setup = self.setup
        validation = setup.index.only(setup.split.validation).cases
        name = (*setup.split.validation, *setup.split.train)[0]
        case = self.batches.store.read_case(name)
        trainer = self.trainer
        each = seconds_per_slice(
            trainer.average, trainer.backend, case, setup.task, self.levels, now=self.clock.tick
        )
        # Of the process that has most to do, where several share the work.
        ranks = trainer.backend.ranks
        depths = [entry.shape[0] for entry in validation]
        slices = max(sum(depths[rank :: ranks.world]) for rank in range(ranks.world))
        slices += self.norm_batches * -(-setup.config.batch_size // ranks.world)
        # "best" is about as large as "last".
        spent = slices * each
        spent += self.certainty_seconds(spent)
        self.clock.ending = self.at.ending = spent + 2 * self.keeper.took
        self.clock.go_on()

    # What it does about NaN

    def add_losses(self, losses: Sequence[Tensor]) -> None:
        """Add what the steps since the last look lost. Raises DivergedError if it is not finite."""
        values = torch.stack(list(losses)).cpu().tolist()
        for number, value in enumerate(values):
            if not math.isfinite(value):
                ago = len(values) - 1 - number
                raise self._diverged_in_step(f"the loss became {value:g}", ago)
            # One by one, so that the sum does not depend on when one looks.
            self.at.loss_sum += value

    def check_weights(self) -> None:
        """Raise DivergedError if a weight is not finite."""
        if name := self.trainer.broken_weight():
            what = f"{name}, a weight, became infinite or NaN"
            raise self._diverged_in_step(what, ago=0)

    def diverged(self, what: str, worst: Sequence[Suspect]) -> DivergedError:
        """The error for ``what`` went wrong, which the ``worst`` slices may be to blame for."""
        in_full = self.trainer.backend.dtype == torch.float32
        rate = self.setup.config.learning_rate
        return diverged(what, worst, self.keeper.run.path, rate=rate, in_full=in_full)

    def _diverged_in_step(self, what: str, ago: int) -> DivergedError:
        """For what went wrong ``ago`` steps before the last one, whose batch it names."""
        step, ranks = self.at.step - ago, self.trainer.backend.ranks
        # The first process alone has the last good weights, and looks for all.
        worst = self._suspects(ago) if ranks.first else []
        error = self.diverged(f"{what} at epoch {self.at.epoch + 1}, step {step}", worst)
        return DivergedError(ranks.agree(str(error)))

    def _suspects(self, ago: int) -> list[Suspect]:
        at, trainer = self.at, self.trainer
        step = at.step - ago
        worst: list[Suspect] = []
        if step and at.batch > ago:
            # Made again as it was, and looked at with weights that can still tell.
            plan = self.setup.plan(at.epoch)[at.batch - 1 - ago]
            with closing(self.batches([plan], "augment", step - 1, whole=True)) as batches:
                image, target = next(batches)
            trainer.model.load_state_dict(self.keeper.run.load("last").weights)
            worst = suspects(plan.refs, image, target, trainer.model, trainer.loss)
        return worst
