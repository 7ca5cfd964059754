"""Which trainings a comparison takes: who trains, who is measured, and in which order.

A pure function of the cases, so that a comparison which goes on plans what it had planned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mriseg.core.sampling import CaseEntry, folds, patients, subset
from mriseg.errors import ConfigError

ALL = "all"
"""The size of a training set that is all that a fold leaves."""

_SIZES = (5, 10, 20)


@dataclass(frozen=True)
class Trial:
    """One training of a comparison.

    Attributes:
        method: how it begins.
        size: how many patients train, as it was asked for: "10" or "all".
        patients: how many that are.
        seed: of the training, the folds and the choice of the patients.
        fold: whose patients are held out, counted from 1.
        train: the names of the cases that train.
        held: of those that are measured.
    """

    method: str
    size: str
    patients: int
    seed: int
    fold: int
    train: tuple[str, ...]
    held: tuple[str, ...]

    @property
    def place(self) -> str:
        """Its folder below those of all runs."""
        return f"patients-{self.size}/seed-{self.seed}/fold-{self.fold}/{self.method}"

    def __str__(self) -> str:
        return f"{self.method} from {self.patients} patients, seed {self.seed}, fold {self.fold}"


def trials(
    cases: Sequence[CaseEntry],
    methods: Sequence[str],
    *,
    sizes: Sequence[str] | None,
    count: int,
    rounds: int | None = None,
    seeds: Sequence[int],
) -> list[Trial]:
    """Every training of a comparison, methods side by side first, seeds last.

    The methods of one seed, size and fold share their patients. Smaller training sets are within
    larger ones of the same seed and fold.

    Args:
        cases: of all patients that take part.
        methods: their names.
        sizes: numbers of patients, or "all"; None: 5, 10 and 20 where a fold leaves more, and all.
        count: of folds.
        rounds: how many of them are held out in turn; None: all, and so each patient once a seed.
        seeds: of the repetitions.

    Raises:
        ConfigError: there are too few patients for the folds or a size.
    """
    if rounds is not None and not 1 <= rounds <= count:
        raise ConfigError(f"rounds = {rounds}: expected 1 to {count}, the number of folds")
    found = []
    for seed in seeds:
        splits = folds(cases, count, seed)
        lefts = [[case for case in cases if case.name in split.train] for split in splits]
        counts = [len(patients(left)) for left in lefts]
        for size in _sizes(sizes, min(counts)):
            for fold, split in enumerate(splits[:rounds], start=1):
                number = counts[fold - 1] if size == ALL else int(size)
                names = subset(lefts[fold - 1], number, seed)
                found += [
                    Trial(method, size, number, seed, fold, names, split.validation)
                    for method in methods
                ]
    return found


def _sizes(wanted: Sequence[str] | None, fewest: int) -> tuple[str, ...]:
    if wanted is None:
        return (*(str(size) for size in _SIZES if size < fewest), ALL)
    if not wanted:
        raise ConfigError(f"sizes: name at least one, such as 5,10,{ALL}")
    for size in wanted:
        if size != ALL and not (size.isdecimal() and int(size) > 0):
            raise ConfigError(f"sizes: {size!r} is neither a number of patients nor {ALL}")
        if size != ALL and int(size) > fewest:
            raise ConfigError(
                f"sizes: {size} patients cannot train where a fold leaves {fewest}; "
                f"choose fewer, {ALL}, or more folds"
            )
    return tuple(dict.fromkeys(size if size == ALL else str(int(size)) for size in wanted))
