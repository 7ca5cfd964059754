"""What more patients would be worth: a learning curve through the Dice of smaller trainings.

The interval holds three things: other patients that are measured, other trainings of the same
sizes, and other curves through the same points. It does not hold what no training has seen:
patients of another kind, and a curve of another form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mriseg.core.comparison import Score
from mriseg.core.learning_curve import FEWEST_SIZES, Curve, dice_at, fit, fitted
from mriseg.core.statistics import LEVEL, Estimate, difference, estimate, is_shown, per_patient
from mriseg.core.wording import agreeing, counted
from mriseg.errors import InputError

FEWEST_PATIENTS = 5
"""Measured patients below which no interval is worth its name; see `core.statistics`."""
HARDLY = 0.01
"""A change of Dice below this is hardly one: two trainings that differ in the seed differ so."""

# Beyond this many times the largest training a curve is a guess.
_FAR = 2.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """What trainings of one size gave.

    Attributes:
        patients: that trained, the mean over the folds.
        dice: of the patients held out, averaged over seeds.
        trainings: how many there were.
    """

    patients: float
    dice: Estimate
    trainings: int


@dataclass(frozen=True)
class Predicted:
    """The curve at one number of patients.

    Attributes:
        patients: that would train.
        dice: expected.
        low: lower end of the 95 % interval.
        high: its upper end.
    """

    patients: int
    dice: float
    low: float
    high: float


@dataclass(frozen=True)
class Gain:
    """What more patients would add.

    Attributes:
        patients: how many more.
        dice: the expected difference, never below 0.
        low: lower end of its 95 % interval.
        high: its upper end.
    """

    patients: int
    dice: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """What trainings of several sizes say of larger ones.

    Attributes:
        points: what was measured, smallest first.
        curve: through them; None where there are too few points.
        predicted: the curve from the smallest size on; empty without one.
        now: how many patients there are.
        gain: what more of them would be worth; None without a curve.
        spread: how far two trainings of the same size lie apart, a standard deviation of the mean
            over the patients of one fold; nan of a single fold and seed.
        sentence: all that in plain words.
    """

    points: tuple[Point, ...]
    curve: Curve | None
    predicted: tuple[Predicted, ...]
    now: int
    gain: Gain | None
    spread: float
    sentence: str

    def at(self, patients: int) -> Predicted:
        """The curve at one number of patients.

        Raises:
            KeyError: it was not predicted.
        """
        for item in self.predicted:
            if item.patients == patients:
                return item
        raise KeyError(patients)


def forecast(
    scores: Sequence[Score],
    *,
    now: int,
    more: int,
    generator: np.random.Generator,
    resamples: int = 2000,
) -> Forecast:
    """The curve through the scores, how sure it is, and what ``more`` patients would be worth.

    Args:
        scores: each case after each training: the same patients for each size.
        now: how many patients there are.
        more: how many more there might be.
        generator: of the bootstrap.
        resamples: how often patients and trainings are drawn again.

    Raises:
        InputError: there is no score, or a size lacks patients that another has.
    """
    if not scores:
        raise InputError("there is no score to forecast from")
    table = _Table.of(scores)
    points = table.points(generator)
    patients = min(point.dice.patients for point in points)
    if len(points) < FEWEST_SIZES or patients < FEWEST_PATIENTS:
        sentence = (
            f"too few points to say: {counted(len(points), 'size')} of training, measured on "
            f"{counted(patients, 'patient')}; {FEWEST_SIZES} sizes and {FEWEST_PATIENTS} patients "
            f"are the least"
        )
        return Forecast(points, None, (), now, None, table.spread, sentence)
    curve = fit(table.sizes, table.means())
    # Around the curve, not around the points: points that fall by chance would else leave no doubt
    # that it is flat.
    around = np.array([curve.at(size) for size in table.sizes])
    drawn = fitted(table.sizes, around + table.deviations(around, generator, resamples))
    reach = range(math.ceil(table.sizes[0]), max(now + more, math.ceil(table.sizes[-1])) + 1)
    predicted = tuple(_predicted(curve, drawn, count) for count in reach)
    gain = _gain(curve, drawn, now, more)
    sentence = _sentence(table, points, predicted[now - reach.start], gain)
    return Forecast(points, curve, predicted, now, gain, table.spread, sentence)


@dataclass(frozen=True)
class _Table:
    """Scores by group (a fold of a seed), patient and size.

    Attributes:
        sizes: [s], how many patients trained, ascending.
        groups: per fold and seed the Dice [p, s] of its patients.
        patients: size by size, patient -> Dice averaged over seeds.
        trainings: of each size.
    """

    sizes: Floats
    groups: tuple[Floats, ...]
    patients: tuple[dict[str, float], ...]
    trainings: tuple[int, ...]

    @classmethod
    def of(cls, scores: Sequence[Score]) -> _Table:
        of_size: dict[str, list[Score]] = {}
        for score in scores:
            of_size.setdefault(score.size, []).append(score)
        mean = {
            size: float(np.mean(list(_trainings(rows).values()))) for size, rows in of_size.items()
        }
        order = sorted(of_size, key=lambda size: mean[size])
        places = sorted({(score.seed, score.fold) for score in scores})
        groups = tuple(_group(place, [of_size[size] for size in order]) for place in places)
        return cls(
            np.array([mean[size] for size in order]),
            groups,
            tuple(per_patient((s.patient, s.dice) for s in of_size[size]) for size in order),
            tuple(len(_trainings(of_size[size])) for size in order),
        )

    @property
    def spread(self) -> float:
        """The standard deviation of what is left of a group's means beside size and group."""
        if len(self.groups) < 2 or len(self.sizes) < 2:
            return math.nan
        means = np.array([group.mean(axis=0) for group in self.groups])
        left = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
        freedom = (means.shape[0] - 1) * (means.shape[1] - 1)
        return float(np.sqrt((left**2).sum() / freedom))

    def means(self) -> Floats:
        """[s], each group's patients with the same weight."""
        return np.asarray(np.concatenate(self.groups).mean(axis=0))

    def points(self, generator: np.random.Generator) -> tuple[Point, ...]:
        """What was measured, with intervals."""
        return tuple(
            Point(float(size), estimate(values, generator), trainings)
            for size, values, trainings in zip(
                self.sizes, self.patients, self.trainings, strict=True
            )
        )

    def deviations(self, around: Floats, generator: np.random.Generator, resamples: int) -> Floats:
        """[k, s], how far the means of other patients, in other trainings, are from ``around``.

        Patients are drawn within their groups, since each group trained with other patients, and
        what differs between trainings is added as `spread` says; of a single group, as the points
        lie about the curve.
        """
        totals = np.zeros((resamples, len(self.sizes)))
        for group in self.groups:
            drawn = generator.integers(len(group), size=(resamples, len(group)))
            totals += group[drawn].sum(axis=1)
        means = totals / sum(map(len, self.groups))
        noise = self.spread / math.sqrt(len(self.groups))
        if math.isnan(noise):
            left = self.means() - around
            noise = math.sqrt(float(left @ left) / max(1, len(left) - FEWEST_SIZES))
        return np.asarray(means - self.means() + generator.normal(0.0, noise, means.shape))


