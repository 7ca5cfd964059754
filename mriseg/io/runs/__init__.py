"""Run folders: what was trained, on what, how far, and the weights.

- ``run``: opens, creates and discards one; draws the folder
- ``manifest``: ``run.json``
- ``checkpoint``: weights and training state in safetensors
- ``certainty``: ``certainty.json``, what predicted Dice and volume ranges are calibrated by
- ``log``: ``log.jsonl``
- ``listing``: names a new one, finds the newest
- ``encoder_weights``: reads a VGG16-BN from elsewhere
- ``tensorboard``: writes the numbers for TensorBoard
"""

from __future__ import annotations

from mriseg.io.runs.certainty import Certainty
from mriseg.io.runs.checkpoint import Checkpoint, State
from mriseg.io.runs.listing import RUNS, fresh_path, newest_run, newest_unfinished_run
from mriseg.io.runs.manifest import FORMAT, FORMAT_VERSION, VERSIONS, Manifest
from mriseg.io.runs.run import CARD, Run, create_model, create_run, discard, open_run

__all__ = [
    "CARD",
    "FORMAT",
    "FORMAT_VERSION",
    "RUNS",
    "VERSIONS",
    "Certainty",
    "Checkpoint",
    "Manifest",
    "Run",
    "State",
    "create_model",
    "create_run",
    "discard",
    "fresh_path",
    "newest_run",
    "newest_unfinished_run",
    "open_run",
]
