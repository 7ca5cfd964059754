"""What `mriseg.train` and its kin take as keyword arguments, for type checkers and editors.

Those of trainings are the settings of `mriseg.core.config.TrainConfig` in every form in which
`mriseg.core.train_settings.training_config` reads them, where the configuration has the one form
that it keeps. Nothing is checked or decided here: the names are held equal to those of the
configurations by a test, and the values are checked by the configurations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, Literal, TypedDict

from mriseg.core.config import AugmentConfig


class ScanKeywords(TypedDict, total=False):
    """How scans are read: the fields of `mriseg.recipes.scans.ScanOptions`; None: not given."""

    layout: str
    regions: str | None
    channels: str | Sequence[str] | None
    labels: str | Path | Mapping[str, Path] | None
    workers: int | None
    executor: str | Executor | None


class TrainKeywords(TypedDict, total=False):
    """The settings of a training; None: not given."""

    modalities: str | Sequence[str] | None
    regions: str | Sequence[str] | None
    width: int | None
    loss: str | None
    pos_weight: float | str | None
    tumour_fraction: float | None
    slices_per_epoch: int | None
    batch_size: int | None
    epochs: int | None
    budget: float | str | None
    learning_rate: float | None
    weight_decay: float | None
    warmup: float | None
    clip: float | None
    ema_decay: float | None
    norm_batches: int | None
    low_res_share: float | Literal["auto"] | None
    size: str | tuple[int, int] | None
    validation: float | None
    validation_cases: str | Sequence[str] | None
    exclude: str | Sequence[str] | None
    validate_every: int | None
    patience: int | None
    seed: int | None
    missing: Literal["zero", "skip"] | None
    encoder_weights: str | None
    calibration: str | None
    checkpoint_every: float | None
    augment: AugmentConfig | Mapping[str, Any] | None


class TransferKeywords(TrainKeywords, total=False):
    """The settings of a transfer: those of a training, and of how it proceeds."""

    transfer_part: Literal["all", "encoder"] | None
    freeze: str | None
    schedule: Literal["direct", "lp-ft", "gradual"] | None
    layer_decay: float | None
    l2_sp: float | None
    adapt_norm: bool | None
