"""What a few patients can show: intervals by bootstrap, tests by permutation, and a plain verdict.

The unit that is drawn is the patient. Several values of one patient (its cases, the same training
from several seeds) are averaged first (`per_patient`), since they would else count as patients.

An interval says how far a mean would move with other patients of the same kind, not with other
trainings: those are averaged over, and a comparison tells their spread beside it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mriseg.errors import InputError

LEVEL = 0.05
"""A difference is called shown below this p, and intervals hold the rest: 95 %."""

# Up to this many patients every assignment of signs is looked at; beyond, as many are drawn.
_EXACT = 14
_DRAWN = 2**_EXACT - 1
_ROUNDING = 1e-9  # relative; sums of the same numbers in another order are the same sums


@dataclass(frozen=True)
class Estimate:
    """A mean over patients.

    Attributes:
        mean: of the patients' values.
        low: lower end of its 95 % bootstrap interval; nan below two patients.
        high: its upper end.
        patients: how many.
    """

    mean: float
    low: float
    high: float
    patients: int


@dataclass(frozen=True)
class Difference:
    """What one treatment adds to another on the same patients.

    Attributes:
        mean: of the patients' differences.
        low: lower end of its 95 % paired bootstrap interval; nan below two patients.
        high: its upper end.
        p: of the two-sided paired permutation test.
        patients: how many.
    """

    mean: float
    low: float
    high: float
    p: float
    patients: int


def per_patient(rows: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Patient -> the mean of its values, from (patient, value) in any order."""
    values: dict[str, list[float]] = {}
    for patient, value in rows:
        values.setdefault(patient, []).append(value)
    # Summed exactly, so that the order of the rows cannot show.
    return {patient: math.fsum(found) / len(found) for patient, found in values.items()}


def bootstrap(
    values: ArrayLike, generator: np.random.Generator, resamples: int = 2000
) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval (Efron 1979) of a mean.

    Args:
        values: [n], one of each unit that was drawn independently.
        generator: where the resampling's randomness comes from.
        resamples: how often the units are drawn again.

    Returns:
        Its ends; nan below two values. It is known to be too narrow below about twenty.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2:
        return math.nan, math.nan
    drawn = generator.integers(array.size, size=(resamples, array.size))
    ends = (100 * LEVEL / 2, 100 * (1 - LEVEL / 2))
    low, high = np.percentile(array[drawn].mean(axis=1), ends)
    return float(low), float(high)


def estimate(
    values: Mapping[str, float], generator: np.random.Generator, resamples: int = 2000
) -> Estimate:
    """The mean over patients and its interval, whatever the patients' order.

    Args:
        values: patient -> value.
        generator: of the bootstrap.
        resamples: how often the patients are drawn again.

    Raises:
        InputError: there is no patient.
    """
    array = _ordered(values)
    low, high = bootstrap(array, generator, resamples)
    return Estimate(float(array.mean()), low, high, array.size)


def difference(
    treated: Mapping[str, float],
    control: Mapping[str, float],
    generator: np.random.Generator,
    resamples: int = 2000,
) -> Difference:
    """What ``treated`` has more than ``control``, patient by patient, whatever their order.

    Args:
        treated: patient -> value.
        control: patient -> value, of the same patients.
        generator: of the bootstrap, and of the test where there are many patients.
        resamples: how often the patients are drawn again.

    Raises:
        InputError: the patients are not the same, or there is none.
    """
    alone = sorted(treated.keys() ^ control.keys())
    if alone:
        raise InputError(
            f"a paired difference needs the same patients on both sides; only one side has "
            f"{', '.join(alone)}"
        )
    array = _ordered({patient: treated[patient] - control[patient] for patient in treated})
    low, high = bootstrap(array, generator, resamples)
    p = permutation_test(array, generator)
    return Difference(float(array.mean()), low, high, p, array.size)


def permutation_test(differences: ArrayLike, generator: np.random.Generator) -> float:
    """The two-sided p of a paired permutation test (Fisher 1935) of the mean difference.

    Were there no difference, each patient's could as well have had the other sign. p is the share
    of the 2^n assignments of signs whose mean is at least as far from 0: exact up to 14 patients;
    beyond, (1 + hits) / (1 + draws) over seeded draws, which is never 0 (Phipson & Smyth 2010).

    Args:
        differences: [n], one a patient.
        generator: of the draws.

    Raises:
        InputError: there is no difference to test.
    """
    array = np.asarray(differences, dtype=np.float64)
    if not array.size:
        raise InputError("a permutation test needs at least one patient")
    exact = array.size <= _EXACT
    if exact:
        signs = np.array(list(itertools.product((-1, 1), repeat=array.size)), dtype=np.int8)
    else:
        signs = generator.integers(2, size=(_DRAWN, array.size), dtype=np.int8) * 2 - 1
    found = abs(float(array.sum()))
    slack = _ROUNDING * float(np.abs(array).sum())
    hits = int(np.count_nonzero(np.abs(signs @ array) >= found - slack))
    return hits / len(signs) if exact else (1 + hits) / (1 + _DRAWN)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """The p of several tests so corrected that all hold together (Holm 1979), in their order.

    The smallest of m is multiplied by m, the next by m - 1 and so on; none gets below one before
    it, nor above 1.
    """
    corrected = [0.0] * len(p_values)
    least = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        least = min(1.0, max(least, (len(p_values) - rank) * p_values[index]))
        corrected[index] = least
    return tuple(corrected)


def is_shown(found: Difference) -> bool:
    """Whether test and interval both tell the difference from 0.

    Both, since the interval alone is too narrow for a few patients: with five of them, no
    difference whatever has a p below 0.06.
    """
    return found.p < LEVEL and (found.low > 0 or found.high < 0)


def verdict(
    found: Difference, treatment: str = "transfer", control: str = "train from scratch"
) -> str:
    """``found`` in plain words: who is better and by how much, or that it could not be shown."""
    if not is_shown(found):
        return f"no difference could be shown: {_told(found)}"
    if found.mean > 0:
        return f"{treatment} helps by {_told(found)}"
    turned = replace(found, mean=-found.mean, low=-found.high, high=-found.low)
    return f"{control}: better by {_told(turned)}"


def _ordered(values: Mapping[str, float]) -> NDArray[np.float64]:
    """By patient's name, so that the same draws meet the same patients."""
    if not values:
        raise InputError("there is no patient to take a mean over")
    return np.array([values[patient] for patient in sorted(values)], dtype=np.float64)


def _told(found: Difference) -> str:
    p = "p < 0.001" if found.p < 0.001 else f"p = {found.p:.{3 if found.p < 0.1 else 2}f}"
    if math.isnan(found.low):
        return f"{_plain(found.mean)} (one patient: no interval)"
    return f"{_plain(found.mean)} [{_plain(found.low)}, {_plain(found.high)}] ({p})"


def _plain(value: float) -> str:
    # Adding 0 turns -0.0, which nobody writes, into 0.0.
    return f"{round(value, 2) + 0.0:.2f}"
