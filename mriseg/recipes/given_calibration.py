"""A training with a calibration that patients left out have measured, in place of validation's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mriseg.core.config import FREE_SETTINGS, TrainConfig
from mriseg.core.wording import counted
from mriseg.errors import ConfigError, InputError, RunError
from mriseg.io.cross_validations import CALIBRATION, GivenCalibration, read_calibration
from mriseg.io.location import local_path
from mriseg.io.runs import Run
from mriseg.recipes.setup import Setup

SAID_OTHERWISE = frozenset(
    {
        *("exclude", "validation", "validation_cases", "validate_every", "patience"),
        *("modalities", "regions", "width", "calibration", *FREE_SETTINGS),
    }
)
"""Settings that two trainings alike may differ in: what they decide is compared itself."""


def with_given(setup: Setup) -> Setup:
    """``setup`` with the calibration that its configuration names, if it names one.

    Where no width was given, it is that of the networks that the calibration is of.

    Raises:
        ConfigError: patients validate, or the calibration is of other networks.
        InputError: it cannot be read.
    """
    config = setup.config
    if config.calibration is None:
        return setup
    if setup.split.validation:
        raise ConfigError(
            f"--calibration is for a training on all patients, and here "
            f"{counted(len(setup.split.validation), 'case')} would validate: add --validation 0"
        )
    given = read_calibration(local_path(Path(config.calibration), "a calibration"))
    problems = [
        f"{name} {its} (here {ours})"
        for name, its, ours in (
            ("modalities", "+".join(given.modalities), "+".join(setup.task.modalities)),
            ("regions", dict(given.regions), dict(setup.task.regions)),
            ("width", given.width, config.width or given.width),
        )
        if its != ours
    ]
    if problems:
        raise ConfigError(
            f"--calibration {config.calibration} is of networks with other {', '.join(problems)}: "
            f"give the same settings as in the cross-validation"
        )
    other = differing(given.config, config.model_dump(mode="json"))
    notices = [*setup.notices, _said(given)]
    notices += [f"the cross-validation trained with other {', '.join(other)}"] * bool(other)
    config = config.model_copy(update={"width": given.width})
    return replace(setup, config=config, given=given, notices=tuple(notices))


def with_kept(setup: Setup, run: Run) -> Setup:
    """``setup`` of a run that is resumed, with the calibration that was kept with it.

    Raises:
        RunError: it is gone or damaged.
    """
    if setup.config.calibration is None:
        return setup
    try:
        return replace(setup, given=read_calibration(run.path / CALIBRATION))
    except InputError as error:
        raise RunError(f"the calibration of {run.path} is lost: {error}") from None


def _said(given: GivenCalibration) -> str:
    of = f", of {', '.join(given.groups)}" if given.groups else ""
    return (
        f"threshold and calibration are those of {given.patients} patients who were left out in "
        f"a cross-validation{of}, with the modalities {', '.join(given.subsets)}"
    )


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What the trainings of a cross-validation and another one differ in, other than the cases.

    Args:
        before: the settings of those, as JSON.
        now: of the other one, likewise.
    """
    usual = TrainConfig().model_dump(mode="json")
    pairs = {name: (before.get(name, of), now.get(name, of)) for name, of in usual.items()}
    return [
        f"{name} ({one} there, {other} here)"
        for name, (one, other) in pairs.items()
        if name not in {"seed", *SAID_OTHERWISE} and one != other
    ]
