"""What a few patients can show: intervals by bootstrap, tests by permutation, and a plain verdict.

The unit that is drawn is the patient. Several values of one patient (its cases, the same training
from several seeds) are averaged first (`per_patient`), since they would else count as patients.

An interval says how far a mean would move with other patients of the same kind, not with other
trainings: those are averaged over, and a comparison tells their spread beside it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mriseg.errors import InputError

LEVEL = 0.05
"""A difference is called shown below this p, and intervals hold the rest: 95 %."""

# Below this many values the interval is BCa's. Simulated on skewed values (lognormal, exponential,
# beta), it covers the mean up to 3 points more often than the percentile interval with so few, and
# about 1 point more often from here on.
_FEW = 30

# Up to this many patients every assignment of signs is looked at; beyond, as many are drawn.
_EXACT = 14
_DRAWN = 2**_EXACT - 1
# Assignments held in memory at a time.
_BATCH = 2**12

# Means are rounded to this share of the largest there can be: the same numbers summed in another
# order give the same mean, so that ties are ties.
_ROUNDING = 2.0**-30


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
    return {patient: math.fsum(of_one) / len(of_one) for patient, of_one in values.items()}


def bootstrap(
    values: ArrayLike, generator: np.random.Generator, resamples: int = 2000
) -> tuple[float, float]:
    """The 95 % bootstrap interval (Efron 1979) of a mean, by `scipy.stats.bootstrap`.

    Below 30 values it is the bias-corrected and accelerated one (BCa: Efron 1987; DiCiccio & Efron
    1996), which follows the skew of the values, as of Dice near 1, where the percentile interval is
    too narrow on the long side. From 30 on it is the percentile interval.

    Args:
        values: [n], one of each unit that was drawn independently.
        generator: where the resampling's randomness comes from.
        resamples: how often the units are drawn again.

    Returns:
        Its ends; nan below two values, or if one is not finite. Below about twenty values BCa is
        still too narrow, if less so.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size < 2 or not np.isfinite(array).all():
        return math.nan, math.nan
    least, width = float(array.min()), float(np.ptp(array))
    if not width:
        return least, least
    shares = (array - least) / width
    ends = _interval(shares, generator, resamples, "BCa") if array.size < _FEW else None
    # BCa has none where all resampled means lie on one side, as a handful of them may.
    if ends is None or not np.isfinite(ends).all():
        ends = _interval(shares, generator, resamples, "percentile")
    low, high = (least + width * end for end in ends)
    return low, high


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
    It is `scipy.stats.permutation_test` of the mean's distance from 0.

    Args:
        differences: [n], one per patient.
        generator: of the draws.

    Returns:
        p; nan if a difference is not finite.

    Raises:
        InputError: there is no difference to test.
    """
    array = np.asarray(differences, dtype=np.float64)
    if not array.size:
        raise InputError("a permutation test needs at least one patient")
    if not np.isfinite(array).all():
        return math.nan
    largest = float(np.abs(array).max())
    # Whatever the signs, these lie as far from 0.
    if array.size == 1 or not largest:
        return 1.0
    # Imported late: it takes half a second to load, and a prediction needs none of it.
    from scipy import stats

    tested = stats.permutation_test(
        (array / largest,),
        _distance,
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf if array.size <= _EXACT else _DRAWN,
        batch=_BATCH,
        alternative="greater",
        random_state=generator,
    )
    return float(tested.pvalue)


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


def is_shown(difference: Difference) -> bool:
    """Whether test and interval both tell the difference from 0.

    Both, since the interval alone is too narrow for a few patients: with five of them, no
    difference whatever has a p below 0.06.
    """
    return difference.p < LEVEL and (difference.low > 0 or difference.high < 0)


def verdict(
    difference: Difference, treatment: str = "transfer", control: str = "train from scratch"
) -> str:
    """A difference in plain words: who is better and by how much, or that it was not shown."""
    if not is_shown(difference):
        return f"no difference could be shown: {_with_interval(difference)}"
    if difference.mean > 0:
        return f"{treatment} helps by {_with_interval(difference)}"
    turned = replace(difference, mean=-difference.mean, low=-difference.high, high=-difference.low)
    return f"{control}: better by {_with_interval(turned)}"


def _ordered(values: Mapping[str, float]) -> NDArray[np.float64]:
    """By patient's name, so that the same draws meet the same patients."""
    if not values:
        raise InputError("there is no patient to take a mean over")
    return np.array([values[patient] for patient in sorted(values)], dtype=np.float64)


def _interval(
    shares: NDArray[np.float64], generator: np.random.Generator, resamples: int, method: str
) -> tuple[float, float]:
    """The ends for values from 0 to 1; nan where the method has none."""
    from scipy import stats  # late, as in `permutation_test`

    with warnings.catch_warnings():
        # SciPy warns where there are none, which the nan says too.
        warnings.simplefilter("ignore")
        low, high = stats.bootstrap(
            (shares,),
            _mean,
            n_resamples=resamples,
            vectorized=True,
            confidence_level=1 - LEVEL,
            method=method,
            # Since SciPy 1.15 also called rng; 1.14 knows this name alone.
            random_state=generator,
        ).confidence_interval
    return float(low), float(high)


def _mean(shares: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = np.rint(shares.mean(axis=axis) / _ROUNDING) * _ROUNDING
    return mean


def _distance(shares: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Of the mean from 0."""
    return np.abs(_mean(shares, axis))


def _with_interval(difference: Difference) -> str:
    digits = 3 if difference.p < 0.1 else 2
    p = "p < 0.001" if difference.p < 0.001 else f"p = {difference.p:.{digits}f}"
    if math.isnan(difference.low):
        return f"{_plain(difference.mean)} (one patient: no interval)"
    return f"{_plain(difference.mean)} [{_plain(difference.low)}, {_plain(difference.high)}] ({p})"


def _plain(value: float) -> str:
    # Adding 0 turns -0.0, which nobody writes, into 0.0.
    return f"{round(value, 2) + 0.0:.2f}"
