"""Configurations: frozen, checked when made, unknown keys refused.

``parse`` turns pydantic's list of problems into one ConfigError that names the key, what was
given and what was expected.
"""

from __future__ import annotations

import difflib
import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mriseg.errors import ConfigError

MULTIPLE = 32
"""The network halves a slice five times: height and width are whole multiples of 2 ** 5."""


class Config(BaseModel):
    """The base of every configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=MULTIPLE, multiple_of=MULTIPLE)]


class AugmentConfig(Config):
    """How training slices are varied. Every probability is per slice; 0 switches a part off."""

    flip: Fraction = 0.5  # left and right
    # Front and back, in axial slices. Off: it takes away what tells apart structures that lie along
    # this axis, such as the two ends of a hippocampus.
    vertical_flip: Fraction = 0.0
    affine: Fraction = 0.7
    rotation: Annotated[float, Field(ge=0, le=180)] = 20.0  # degrees, uniform in +-
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.2  # uniform in 1 +- scale
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.06  # of the slice's size, uniform in +-
    shear: Annotated[float, Field(ge=0, lt=1)] = 0.05  # uniform in +-
    elastic: Fraction = 0.2
    # Standard deviation, of the slice's size.
    elastic_strength: Annotated[float, Field(ge=0, lt=0.5)] = 0.015
    gamma: Fraction = 0.3
    contrast: Fraction = 0.4
    noise: Fraction = 0.2
    blur: Fraction = 0.15
    bias: Fraction = 0.3
    target_contrast: Fraction = 0.5  # of what is marked, against the rest of the brain
    low_resolution: Fraction = 0.0
    drop_modality: Fraction = 0.0


class TransferConfig(Config):
    """How a transfer trains: `mriseg transfer` without options does what stands here.

    The defaults were the best of the transfers in ``docs/results.md``, or within 0.02 of it, with 5
    patients as with 20.
    """

    # What starts from the source: all, or its encoder, under a decoder and a head made anew.
    transfer_part: Literal["all", "encoder"] = "all"
    freeze: str = "none"  # what never trains, see parse_freeze
    # In which order the rest does: at once, what is new first, or from the head down.
    schedule: Literal["direct", "lp-ft", "gradual"] = "direct"
    # A stage's learning rate is multiplied by it once for each stage that it is from the head.
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    # How strongly what was carried over is drawn back to its start, in place of weight decay.
    l2_sp: Annotated[float, Field(ge=0)] = 0.0
    adapt_norm: bool = False  # BatchNorm's statistics from the new slices before training

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

    modalities: tuple[str, ...] | None = None
    regions: tuple[str, ...] | None = None
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    loss: Annotated[str, Field(max_length=200)] = "bce+dice"
    pos_weight: Positive | Literal["auto"] = "auto"
    tumour_fraction: Fraction = 0.5
    slices_per_epoch: Count | None = None
    batch_size: Count = 10
    epochs: Count | None = None
    budget: Positive | None = None  # seconds
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.03  # of the whole training
    clip: Positive = 12.0  # largest norm of the gradient
    # How much of the weights' running average a step leaves; the average is what a run gives.
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.998
    # Training batches, an epoch's at most, from which the averaged network's BatchNorm statistics
    # are taken. 0: the average of what they were.
    norm_batches: Annotated[int, Field(ge=0)] = 40
    # Share of the training, from its beginning, that sees slices at half the resolution; auto: half
    # of it, but none where slices are small.
    low_res_share: Fraction | Literal["auto"] = "auto"
    # Largest height and width of a training slice; larger ones lose their rim. None: no limit.
    size: tuple[Side, Side] | None = None
    # Share of the patients; 0: none, and the weights at the end are the run's.
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.2
    validation_cases: tuple[str, ...] | None = None  # by name, instead of a share
    exclude: tuple[str, ...] = ()  # cases left out, to be measured later
    validate_every: Count = 1  # epochs
    patience: Count = 20  # validations without a better Dice before training stops
    seed: Annotated[int, Field(ge=0)] = 0
    missing: Literal["zero", "skip"] = "zero"
    encoder_weights: str | None = None
    checkpoint_every: Positive = 600.0  # seconds
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


DEFAULT_EPOCHS = 50
DEFAULT_MODALITIES = ("T1", "T2", "FLAIR")

C = TypeVar("C", bound=Config)

# Problems that one message tells.
_TOLD = 10
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def parse(kind: type[C], values: Mapping[str, Any]) -> C:
    """``kind`` made of ``values``.

    Raises:
        ConfigError: a key is unknown or a value does not fit; the message names every one.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        told = [_problem(kind, item) for item in error.errors(include_url=False)]
        more = f"; and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        raise ConfigError("; ".join(told[:_TOLD]) + more) from None


def shown(value: Any) -> str:
    """``value`` as a message quotes it: whole where it is short, for it may be anything."""
    return _SHORT.repr(value)


def _problem(kind: type[Config], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _settings(kind, item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"there is no setting {shown(key)}; {hint}known: {', '.join(known)}"
    message = item["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    return f"{key} = {shown(item['input'])}: {message[0].lower()}{message[1:]}"


def _settings(kind: type[Config], inside: Sequence[str | int]) -> list[str]:
    """The settings of ``kind``, or of the table ``inside`` it."""
    for part in inside:
        field = kind.model_fields.get(str(part))
        options = (field.annotation, *get_args(field.annotation)) if field else ()
        nested = [o for o in options if isinstance(o, type) and issubclass(o, Config)]
        kind = nested[0] if nested else kind
    return list(kind.model_fields)


_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Seconds in "90s", "30m", "1.5h", or "1h30m"; a bare number is minutes.

    Raises:
        ConfigError: it is none of these.
    """
    rest, total = text.strip().lower(), 0.0
    if rest.replace(".", "", 1).isdecimal():
        rest += "m"
    while rest:
        digits = 0
        while digits < len(rest) and (rest[digits].isdecimal() or rest[digits] == "."):
            digits += 1
        unit = _UNITS.get(rest[digits : digits + 1])
        try:
            total += float(rest[:digits]) * (unit or float("nan"))
        except ValueError:
            total = float("nan")
        rest = rest[digits + 1 :] if unit else ""
    if not 0 < total < math.inf:
        raise ConfigError(f"{shown(text)} is no duration; write it as 90s, 30m, 1.5h or 1h30m")
    return total


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
