"""All that a user can set about a training, declared once: type, bounds, default and meaning.

`mriseg.core.settings` says what a `Setting` is and checks what is given.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mriseg.core.augment_config import AugmentConfig
from mriseg.core.settings import (
    BelowOne,
    Config,
    Count,
    Fraction,
    Positive,
    Setting,
    Side,
    parse,
    shown,
)
from mriseg.core.transfer_config import TransferConfig, parse_freeze

__all__ = [
    "DEFAULT_EPOCHS",
    "DEFAULT_MODALITIES",
    "FREE_SETTINGS",
    "AugmentConfig",
    "Config",
    "Count",
    "TrainConfig",
    "TransferConfig",
    "parse",
    "parse_freeze",
    "shown",
]

DEFAULT_EPOCHS = 50
DEFAULT_MODALITIES = ("T1", "T2", "FLAIR")
FREE_SETTINGS = frozenset({"checkpoint_every"})
"""Settings that decide no number, so that they may change between two sittings."""

_DATA, _NETWORK, _TRAINING = "Data", "Network", "Training"


class TrainConfig(Config):
    """All that decides a training but the data and the machine."""

    modalities: Annotated[
        tuple[str, ...] | None,
        Setting(
            "Input channels of the network: any subset of the store's modalities, in any spelling "
            "(t1n, T1CE, flair)",
            "T1,T2,FLAIR",
            default=f"{','.join(DEFAULT_MODALITIES)}, or all that the store has if it lacks one; "
            "in a transfer, those that the source reads",
            panel=_DATA,
        ),
    ] = None
    regions: Annotated[
        tuple[str, ...] | None,
        Setting(
            "Regions to segment, by their names in the store", "WT,TC", default="all", panel=_DATA
        ),
    ] = None
    width: Annotated[
        Annotated[int, Field(ge=8, multiple_of=8)] | None,
        Setting(
            "Width of the network (channels of the first block), a multiple of 8; narrow is fast",
            "N",
            "channels",
            default="the widest of 64, 32 and 16 that this machine trains within the budget, or "
            "within two hours; in a transfer, the source's",
            panel=_NETWORK,
        ),
    ] = None
    loss: Annotated[
        str,
        Field(max_length=200),
        Setting(
            "Loss: bce, dice, focal, tversky, or a weighted sum such as 0.5*bce+dice",
            "LOSS",
            panel=_TRAINING,
        ),
    ] = "bce+dice"
    pos_weight: Annotated[
        Positive | Literal["auto"],
        Setting(
            "Weight of foreground voxels in bce; auto: the fourth root of background over "
            "foreground, about 3 for a tumour",
            "WEIGHT",
            panel=_TRAINING,
        ),
    ] = "auto"
    tumour_fraction: Annotated[
        Fraction, Setting("Share of the training slices that contain foreground")
    ] = 0.5
    slices_per_epoch: Annotated[
        Count | None,
        Setting("Slices in an epoch", unit="slices", default="each foreground slice once"),
    ] = None
    batch_size: Annotated[Count, Setting("Slices per step", "N", "slices", panel=_TRAINING)] = 10
    epochs: Annotated[
        Count | None,
        Setting(
            "Number of epochs",
            "N",
            "epochs",
            default=f"{DEFAULT_EPOCHS}, unless a budget is given",
            panel=_TRAINING,
        ),
    ] = None
    budget: Annotated[
        Positive | None,
        Setting(
            "Train for this long, validation included, instead of a number of epochs: 90s, 30m, "
            "1h30m; the unit is required",
            "TIME",
            "time",
            default="none",
            panel=_TRAINING,
        ),
    ] = None
    learning_rate: Annotated[
        float, Field(gt=0, le=1), Setting("Peak learning rate", "RATE", panel=_TRAINING)
    ] = 1e-3
    weight_decay: Annotated[float, Field(ge=0), Setting("Weight decay of AdamW")] = 1e-2
    warmup: Annotated[
        BelowOne,
        Setting(
            "How long the learning rate rises to its peak, before it falls",
            unit="share of the training",
        ),
    ] = 0.03
    clip: Annotated[
        Positive, Setting("Largest norm of the gradient; a larger one is scaled down to it")
    ] = 12.0
    ema_decay: Annotated[
        BelowOne,
        Setting(
            "Decay per step of the weights' exponential moving average, which is what a run keeps; "
            "0 = off"
        ),
    ] = 0.998
    norm_batches: Annotated[
        int,
        Field(ge=0),
        Setting(
            "Training batches, at most one epoch's, to re-estimate the averaged network's "
            "batch-norm statistics from; 0 = average the statistics as well",
            unit="batches",
        ),
    ] = 40
    low_res_share: Annotated[
        Fraction | Literal["auto"],
        Setting(
            "How long, from its start, training uses slices at half the resolution; 0 = not at all",
            unit="share of the training",
            default="auto: half of it, or none where slices are small",
        ),
    ] = "auto"
    size: Annotated[
        tuple[Side, Side] | None,
        Setting(
            "Largest height and width of a training slice, multiples of 32; larger slices are "
            "cropped",
            "HxW",
            "pixels",
            default="that of the largest slice",
            panel=_DATA,
        ),
    ] = None
    validation: Annotated[
        BelowOne,
        Setting(
            "Share of the patients to validate on; 0 = none, and the final weights are kept",
            "SHARE",
            "share of the patients",
            panel=_DATA,
        ),
    ] = 0.2
    validation_cases: Annotated[
        tuple[str, ...] | None,
        Setting(
            "Cases to validate on, by name, instead of a share", "A,B", default="none", panel=_DATA
        ),
    ] = None
    exclude: Annotated[
        tuple[str, ...],
        Setting(
            "Cases to leave out, so that they can be evaluated later",
            "A,B",
            default="none",
            panel=_DATA,
        ),
    ] = ()
    validate_every: Annotated[
        Count,
        Setting("Validate every N epochs, and after the last", "N", "epochs", panel=_TRAINING),
    ] = 1
    patience: Annotated[
        Count,
        Setting(
            "Stop after N validations without a better Dice", "N", "validations", panel=_TRAINING
        ),
    ] = 20
    seed: Annotated[
        int,
        Field(ge=0),
        Setting(
            "Random seed for the split, the initial weights, sampling and augmentation",
            "N",
            panel=_TRAINING,
        ),
    ] = 0
    missing: Annotated[
        Literal["zero", "skip"],
        Setting("Cases that lack a modality: zero fills it with zeros, skip leaves the case out"),
    ] = "zero"
    encoder_weights: Annotated[
        str | None,
        Setting(
            "Start the encoder from a VGG16-BN: a .pth or .safetensors file with the names of "
            "torchvision or timm, or imagenet to download torchvision's; needs a width of 64",
            "FILE|imagenet",
            default="random weights",
            panel=_NETWORK,
        ),
    ] = None
    calibration: Annotated[
        str | None,
        Setting(
            "Threshold and calibration that mriseg cross-validate measured on patients left out: "
            "its folder; for a training without validation patients, of the same modalities, "
            "regions and width",
            "OUT",
            default="that of the validation patients; without them, what follows from the loss",
            panel=_DATA,
        ),
    ] = None
    checkpoint_every: Annotated[Positive, Setting("Time between checkpoints", unit="seconds")] = (
        600.0
    )
    augment: AugmentConfig = AugmentConfig()
    transfer: TransferConfig | None = None

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.epochs is not None and self.budget is not None:
            raise ValueError("give epochs or a budget, not both: each says when to stop")
        for key in ("modalities", "regions", "validation_cases"):
            names = getattr(self, key)
            if names is not None and not names:
                raise ValueError(f"{key} names nothing; name one at least, or leave it out")
            if names and len(set(names)) != len(names):
                raise ValueError(f"{key} holds a name twice: {', '.join(names)}")
        return self
