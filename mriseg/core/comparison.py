"""Several ways to begin a training, told apart: from the scores of cases to plain sentences.

The question is what a transfer adds to training from scratch. So every method is set against
`BASELINE` on the same patients, at each size of the training set by itself; and where both are
there, the source's frozen encoder against a random one, which is what the source's features add.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from mriseg.core.config import TransferConfig
from mriseg.core.statistics import (
    Difference,
    Estimate,
    difference,
    estimate,
    holm,
    is_shown,
    per_patient,
    verdict,
)
from mriseg.errors import ConfigError

# Of the bootstrap and the test: the same scores give the same intervals.
_SEED = 0


@dataclass(frozen=True)
class Method:
    """A way to begin a training.

    Attributes:
        what: it in words.
        transfer: how its transfer trains; None: it begins at random and all of it trains.
        weights: whose a transfer begins with, the source's or random ones.
    """

    what: str
    transfer: TransferConfig | None = None
    weights: Literal["source", "random"] = "source"

    @property
    def carries(self) -> bool:
        """Whether anything of the source is in it."""
        return self.transfer is not None and self.weights == "source"


BASELINE = "scratch"
_OWN, _RANDOM = "frozen-encoder", "frozen-random"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        BASELINE: Method("all weights random, all trained"),
        _RANDOM: Method(
            "a random encoder that stays as it is", TransferConfig(freeze="encoder"), "random"
        ),
        _OWN: Method("the source's encoder stays as it is", TransferConfig(freeze="encoder")),
        "lp-ft": Method(
            "the head first, then all", TransferConfig(freeze="none", schedule="lp-ft")
        ),
        "full": Method("all of the source's weights, all trained", TransferConfig(freeze="none")),
        "encoder": Method(
            "the source's encoder under a decoder of its own, all trained",
            TransferConfig(transfer_part="encoder", freeze="none"),
        ),
        "encoder-lp-ft": Method(
            "the same, the decoder first",
            TransferConfig(transfer_part="encoder", freeze="none", schedule="lp-ft"),
        ),
        "encoder-frozen": Method(
            "the source's encoder with new statistics stays, under a decoder of its own",
            TransferConfig(transfer_part="encoder", freeze="encoder", adapt_norm=True),
        ),
        "head": Method(
            "the source's encoder and decoder stay", TransferConfig(freeze="all-but-head")
        ),
        "first-block": Method(
            "the encoder's first block alone trains", TransferConfig(freeze="all-but-first")
        ),
        "gradual": Method(
            "unfrozen from the head down", TransferConfig(freeze="none", schedule="gradual")
        ),
        "layer-decay": Method(
            "all trained, slower towards the input", TransferConfig(freeze="none", layer_decay=0.7)
        ),
        "l2-sp": Method(
            "all trained, drawn back to the source", TransferConfig(freeze="none", l2_sp=10.0)
        ),
        "adapt-norm": Method(
            "the source's encoder stays, its BatchNorm statistics taken anew",
            TransferConfig(freeze="encoder", adapt_norm=True),
        ),
    }
)
"""Name -> method."""

USUAL = (BASELINE, _RANDOM, _OWN, "lp-ft", "full")
"""The methods of a comparison that names none."""


def chosen_methods(names: Sequence[str] | None) -> tuple[str, ...]:
    """The methods to compare, the baseline always first among them.

    Args:
        names: of them; None: the usual ones.

    Raises:
        ConfigError: one is not known, or none but the baseline is left.
    """
    wanted = USUAL if names is None else tuple(names)
    unknown = [name for name in wanted if name not in METHODS]
    if unknown:
        raise ConfigError(f"methods: there is no {', '.join(unknown)}; known: {', '.join(METHODS)}")
    chosen = tuple(dict.fromkeys((BASELINE, *wanted)))
    if len(chosen) == 1:
        raise ConfigError(
            f"methods: name at least one to set against {BASELINE}; known: {', '.join(METHODS)}"
        )
    return chosen


@dataclass(frozen=True)
class Score:
    """One case after one training that knew nothing of its patient.

    Attributes:
        method: how the training began.
        size: how many patients trained, as it was asked for: "10" or "all".
        patients: how many that were.
        seed: of the training, and of the choice of its patients.
        fold: whose patients were held out, counted from 1.
        patient: whose scan it is.
        case: its name.
        dice: in 3-D, the mean over the regions.
        regions: region -> Dice.
        seconds: that the training took.
    """

    method: str
    size: str
    patients: int
    seed: int
    fold: int
    patient: str
    case: str
    dice: float
    regions: Mapping[str, float]
    seconds: float

    def to_row(self) -> dict[str, Any]:
        """It as a row of a table, a column a region."""
        row = {key: value for key, value in self.__dict__.items() if key != "regions"}
        return {**row, **{f"dice_{name}": value for name, value in self.regions.items()}}


@dataclass(frozen=True)
class Cell:
    """One method at one size.

    Attributes:
        method: its name.
        size: as in `Score`.
        patients: that trained, the mean over the folds to the nearest whole.
        trainings: how many there were.
        dice: over the patients that were held out, seeds averaged.
        seeds: the mean of each seed's patients: how much the trainings themselves vary.
        seconds: of a training, the mean.
    """

    method: str
    size: str
    patients: int
    trainings: int
    dice: Estimate
    seeds: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Contrast:
    """One method against another at one size.

    Attributes:
        method: its name.
        against: the other's.
        size: as in `Score`.
        difference: over the same patients, seeds averaged.
        corrected: p, corrected (Holm) for all methods set against the baseline at this size.
        verdict: in plain words, by the corrected p.
    """

    method: str
    against: str
    size: str
    difference: Difference
    corrected: float
    verdict: str

    @property
    def shown(self) -> bool:
        """Whether there is a difference, by the corrected p."""
        return is_shown(replace(self.difference, p=self.corrected))


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes:
        cells: a method at a size each; sizes and methods in order of appearance.
        contrasts: likewise.
        verdicts: size -> whether to transfer, in plain words.
    """

    cells: tuple[Cell, ...]
    contrasts: tuple[Contrast, ...]
    verdicts: Mapping[str, str]


