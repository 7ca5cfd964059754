"""The trainings of a comparison: which patients train, which are measured, and in which order.

A pure function of the cases, so that a comparison that is resumed has the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mriseg.core.sampling import CaseEntry, folds, patients, subset
from mriseg.errors import ConfigError

ALL = "all"
"""The size of a training set of all patients that a fold leaves."""

_SIZES = (5, 10, 20)


@dataclass(frozen=True)
class Trial:
    """One training of a comparison.

    Attributes:
        method: how it starts.
        size: the number of training patients as requested: "10" or "all".
        patients: the number of training patients.
        seed: of the training, the folds and the choice of patients.
        fold: the fold that is held out, counted from 1.
        train: names of the training cases.
        held: names of the cases that are held out and measured.
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
        """Its folder, relative to that of all runs."""
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
    """Every training of a comparison; methods vary fastest, seeds slowest.

    The methods of one seed, size and fold share their patients. Smaller training sets are subsets
    of larger ones of the same seed and fold.

    Args:
        cases: of all patients that take part.
        methods: their names.
        sizes: numbers of patients, or "all"; None: 5, 10 and 20 where a fold leaves more, and all.
        count: number of folds.
        rounds: how many of them are held out in turn; None: all, and so each patient once per seed.
        seeds: one per repetition.

    Raises:
        ConfigError: there are too few patients for the folds or a size.
    """
    if rounds is not None and not 1 <= rounds <= count:
        raise ConfigError(f"rounds = {rounds}: expected 1 to {count}, the number of folds")
    planned = []
    for seed in seeds:
        splits = folds(cases, count, seed)
        rest = [[case for case in cases if case.name in split.train] for split in splits]
        counts = [len(patients(left)) for left in rest]
        for size in _sizes(sizes, min(counts)):
            for fold, split in enumerate(splits[:rounds], start=1):
                number = counts[fold - 1] if size == ALL else int(size)
                names = subset(rest[fold - 1], number, seed)
                planned += [
                    Trial(method, size, number, seed, fold, names, split.validation)
                    for method in methods
                ]
    return planned


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
