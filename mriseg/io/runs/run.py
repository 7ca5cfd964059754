"""A run folder: what was trained, on what, how far, and the weights.

::

    runs/20261123-101500-out/
        run.json            format, configuration, model, channels, regions, split, versions
        best.safetensors    weights of the best validation
        last.safetensors    weights, their average, optimiser and position of the latest checkpoint
        log.jsonl           one line of numbers per epoch
        curves.png          the same numbers as curves
        tensorboard/        the same numbers for TensorBoard
        images/             a picture grid per validation
        transfer.json       of a transfer: what was kept, adapted and initialised
        start.safetensors   of a transfer with L2-SP: the values that parameters are pulled towards
        trackers.json       of a training with trackers: what each of them has
        certainty.json      what predicted Dice and ranges are calibrated by; written at the end

A shared model (`mriseg.recipes.share`) is such a folder too, with ``run.json``,
``best.safetensors``, ``certainty.json`` and its card, ``README.md``, alone, and ``"kind": "model"``
in its manifest: to predict with and to transfer from, not to resume.

Everything is written beside its place and renamed into it, so each file is whole whenever the
process dies.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mriseg.core.calibration import Calibration, Calibrations
from mriseg.core.certainty import CertaintyMap
from mriseg.core.familiarity import TrainingScans
from mriseg.errors import OutputError, RunError, reason_of
from mriseg.io.disk.atomic import contents, is_free, replacing
from mriseg.io.hub.fetching import address_of
from mriseg.io.model_sources import locate
from mriseg.io.runs import log
from mriseg.io.runs.certainty import Certainty, read_certainty, write_certainty
from mriseg.io.runs.checkpoint import (
    Checkpoint,
    read_checkpoint,
    read_digest,
    read_state,
    write_checkpoint,
)
from mriseg.io.runs.manifest import FILE, Manifest, read_manifest, write_manifest
from mriseg.io.runs.shown import run_overview
from mriseg.overview.shown import Shown
from mriseg.overview.values import PAGE, Overview

CARD = "README.md"
"""The card of a shared model, by the name that the Hugging Face Hub shows."""
_EARLIER_CARD = "MODEL_CARD.md"


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """A run folder that exists; from `create_run` or `open_run`."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The folder's name; of a model on the Hub, the model's."""
        address = address_of(self.path)
        return address.name if address else self.path.name

    @property
    def log_path(self) -> Path:
        """One line of JSON per epoch."""
        return self.path / "log.jsonl"

    @property
    def curves_path(self) -> Path:
        """The log as a picture; exists after the first validation."""
        return self.path / "curves.png"

    @property
    def curves(self) -> Path | None:
        """The picture of its learning curves; None before the first validation."""
        return self.curves_path if self.curves_path.is_file() else None

    @property
    def page(self) -> Path | None:
        """The page of its training; None where there is none, as in a shared model."""
        path = self.path / PAGE
        return path if path.is_file() else None

    @property
    def card(self) -> Path:
        """The card of a shared model, also by the name that it had before."""
        path, earlier = self.path / CARD, self.path / _EARLIER_CARD
        return earlier if earlier.is_file() and not path.is_file() else path

    def __repr__(self) -> str:
        # Nothing is read, since debuggers call it at any time.
        return f"<Run {self.path}>"

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`; raises RunError."""
        ended = self.ended if self.has("last") else ""
        return run_overview(self.path, self.manifest, self.read_log(), ended)

    def within(self, *parts: str) -> Path:
        """The path of a file in the run; a run that went away is not created again.

        Raises:
            OutputError: the run is gone.
        """
        if not self.path.is_dir():
            raise OutputError(f"{self.path} is gone: {'/'.join(parts)} cannot be written")
        return self.path.joinpath(*parts)

    def save(self, which: str, checkpoint: Checkpoint) -> Path:
        """Write "best" or "last" in one atomic step and return its path.

        Raises:
            OutputError: it cannot be written; the file that was there is untouched.
        """
        path = self._weights(which)
        write_checkpoint(path, checkpoint)
        return path

    def load(self, which: str = "best") -> Checkpoint:
        """Read "best" or "last". Weights that are stored in float16 come as float32.

        Raises:
            RunError: it is missing or damaged.
        """
        return read_checkpoint(self._weights(which))

    def has(self, which: str) -> bool:
        """Whether "best" or "last" was written."""
        return self._weights(which).exists()

    @property
    def chosen(self) -> str:
        """The checkpoint to use: "best", or "last" before the first validation."""
        return "best" if self.has("best") else "last"

    def load_chosen(self) -> Checkpoint:
        """Read the checkpoint to use.

        Raises:
            RunError: it is missing or damaged, or no step was trained: the weights that a training
                begins with are in part random.
        """
        checkpoint = self.load(self.chosen)
        position = checkpoint.state.get("position")
        if position is not None and not position.get("step"):
            raise RunError(
                f"{self.path} has not been trained: it was stopped before its first step; continue "
                f"with: mriseg train --resume {self.path}, or name another run"
            )
        return checkpoint

    @property
    def ended(self) -> str:
        """Why its training ended; empty while it can be resumed.

        Raises:
            RunError: its latest checkpoint is damaged.
        """
        return read_state(self._weights("last")).get("ended", "")

    def calibration(self) -> Calibrations:
        """What validation found for the regions, in their order; reads the checkpoint's header.

        Raises:
            RunError: the chosen checkpoint is damaged.
        """
        by_name = read_state(self._weights(self.chosen)).get("calibration", {})
        # Before the first validation nothing is known of any region.
        regions = self.manifest.regions
        return Calibrations(tuple(by_name.get(name, Calibration()) for name in regions))

    def certainty(self) -> Certainty | None:
        """What it knows of its own certainty; None where there is none of these weights.

        Raises:
            RunError: it, or the chosen checkpoint, is damaged.
        """
        certainty = read_certainty(self.path)
        if certainty is None or certainty.weights != read_digest(self._weights(self.chosen)):
            return None
        return certainty

    def keep_certainty(
        self, regions: Mapping[str, CertaintyMap], scans: TrainingScans | None
    ) -> None:
        """Write what is known of the certainty of the chosen checkpoint, in one atomic step.

        Raises:
            RunError: the checkpoint is missing or damaged.
            OutputError: it cannot be written.
        """
        digest = read_digest(self._weights(self.chosen))
        write_certainty(self.path, Certainty(digest, dict(regions), scans))

    def digest(self) -> str:
        """By which the model is known again: of its weights, its calibration and its channels.

        Raises:
            RunError: the chosen checkpoint is missing or damaged.
        """
        manifest = self.manifest
        parts = [
            read_digest(self._weights(self.chosen)),
            manifest.model,
            manifest.modalities,
            [[name, labels] for name, labels in manifest.regions.items()],
            manifest.frame,
            manifest.mirrored,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def is_shared(self) -> bool:
        """Whether it is a shared model without its training; nothing is written into it."""
        return self.manifest.kind == "model"

    def read_log(self) -> list[dict[str, Any]]:
        """The numbers of each epoch so far; a damaged line ends them.

        Raises:
            RunError: the log is not a readable file.
        """
        return log.read_rows(self.log_path)

    def write_log(self, rows: Sequence[dict[str, Any]]) -> None:
        """Replace the log: on each epoch, and cut back to the checkpoint when resuming.

        Raises:
            OutputError: it cannot be written.
        """
        log.write_rows(self.log_path, rows)

    def _weights(self, which: str) -> Path:
        return self.path / f"{which}.safetensors"


def create_run(path: Path, manifest: Manifest) -> Run:
    """A new run folder.

    Raises:
        OutputError: ``path`` is taken, or cannot be created.
    """
    if not is_free(path):
        raise OutputError(f"{path} exists; choose another folder, or --resume it")
    write_manifest(path, manifest)
    return Run(path, manifest)


def create_model(
    path: Path,
    manifest: Manifest,
    checkpoint: Checkpoint,
    card: str,
    certainty: Certainty | None = None,
) -> Run:
    """A new folder of a model without its training, with its card.

    Args:
        path: the folder.
        manifest: of the run that it is from.
        checkpoint: its weights.
        card: its text.
        certainty: of that run; kept as that of these weights.

    Raises:
        OutputError: ``path`` is taken, or cannot be written; nothing is left of it.
    """
    run = create_run(path, replace(manifest, kind="model"))
    try:
        run.save("best", checkpoint)
        if certainty is not None:
            run.keep_certainty(certainty.regions, certainty.scans)
        with replacing(path / CARD) as temporary:
            temporary.write_text(card, encoding="utf-8")
    except BaseException:
        # The folder was free, so all that is in it is ours.
        shutil.rmtree(path, ignore_errors=True)
        raise
    return run


def discard(run: Run) -> None:
    """Empty the folder of a run that was stopped before its first checkpoint, to start again there.

    Raises:
        OutputError: it has weights, or cannot be emptied.
    """
    if run.has("best") or run.has("last"):
        raise OutputError(f"{run.path} holds weights, which are kept; choose another folder")
    try:
        # All but its lock, which the caller may hold; the manifest last, which shows that this is
        # a run that can be discarded.
        for path in sorted(contents(run.path), key=lambda path: path.name == FILE):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise OutputError(f"{run.path} cannot be emptied: {reason_of(error)}") from error


def open_run(path: str | Path) -> Run:
    """Open a run folder, or a model by its name (`mriseg.io.model_sources.locate`).

    Raises:
        RunError: it is not a run, or of a format that this version cannot read.
    """
    folder = locate(path)
    return Run(folder, read_manifest(folder))
