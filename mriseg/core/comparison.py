"""Ways to start a training, compared: from the scores of cases to verdicts in words.

The question is what a transfer adds to training from scratch. So every method is compared with
`BASELINE` on the same patients, at each size of the training set separately; and where both are
present, the source's frozen encoder with a random one: the difference is due to its features.
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
    per_patient,
    verdict,
)
from mriseg.errors import ConfigError

# Of the bootstrap and the test: the same scores give the same intervals.
_SEED = 0


@dataclass(frozen=True)
class Method:
    """A way to start a training.

    Attributes:
        what: description in words.
        transfer: how its transfer trains; None: all weights start at random and are trained.
        weights: that a transfer starts from, the source's or random ones.
    """

    what: str
    transfer: TransferConfig | None = None
    weights: Literal["source", "random"] = "source"

    @property
    def transfers(self) -> bool:
        """Whether it uses the source's weights."""
        return self.transfer is not None and self.weights == "source"


BASELINE = "scratch"
_FROZEN, _RANDOM = "frozen-encoder", "frozen-random"

METHODS: Mapping[str, Method] = MappingProxyType(
    {
        BASELINE: Method("random weights, all trained"),
        _RANDOM: Method("a random encoder, frozen", TransferConfig(freeze="encoder"), "random"),
        _FROZEN: Method("the source's encoder, frozen", TransferConfig(freeze="encoder")),
        "lp-ft": Method(
            "the head first, then all (LP-FT)", TransferConfig(freeze="none", schedule="lp-ft")
        ),
        "full": Method("the source's weights, all trained", TransferConfig(freeze="none")),
        "encoder": Method(
            "the source's encoder under a new decoder, all trained",
            TransferConfig(transfer_part="encoder", freeze="none"),
        ),
        "encoder-lp-ft": Method(
            "the same, the decoder first, then all",
            TransferConfig(transfer_part="encoder", freeze="none", schedule="lp-ft"),
        ),
        "encoder-frozen": Method(
            "the source's encoder with new batch-norm statistics, frozen, under a new decoder",
            TransferConfig(transfer_part="encoder", freeze="encoder", adapt_norm=True),
        ),
        "head": Method(
            "the source's encoder and decoder, frozen", TransferConfig(freeze="all-but-head")
        ),
        "first-block": Method(
            "only the encoder's first block trains", TransferConfig(freeze="all-but-first")
        ),
        "gradual": Method(
            "unfrozen from the head down", TransferConfig(freeze="none", schedule="gradual")
        ),
        "layer-decay": Method(
            "all trained, with lower learning rates towards the input",
            TransferConfig(freeze="none", layer_decay=0.7),
        ),
        "l2-sp": Method(
            "all trained, pulled towards the source's weights",
            TransferConfig(freeze="none", l2_sp=10.0),
        ),
        "adapt-norm": Method(
            "the source's encoder with new batch-norm statistics, frozen",
            TransferConfig(freeze="encoder", adapt_norm=True),
        ),
    }
)
"""Name -> method."""

USUAL = (BASELINE, _RANDOM, _FROZEN, "lp-ft", "full")
"""The methods of a comparison by default."""


def chosen_methods(names: Sequence[str] | None) -> tuple[str, ...]:
    """The methods to compare; the baseline is always the first.

    Args:
        names: of methods; None: the usual ones.

    Raises:
        ConfigError: one is not known, or there is none but the baseline.
    """
    wanted = USUAL if names is None else tuple(names)
    unknown = [name for name in wanted if name not in METHODS]
    if unknown:
        raise ConfigError(f"methods: there is no {', '.join(unknown)}; known: {', '.join(METHODS)}")
    chosen = tuple(dict.fromkeys((BASELINE, *wanted)))
    if len(chosen) == 1:
        raise ConfigError(
            f"methods: name at least one to compare with {BASELINE}; known: {', '.join(METHODS)}"
        )
    return chosen


@dataclass(frozen=True)
class Score:
    """One case after one training that had not seen its patient.

    Attributes:
        method: how the training started.
        size: the number of training patients as requested: "10" or "all".
        patients: the number of training patients.
        seed: of the training, the folds and the choice of patients.
        fold: the fold that was held out, counted from 1.
        patient: of the case.
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
        """A row of a table, with one column per region."""
        row = {key: value for key, value in self.__dict__.items() if key != "regions"}
        return {**row, **{f"dice_{name}": value for name, value in self.regions.items()}}


@dataclass(frozen=True)
class Cell:
    """One method at one size.

    Attributes:
        method: its name.
        size: as in `Score`.
        patients: number of training patients, the mean over the folds, rounded.
        trainings: how many there were.
        dice: over the patients that were held out, averaged over seeds.
        seeds: the mean over patients for each seed, which shows how much trainings vary.
        seconds: mean time of a training.
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
    """One method compared with another at one size.

    Attributes:
        method: its name.
        against: the name of the other.
        size: as in `Score`.
        difference: over the same patients, averaged over seeds.
        corrected: p, corrected (Holm) for all methods compared with the baseline at this size.
        verdict: in words, by the corrected p.
    """

    method: str
    against: str
    size: str
    difference: Difference
    corrected: float
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """The results of a comparison.

    Attributes:
        cells: one per method and size, in order of appearance.
        contrasts: likewise.
        verdicts: size -> whether to transfer, in words.
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
        of_size = [score for score in scores if score.size == size]
        methods = list(dict.fromkeys(score.method for score in of_size))
        cells += [_cell([s for s in of_size if s.method == method]) for method in methods]
        size_contrasts = _contrasts(of_size, methods)
        contrasts += size_contrasts
        verdicts[size] = _overall(size_contrasts)
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
    """Each method compared with the baseline, and the frozen encoder with a random one."""
    values = {name: _patients([s for s in scores if s.method == name]) for name in methods}
    others = [name for name in methods if name != BASELINE]
    differences = [difference(values[name], values[BASELINE], _generator()) for name in others]
    corrected = holm([item.p for item in differences])
    contrasts = [
        _contrast(name, BASELINE, scores[0].size, item, p)
        for name, item, p in zip(others, differences, corrected, strict=True)
    ]
    if {_FROZEN, _RANDOM} <= set(methods):
        item = difference(values[_FROZEN], values[_RANDOM], _generator())
        contrasts.append(_contrast(_FROZEN, _RANDOM, scores[0].size, item, item.p))
    return contrasts


def _contrast(method: str, against: str, size: str, item: Difference, p: float) -> Contrast:
    control = "train from scratch" if against == BASELINE else against
    text = verdict(replace(item, p=p), method, control)
    return Contrast(method, against, size, item, p, text)


def _overall(contrasts: Sequence[Contrast]) -> str:
    """Whether to transfer, by the best of the methods that do."""
    transfers = [c for c in contrasts if c.against == BASELINE and METHODS[c.method].transfers]
    if not transfers:
        return "no method of this comparison transfers anything"
    best = max(transfers, key=lambda c: c.difference.mean)
    corrected = replace(best.difference, p=best.corrected)
    return verdict(corrected, f"transfer ({best.method})")


def _patients(scores: Sequence[Score]) -> dict[str, float]:
    return per_patient((score.patient, score.dice) for score in scores)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _generator() -> np.random.Generator:
    """A new one each time, so that no number depends on which others are computed."""
    return np.random.Generator(np.random.PCG64(_SEED))
