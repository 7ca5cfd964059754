"""What a training leaves in its run folder while it goes on: checkpoints, log, curves, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriseg.core.calibration import Calibration
from mriseg.core.segnet import SegNet
from mriseg.engine.trainer import Trainer, TrainerState, on_cpu
from mriseg.io.disk.space import check_space
from mriseg.io.runs import Checkpoint, Run
from mriseg.io.runs.tensorboard import Board
from mriseg.recipes.about import Heard
from mriseg.recipes.run_page import write_page
from mriseg.report import pictures
from mriseg.report.curves import Curves
from mriseg.report.pages.training import Progress
from mriseg.report.pictures import GridRow


@dataclass
class Position:
    """How far a training is; what a checkpoint holds besides tensors.

    Attributes:
        epoch: how many are finished.
        batch: steps done of the current epoch.
        step: steps done in all.
        seconds: spent, over all its sittings.
        loss_sum: of the current epoch.
        rate: the learning rate of the last step.
        best: the best validation score so far; -1 before the first.
        best_epoch: when that was, counted from 1.
        stale: validations since.
        dice: case -> region -> Dice of the best validation.
        paused: seconds of these in which no step was taken: the beginning and validations.
        ending: seconds that what follows the last step takes: validation, calibration, writing;
            0: not known yet.
        scaler: of the gradient, in float16; else empty.
        processes: of each sitting, from which step on how many processes trained together.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    rate: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    stale: int = 0
    dice: dict[str, dict[str, float]] = field(default_factory=dict)
    paused: float = 0.0
    ending: float = 0.0
    scaler: dict[str, Any] = field(default_factory=dict)
    processes: list[tuple[int, int]] = field(default_factory=list)


class Onlooker:
    """Keeps nothing: of processes that train together, all but the first have one.

    Args:
        run: of the training; not read, and perhaps not there.
        position: how far the training is.
        every: seconds between two checkpoints within an epoch.

    Attributes:
        run: of the training.
        heard: what the training said, for its page.
        took: seconds that the last checkpoint took to write, as its training measured.
        keeps: whether it writes.
    """

    keeps = False

    def __init__(self, run: Run, position: Position, every: float) -> None:
        self.run, self.heard, self.took = run, Heard(), 0.0
        self._every, self._saved = every, position.seconds

    def check_space(self) -> None:
        """Refuse a disk that is too small.

        Raises:
            OutputError: it is.
        """

    def is_due(self, seconds: float) -> bool:
        """Whether a checkpoint is due within an epoch."""
        return seconds - self._saved > self._every

    def save(self, trainer: Trainer, position: Position, ended: str = "") -> None:
        """Write "last": weights, their average, optimiser and position in one atomic step."""
        self._saved = position.seconds

    def save_best(
        self,
        network: SegNet,
        position: Position,
        dice: Mapping[str, Mapping[str, float]],
        calibration: Mapping[str, Calibration],
    ) -> None:
        """Write "best": the network that a run gives, and its calibration."""

    def log(self, row: dict[str, Any]) -> None:
        """Add an epoch's numbers to the log and to TensorBoard's."""

    def draw_curves(self, ended: str) -> str | None:
        """Draw the curves and write the page if it is time to; what went wrong, the first time.

        Args:
            ended: why the training ended; empty while it goes on.
        """
        return None

    def draw_slices(
        self,
        position: Position,
        rows: Sequence[GridRow],
        modalities: tuple[str, ...],
        regions: Sequence[str],
    ) -> None:
        """Draw a validation's slices."""


class Keeper(Onlooker):
    """Writes a run's files.

    What the log and TensorBoard's files hold beyond the position did not happen.

    Attributes:
        rows: the log, one row per epoch.
    """

    keeps = True

    def __init__(self, run: Run, position: Position, every: float) -> None:
        super().__init__(run, position, every)
        self.rows = [row for row in run.read_log() if row["epoch"] <= position.epoch]
        self._board = Board(run.path / "tensorboard", position.step)
        self._position, self._ended = position, ""
        self._slices: Path | None = None
        self._curves = Curves(run, also=self._write_page)

    def check_space(self) -> None:
        """See `Onlooker.check_space`."""
        # While a checkpoint is written the old one is still there, and there are two of them.
        check_space(self.run.path, 2 * (self.run.path / "last.safetensors").stat().st_size)

    def save(self, trainer: Trainer, position: Position, ended: str = "") -> None:
        """See `Onlooker.save`."""
        super().save(trainer, position, ended)
        state = trainer.state()
        if state.scaler:
            position.scaler = state.scaler
        about = {"position": dict(position.__dict__), "ended": ended}
        self.run.save("last", Checkpoint(state.weights, state.optimiser, about, state.average))

    def save_best(
        self,
        network: SegNet,
        position: Position,
        dice: Mapping[str, Mapping[str, float]],
        calibration: Mapping[str, Calibration],
    ) -> None:
        """See `Onlooker.save_best`."""
        state = {
            "epoch": position.epoch,
            "step": position.step,
            "dice": dice,
            "calibration": dict(calibration),
        }
        self.run.save("best", Checkpoint(on_cpu(network), {}, state))

    def log(self, row: dict[str, Any]) -> None:
        """See `Onlooker.log`."""
        self.rows.append(row)
        self.run.write_log(self.rows)
        self._board.add(row["step"], {k: v for k, v in row.items() if k not in ("epoch", "step")})

    def draw_curves(self, ended: str) -> str | None:
        """See `Onlooker.draw_curves`."""
        self._ended = ended
        return self._curves.draw(self.rows, last=bool(ended))

    def _write_page(self) -> None:
        at = self._position
        best = at.best if at.dice else None
        progress = Progress(
            self.rows, best, at.best_epoch, at.dice, self._ended, tuple(at.processes)
        )
        write_page(self.run, progress, self.heard, self._slices)

    def draw_slices(
        self,
        position: Position,
        rows: Sequence[GridRow],
        modalities: tuple[str, ...],
        regions: Sequence[str],
    ) -> None:
        """See `Onlooker.draw_slices`."""
        name = f"image_{position.epoch:04d}_{position.step:06d}.png"
        self._slices = self.run.within("images", name)
        pictures.grid(self._slices, rows, modalities, tuple(regions))


def trainer_state(checkpoint: Checkpoint, position: Position) -> TrainerState:
    """What a trainer goes on from, of a "last" checkpoint."""
    return TrainerState(
        checkpoint.weights, checkpoint.average, checkpoint.optimiser, position.scaler
    )
