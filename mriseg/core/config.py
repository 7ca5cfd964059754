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
from mriseg.errors import ConfigError

__all__ = [
    "DEFAULT_EPOCHS",
    "DEFAULT_MODALITIES",
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

_DATA, _NETWORK, _TRAINING, _TRANSFER = "Data", "Network", "Training", "Transfer"


class TransferConfig(Config):
    """How a transfer trains: `mriseg transfer` without options does what the defaults say.

    The defaults were the best of the transfers in ``docs/results.md``, or within 0.02 of it, with 5
    patients as with 20.
    """

    transfer_part: Annotated[
        Literal["all", "encoder"],
        Setting(
            "What is taken from the source run: all of the network, or its encoder alone, under a "
            "newly initialised decoder and output layer",
            "all|encoder",
            panel=_TRANSFER,
        ),
    ] = "all"
    freeze: Annotated[
        str,
        Setting(
            "Stages that are not trained, batch-norm statistics included: none, encoder, encoder:K "
            "(its first K of 5 blocks), all-but-head, or all-but-first (for the same regions from "
            "another scanner or sequence)",
            "STAGES",
            panel=_TRANSFER,
        ),
    ] = "none"
    schedule: Annotated[
        Literal["direct", "lp-ft", "gradual"],
        Setting(
            "When the other stages start to train: direct (all at once), lp-ft (new ones first, "
            "then all) or gradual (from the head down, one stage at a time)",
            "direct|lp-ft|gradual",
            panel=_TRANSFER,
        ),
    ] = "direct"
    layer_decay: Annotated[
        float,
        Field(gt=0, le=1),
        Setting(
            "Multiply the learning rate by this for every stage away from the head; 1 = the same "
            "rate everywhere",
            "FACTOR",
            panel=_TRANSFER,
        ),
    ] = 1.0
    l2_sp: Annotated[
        float,
        Field(ge=0),
        Setting(
            "L2-SP strength: pull the transferred weights towards their starting values, in place "
            "of weight decay; 0 = off",
            "STRENGTH",
            panel=_TRANSFER,
        ),
    ] = 0.0
    adapt_norm: Annotated[
        bool,
        Setting(
            "Re-estimate the batch-norm statistics on the new slices before training",
            panel=_TRANSFER,
        ),
    ] = False

    @model_validator(mode="after")
    def _known(self) -> TransferConfig:
        kind, blocks = parse_freeze(self.freeze)
        if (self.transfer_part, self.schedule, blocks) == ("encoder", "lp-ft", 5):
            raise ValueError(
                f"freeze = {self.freeze!r} never trains what transfer_part = 'encoder' "
                f"takes over, so there is nothing for schedule = 'lp-ft' to put second; choose "
                f"freeze = 'none'"
            )
        if self.schedule != "direct" and kind in ("all-but-head", "all-but-first"):
            raise ValueError(
                f"freeze = {self.freeze!r} lets one stage train, so there is nothing for schedule "
                f"= {self.schedule!r} to put in order; leave one of them out"
            )
        if self.transfer_part == "encoder" and kind in ("all-but-head", "all-but-first"):
            raise ValueError(
                f"freeze = {self.freeze!r} would never train the decoder that "
                f"transfer_part = 'encoder' re-initialises; leave one of them out"
            )
        return self


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


def parse_freeze(text: str) -> tuple[str, int]:
    """A freeze policy: ``("none" | "encoder" | "all-but-head" | "all-but-first", K)``.

    "encoder:K" freezes the encoder's first K of 5 blocks; "encoder" all of them; "all-but-first"
    all stages but the encoder's first block, for the same task from another scanner or sequence.

    Raises:
        ConfigError: it is none of these.
    """
    kind, _, count = text.partition(":")
    if kind == "encoder" and (not count or (count.isdecimal() and 1 <= int(count) <= 5)):
        return "encoder", int(count or 5)
    if kind in ("none", "all-but-head", "all-but-first") and not count:
        return kind, 0
    raise ConfigError(
        f"freeze = {shown(text)}: expected none, encoder, encoder:K with K from 1 to 5, "
        f"all-but-head or all-but-first"
    )
