"""A model card: what a model was trained on, how good it is, and its limits.

After Mitchell et al. 2019, "Model cards for model reporting" (arXiv 1810.03993).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from mriseg.core.regions import described
from mriseg.core.wording import agreeing, counted, pixel_size
from mriseg.io.cross_validations import CrossValidation
from mriseg.io.runs import Manifest
from mriseg.report.card_cross_validation import (
    CROSS_HEAD,
    Validation,
    best_validation,
    cross_validated,
)

_OPEN = "**still to fill in**"
HEADS = ("| measured on", f"| {CROSS_HEAD}")
"""How the tables of a card begin."""


def model_card(
    manifest: Manifest,
    *,
    name: str,
    parameters: int,
    validation: Validation,
    evaluations: Mapping[str, Mapping[str, Any]],
    cross: CrossValidation | None = None,
    data: str | None = None,
    terms: str | None = None,
) -> tuple[str, tuple[str, ...]]:
    """The card as Markdown, and what is still to fill in.

    Args:
        manifest: of the model.
        name: of the model.
        parameters: number of trained parameters.
        validation: what chose the best epoch.
        evaluations: what was measured -> an evaluation, as `mriseg.recipes.evaluate` writes it.
        cross: what patients gave who were left out of trainings like this one; None: not known.
        data: the training data; None: still to fill in.
        terms: terms of use; None: still to fill in.
    """
    regions = ", ".join(f"{name} ({described(v)})" for name, v in manifest.regions.items())
    absent = {"the terms of use": terms is None, "the training data": data is None}
    absent["Dice with intervals (no evaluation was given)"] = not evaluations and cross is None
    cases = f"{len(manifest.train)} training and {len(manifest.validation)} validation cases"
    sections = (
        f"# Model card: {name}",
        "**For research. Not a medical device, not for clinical use:** it has not been validated "
        "for any patient.",
        "## What it is",
        f"A 2-D SegNet of width {manifest.model['width']} with {parameters:,} parameters (weights "
        f"in float16). It segments {regions}, slice by slice, in {', '.join(manifest.modalities)}. "
        f"Trained with mriseg {manifest.versions.get('mriseg', '?')} and PyTorch "
        f"{manifest.versions.get('torch', '?')} on {manifest.created[:10]}"
        f"{_ancestor(manifest)}.",
        "## Data",
        f"{data or _OPEN}",
        f"{cases}, from the store `{manifest.store}`. `run.json` keeps digests and fingerprints of "
        f"the training cases, by which mriseg recognises a scan that was among them."
        + ("" if manifest.salt else " It holds their names too."),
        "## Terms",
        f"{terms or _OPEN}",
        "## Modalities",
        _modalities(manifest, (*(cross.subsets if cross else ()), *evaluations)),
        "## How good it is",
        *(cross_validated(manifest, cross, validation) if cross else ()),
        *_measured(validation, evaluations, cross),
        "## Limits",
        _limits(manifest),
    )
    missing = tuple(what for what, lacking in absent.items() if lacking)
    return "\n\n".join(sections) + "\n", missing


@dataclass(frozen=True)
class Figure:
    """A row of a card's table, as it stands there.

    Attributes:
        measured_on: what was measured.
        region: of what.
        mean: the mean Dice with its interval.
        median: the median Dice.
        cases: how many were measured.
    """

    measured_on: str
    region: str
    mean: str
    median: str
    cases: str


@dataclass(frozen=True)
class Card:
    """What a card states, as far as it is written as `model_card` writes it.

    Attributes:
        figures: how good the model is.
        caveats: what to know of the figures, one sentence each.
        terms: of use; empty where they are still to fill in.
    """

    figures: tuple[Figure, ...]
    caveats: tuple[str, ...]
    terms: str


def read_card(text: str) -> Card:
    """What is stated in a card, which may have been edited: what is not recognised is left out."""
    sections = {
        title.strip(): body.strip()
        for title, _, body in (part.partition("\n") for part in re.split(r"(?m)^## ", text)[1:])
    }
    measured = sections.get("How good it is", "").splitlines()
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        for line in measured
        if line.startswith("| ") and not line.startswith(HEADS)
    ]
    terms = sections.get("Terms", "")
    return Card(
        figures=tuple(Figure(*row) for row in rows if len(row) == len(fields(Figure))),
        caveats=tuple(line for line in measured if ": " in line and not line.startswith("|")),
        terms="" if terms == _OPEN else " ".join(terms.split()),
    )


def _ancestor(manifest: Manifest) -> str:
    parent = manifest.parent or {}
    if not parent or parent.get("weights") == "random":
        return ""
    return f", transferred from `{parent.get('run')}`"


def _modalities(manifest: Manifest, subsets: Sequence[str]) -> str:
    names = ", ".join(manifest.modalities)
    dropped = manifest.settings.augment.drop_modality
    gaps = [
        *(["some training cases lacked one"] if manifest.incomplete else []),
        *([f"modalities were dropped from {dropped:.0%} of the slices"] if dropped else []),
    ]
    trained = f"In training, {' and '.join(gaps)}. " if gaps else "All were present in training. "
    measured = "; ".join(dict.fromkeys(subsets)) if subsets else "none"
    return (
        f"Inputs: {names}. A missing one is replaced by 0, the brain's mean. {trained}Measured "
        f"subsets: {measured}. Others are not validated."
    )


def _measured(
    validation: Validation,
    evaluations: Mapping[str, Mapping[str, Any]],
    cross: CrossValidation | None,
) -> list[str]:
    lines = ["3-D Dice per case, with 95 % bootstrap intervals of the mean."] if evaluations else []
    rows = [
        f"| {text} | {row['region']} | {_number(row['mean'])} "
        f"[{_number(row['low'])}, {_number(row['high'])}] | {_number(row['median'])} "
        f"| {row['cases']} |"
        for text, data in evaluations.items()
        for row in data["summary"]
        if row["metric"] == "dice"
    ]
    if rows:
        head = "| measured on | region | mean | median | cases |\n|---|---|---|---|---|\n"
        lines.append(head + "\n".join(rows))
    caveats: dict[str, list[str]] = {}  # caveat -> evaluations that it concerns
    for text, data in evaluations.items():
        names = {row["case"] for row in data["cases"]}
        chose = sum(map(validation.has, names))
        seen = len({row["case"] for row in data["cases"] if row["seen"]})
        of_all = f"of {counted(len(names), 'case')}"
        if chose:
            optimistic = (
                f"{chose} {of_all} {agreeing(chose, 'was', 'were')} used for validation, which "
                f"chose the best epoch, threshold and minimum component size; their Dice is "
                f"slightly optimistic."
            )
            caveats.setdefault(optimistic, []).append(text)
        if seen:
            training = f"{seen} {of_all} **{agreeing(seen, 'was', 'were')} trained on**."
            caveats.setdefault(training, []).append(text)
    lines += [f"{'; '.join(texts)}: {caveat}" for caveat, texts in caveats.items()]
    if validation.dice and not evaluations and cross is None:
        lines += [f"{_OPEN}. {text}" for text in best_validation(validation)]
    return lines or ([] if cross else [_OPEN])


def _limits(manifest: Manifest) -> str:
    h, w = manifest.frame
    spacing = manifest.spacing
    scale, resampled = "whose size is not known", "scans are not resampled,"
    if spacing:
        scale = f"of {pixel_size(spacing)}"
        resampled = (
            "slices whose pixels differ by more than a fifth are resampled for it; scans are not"
        )
    return "\n".join(
        (
            "- It was trained on scans like those above: with other scanners, sequences, ages and "
            "diseases, masks may look right and be wrong. Evaluate it on your own cases.",
            f"- It segments one axial slice at a time, of about {h} x {w} voxels {scale}; "
            f"{resampled} registered or skull-stripped.",
            "- It gives a mask, which may be empty, for any scan, and does not detect scans unlike "
            "its training data.",
            "- Probabilities may be overconfident on other data.",
        )
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
