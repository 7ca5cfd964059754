"""What a card says first: what patients gave who chose nothing, and what flatters beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from mriseg.core.trials import ALL
from mriseg.core.wording import counted
from mriseg.io.cross_validations import CrossValidation
from mriseg.io.runs import Manifest

CROSS_HEAD = "left out of training"
"""How the table begins."""


@dataclass(frozen=True)
class Validation:
    """What chose the best epoch of a model.

    Attributes:
        dice: case -> region -> its Dice then.
        has: whether the case of that name was among them.
    """

    dice: Mapping[str, Mapping[str, float | None]]
    has: Callable[[str], bool]


def cross_validated(
    manifest: Manifest, cross: CrossValidation, validation: Validation
) -> Iterator[str]:
    """The paragraphs of a card on patients that chose nothing.

    Args:
        manifest: of the model.
        cross: what they gave.
        validation: what chose the model's best epoch, which is said to flatter.
    """
    count = counted(sum(cross.parts.values()), "patient")
    parts = ", ".join(cross.parts) if cross.leaves_out else f"{len(cross.parts)} folds of them"
    yield (
        f"**On patients that chose nothing.** {count}, each segmented by a run that was trained "
        f"alike without them, and with a threshold that other patients chose. Left out whole, one "
        f"after the other: {parts}. 3-D Dice, means over patients with 95 % bootstrap intervals."
    )
    rows = [
        f"| {row.group or 'all patients'}, {_with(row.subset)} | {row.region} | {row.mean:.3f} "
        f"[{row.low:.3f}, {row.high:.3f}] | {row.median:.3f} | {row.patients} |"
        for row in cross.figures
        if row.metric == "dice" and row.patients
    ]
    head = f"| {CROSS_HEAD} | region | mean | median | patients |\n|---|---|---|---|---|\n"
    yield head + "\n".join(rows)
    trained = sorted(set(cross.trained.values()))
    span = f"{trained[0]} to {trained[-1]}" if len(trained) > 1 else f"{trained[0]}"
    yield (
        f"What was measured: runs trained alike on {span} patients, not this model itself, which "
        f"was trained on {counted(len(manifest.train), 'case')}."
    )
    if manifest.config.get("calibration"):
        yield (
            "Threshold and calibration: of the same patients left out, each institution and each "
            "subset of modalities counting the same."
        )
    yield from (f"Flattered, for comparison: {text}" for text in best_validation(validation))


def best_validation(validation: Validation) -> Iterator[str]:
    """What the patients gave that chose the best epoch, where there were any."""
    values = [v for of in validation.dice.values() for v in of.values() if v is not None]
    if values:
        yield (
            f"The best validation had a mean Dice of {fmean(values):.3f} over "
            f"{counted(len(validation.dice), 'case')}, which chose the epoch, so this is "
            f"optimistic."
        )


def _with(subset: str) -> str:
    return "all modalities" if subset == ALL else subset
