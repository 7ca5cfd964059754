"""How a transfer trains, as a user can set it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mriseg.core.settings import Config, Setting, shown
from mriseg.errors import ConfigError

_TRANSFER = "Transfer"


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
