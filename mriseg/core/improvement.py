"""Learning on from corrections: who is kept aside as a test, and whether the new model is better.

A patient that is kept aside stays so for good, so that no model that is ever learnt from the same
corrections has seen it, and what one round measures can be set beside the next.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from mriseg.core import rng
from mriseg.core.statistics import (
    LEVEL,
    Difference,
    Estimate,
    difference,
    estimate,
    is_shown,
    verdict,
)
from mriseg.core.wording import counted
from mriseg.errors import ConfigError

TO_SHOW = math.ceil(math.log2(2 / LEVEL))
"""The fewest patients with which a paired permutation test can show anything: with n of them no p
is below 2 / 2^n."""
FEWEST = 2
"""Patients to learn from, and to keep aside, at the least."""
NEEDED = 2 * FEWEST
"""Corrected patients below which nothing is learnt."""

# Of many patients a quarter is enough to show what there is to show.
_SHARE = 0.25
# Of the bootstrap: the same scores give the same interval.
_SEED = 0


@dataclass(frozen=True)
class Sides:
    """Who learns and who tests; no patient does both.

    Attributes:
        learn: patients to train on, sorted.
        test: patients that are kept aside, sorted.
    """

    learn: tuple[str, ...]
    test: tuple[str, ...]


def sides(
    patients: Collection[str], *, held_out: Collection[str], barred: Collection[str]
) -> Sides:
    """Divide the corrected patients, in a way that later rounds only add to.

    Half of them are kept aside until these can show a difference, and at least a quarter from then
    on. They are chosen by a digest of their names: by chance, but always alike.

    Args:
        patients: all that are corrected.
        held_out: those that were kept aside before; never one that learns again.
        barred: those that may not be kept aside, since a model of the chain was trained on them.

    Raises:
        ConfigError: too few are left to learn from or to test on.
    """
    kept = sorted(set(held_out) & set(patients))
    fresh = sorted(
        set(patients) - set(kept) - set(barred),
        key=lambda name: rng.derive(0, "kept aside", name),
    )
    wanted = max(min(len(patients) // 2, TO_SHOW), math.ceil(_SHARE * len(patients)))
    test = {*kept, *fresh[: max(0, wanted - len(kept))]}
    learn = set(patients) - test
    if len(learn) < FEWEST or len(test) < FEWEST:
        known = len(set(barred) & set(patients) - set(kept))
        why = f"; the model knows {known} of them already" if known else ""
        raise ConfigError(
            f"{counted(len(patients), 'corrected patient')}, of whom {len(learn)} could be learnt "
            f"from and {len(test)} kept aside as a test{why}: at least {FEWEST} and {FEWEST} are "
            f"needed, so correct or accept more patients"
        )
    return Sides(tuple(sorted(learn)), tuple(sorted(test)))


@dataclass(frozen=True)
class Judgement:
    """A new model against the old one, on the same patients.

    Attributes:
        old: Dice of the old model.
        new: of the new one.
        difference: new less old, in pairs.
        gained: of how many patients the Dice rose.
        better: whether the new model is shown to be better.
        verdict: all that in plain words.
    """

    old: Estimate
    new: Estimate
    difference: Difference
    gained: int
    better: bool
    verdict: str


def judge(old: Mapping[str, float], new: Mapping[str, float]) -> Judgement:
    """Whether the new model is better on the patients that were kept aside.

    Args:
        old: patient -> Dice with the old model.
        new: patient -> Dice with the new one.

    Raises:
        InputError: the patients are not the same, or there is none.
    """
    gap = difference(new, old, _generator())
    before, after = estimate(old, _generator()), estimate(new, _generator())
    gained = sum(new[name] > old[name] for name in old)
    shown = gap.patients >= TO_SHOW and is_shown(gap)
    better = shown and gap.mean > 0
    numbers = (
        f"Dice {before.mean:.2f} to {after.mean:.2f} on {counted(gap.patients, 'patient')} kept "
        f"aside, better in {gained} of {gap.patients}"
    )
    if gap.patients < TO_SHOW:
        text = f"{numbers}: too few to say ({TO_SHOW} are the fewest that can show anything)"
    else:
        text = f"{numbers}: {verdict(gap, 'the new model', 'the old model')}"
    fate = "the new model is in use from now on" if better else "the old model stays in use"
    return Judgement(before, after, gap, gained, better, f"{text}; {fate}")


def prospect(test: int) -> str:
    """What so many patients kept aside can show, to be said before the work; empty: enough."""
    if test >= TO_SHOW:
        return ""
    return (
        f"with {counted(test, 'patient')} kept aside no difference can be shown, so the old model "
        f"will stay in use whatever is learnt: {2 * TO_SHOW} corrected patients are needed, of "
        f"whom {TO_SHOW} are then kept aside"
    )


def _generator() -> np.random.Generator:
    return np.random.default_rng(_SEED)
