"""A learning curve: Dice by the number of training patients, as an inverse power law.

``limit - drop * n ^ -rate``, as errors of learners follow (Cortes et al. 1993, "Learning curves:
asymptotic values and rate of convergence"; Mukherjee et al. 2003, doi 10.1089/106652703321825928;
Figueroa et al. 2012, doi 10.1186/1472-6947-12-8). Here it never falls with more patients and never
exceeds 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mriseg.errors import InputError

FEWEST_SIZES = 3
"""Two points lie on a curve of any shape."""

_RATES = np.geomspace(0.1, 2.0, 61)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """Dice by the number of training patients: ``limit - drop * n ^ -rate``.

    Attributes:
        limit: what it approaches, at most 1.
        drop: how far below that it begins, at one patient; at least 0.
        rate: how fast it gets there.
    """

    limit: float
    drop: float
    rate: float

    def at(self, patients: float) -> float:
        """Dice with so many training patients; at least 0."""
        return float(max(0.0, self.limit - self.drop * patients**-self.rate))


def fit(patients: ArrayLike, dice: ArrayLike) -> Curve:
    """The curve with the least squared distance from the points, whatever their order.

    Args:
        patients: [s], how many trained, at least 1.
        dice: [s], of each size.

    Raises:
        InputError: there are fewer than three sizes.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (patients, dice))
    if np.unique(x).size < FEWEST_SIZES:
        raise InputError(f"a curve needs trainings of at least {FEWEST_SIZES} sizes")
    return Curve(*(float(value) for value in fitted(x, y[None])[0]))


def fitted(x: Floats, y: Floats) -> Floats:
    """The curves through rows of points: [k, s] -> [k, 3] (limit, drop, rate).

    Given the rate, a curve is linear in the two others, so that these follow in closed form
    (variable projection, Golub & Pereyra 1973), and the rate is the best of a grid: the optimum of
    all, which a search from one start may miss.
    """
    y = np.clip(y, 0.0, 1.0)
    best = np.full((len(y), 4), np.inf)
    for rate in _RATES:
        t = (x / x[0]) ** -rate
        centred = t - t.mean()
        drop = np.maximum(0.0, -(y @ centred) / (centred @ centred))
        limit = y.mean(axis=1) + drop * t.mean()
        # Of the curves that would exceed 1, the nearest that ends there.
        above = limit > 1
        drop = np.where(above, (1 - y) @ t / (t @ t), drop)
        limit = np.minimum(limit, 1.0)
        error = ((limit[:, None] - drop[:, None] * t - y) ** 2).sum(axis=1)
        better = error < best[:, 3]
        row = np.stack([limit, drop * x[0] ** rate, np.full(len(y), rate), error], axis=1)
        best[better] = row[better]
    return best[:, :3]


def dice_at(curves: Floats, patients: float) -> Floats:
    """[k], Dice of each curve with so many training patients."""
    return np.maximum(0.0, curves[:, 0] - curves[:, 1] * patients ** -curves[:, 2])