def compared(scores: Sequence[Score]) -> Comparison:
    """Means, paired differences and verdicts of a finished comparison.

    Args:
        scores: every case after every training: the same patients for each method of a size.

    Raises:
        InputError: a method lacks patients that another has.
    """
    cells: list[Cell] = []
    contrasts: list[Contrast] = []
    verdicts = {}
    for size in dict.fromkeys(score.size for score in scores):
        here = [score for score in scores if score.size == size]
        methods = list(dict.fromkeys(score.method for score in here))
        cells += [_cell([s for s in here if s.method == method]) for method in methods]
        found = _contrasts(here, methods)
        contrasts += found
        verdicts[size] = _overall(found)
    return Comparison(tuple(cells), tuple(contrasts), MappingProxyType(verdicts))


def _cell(scores: Sequence[Score]) -> Cell:
    trainings = {(s.seed, s.fold): s for s in scores}.values()
    seeds = sorted({score.seed for score in scores})
    return Cell(
        method=scores[0].method,
        size=scores[0].size,
        patients=round(_mean([s.patients for s in trainings])),
        trainings=len(trainings),
        dice=estimate(_patients(scores), _generator()),
        seeds=tuple(
            _mean(list(_patients([s for s in scores if s.seed == seed]).values())) for seed in seeds
        ),
        seconds=_mean([s.seconds for s in trainings]),
    )


def _contrasts(scores: Sequence[Score], methods: Sequence[str]) -> list[Contrast]:
    """Each method against the baseline, and the frozen encoder against a random one."""
    values = {name: _patients([s for s in scores if s.method == name]) for name in methods}
    others = [name for name in methods if name != BASELINE]
    against = [difference(values[name], values[BASELINE], _generator()) for name in others]
    corrected = holm([found.p for found in against])
    made = [
        _contrast(name, BASELINE, scores[0].size, found, p)
        for name, found, p in zip(others, against, corrected, strict=True)
    ]
    if {_OWN, _RANDOM} <= set(methods):
        found = difference(values[_OWN], values[_RANDOM], _generator())
        made.append(_contrast(_OWN, _RANDOM, scores[0].size, found, found.p))
    return made


def _contrast(method: str, against: str, size: str, found: Difference, p: float) -> Contrast:
    control = "train from scratch" if against == BASELINE else against
    text = verdict(replace(found, p=p), method, control)
    return Contrast(method, against, size, found, p, text)


def _overall(contrasts: Sequence[Contrast]) -> str:
    """Whether to transfer, by the best of the methods that do."""
    carrying = [c for c in contrasts if c.against == BASELINE and METHODS[c.method].carries]
    if not carrying:
        return "no method of this comparison carries anything over"
    best = max(carrying, key=lambda c: c.difference.mean)
    found = replace(best.difference, p=best.corrected)
    return verdict(found, f"transfer ({best.method})")


def _patients(scores: Sequence[Score]) -> dict[str, float]:
    return per_patient((score.patient, score.dice) for score in scores)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _generator() -> np.random.Generator:
    """A new one each time, so that a number does not hang on which others were asked for."""
    return np.random.Generator(np.random.PCG64(_SEED))
