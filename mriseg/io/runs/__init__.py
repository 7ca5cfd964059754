"""Run folders: what was trained, on what, how far, and the weights.

- ``run``: opens and writes one
- ``model_sources``: finds one by name
- ``encoder_weights``: reads a VGG16-BN from elsewhere
- ``tensorboard``: writes the numbers for TensorBoard
"""

from __future__ import annotations

from mriseg.io.runs.run import (
    CARD,
    FORMAT,
    FORMAT_VERSION,
    VERSIONS,
    Checkpoint,
    Manifest,
    Run,
    create_model,
    create_run,
    discard,
    fresh_path,
    newest_run,
    newest_unfinished_run,
    open_run,
    optimiser_tensors,
    restore_optimiser,
)

__all__ = [
    "CARD",
    "FORMAT",
    "FORMAT_VERSION",
    "VERSIONS",
    "Checkpoint",
    "Manifest",
    "Run",
    "create_model",
    "create_run",
    "discard",
    "fresh_path",
    "newest_run",
    "newest_unfinished_run",
    "open_run",
    "optimiser_tensors",
    "restore_optimiser",
]