def _trainings(scores: Sequence[Score]) -> dict[tuple[int, int], int]:
    """Seed and fold -> how many patients trained."""
    return {(score.seed, score.fold): score.patients for score in scores}


def _group(place: tuple[int, int], sizes: Sequence[Sequence[Score]]) -> Floats:
    """[p, s], the Dice of the patients of one fold of one seed at each size."""
    columns = [
        per_patient((s.patient, s.dice) for s in rows if (s.seed, s.fold) == place)
        for rows in sizes
    ]
    alone = sorted({name for column in columns for name in columns[0].keys() ^ column.keys()})
    if alone or not columns[0]:
        raise InputError(
            f"a curve needs the same patients at each size; some sizes of seed {place[0]}, fold "
            f"{place[1]} lack {', '.join(alone) or 'all'}"
        )
    return np.array([[column[name] for column in columns] for name in sorted(columns[0])])


def _interval(values: Floats, expected: float) -> tuple[float, float]:
    """The middle 95 % of the values, and the expected one."""
    low, high = np.quantile(values, (LEVEL / 2, 1 - LEVEL / 2))
    return min(float(low), expected), max(float(high), expected)


def _predicted(curve: Curve, drawn: Floats, patients: int) -> Predicted:
    expected = curve.at(patients)
    return Predicted(patients, expected, *_interval(dice_at(drawn, patients), expected))


def _gain(curve: Curve, drawn: Floats, now: int, more: int) -> Gain:
    expected = curve.at(now + more) - curve.at(now)
    values = dice_at(drawn, now + more) - dice_at(drawn, now)
    return Gain(more, expected, *_interval(values, expected))


def _sentence(table: _Table, points: Sequence[Point], now: Predicted, gain: Gain) -> str:
    """What more patients would be worth, and what stands in the way of saying so."""
    after = f"{counted(gain.patients, 'more case')}"
    what = f"{_spoken(gain.dice)} [{_spoken(gain.low)}, {_spoken(gain.high)}]"
    if gain.high < HARDLY:
        text = f"the curve is flat: {after} would hardly change it ({what} Dice)"
    elif gain.low < HARDLY <= gain.high and not _rises(table):
        text = (
            f"no gain from more patients could be shown: {after} may be worth nothing or up to "
            f"{_spoken(gain.high)} Dice"
        )
    else:
        text = f"{after} would be worth about {what} Dice"
    text = (
        f"with the {counted(now.patients, 'patient')} there {agreeing(now.patients, 'is', 'are')}, "
        f"Dice is about {_spoken(now.dice)} [{_spoken(now.low)}, {_spoken(now.high)}]; {text}"
    )
    largest = points[-1].patients
    if now.patients + gain.patients > _FAR * largest:
        text += (
            f". That is more than {_FAR:g} times the largest training, of {largest:.0f} patients: "
            f"take it for a guess, and train larger sizes"
        )
    if math.isnan(table.spread):
        text += (
            ". One fold and one seed hardly show how much trainings vary, so the intervals may be "
            "too narrow: use more --rounds or --seeds"
        )
    return text


def _rises(table: _Table) -> bool:
    """Whether the largest trainings are shown to be better than the smallest."""
    change = difference(table.patients[-1], table.patients[0], np.random.default_rng(0))
    return change.mean > 0 and is_shown(change)


def _spoken(dice: float) -> str:
    # Adding 0 turns -0.0, which nobody writes, into 0.0.
    return f"{round(dice, 3) + 0.0:.3f}"
