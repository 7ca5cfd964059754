"""A model card: what a model was made of, how well it was measured, and where it ends.

After Mitchell et al. 2019, "Model cards for model reporting" (arXiv 1810.03993).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mriseg.core.regions import join_labels
from mriseg.io.runs import Manifest

_OPEN = "**to be filled in**"


def model_card(
    manifest: Manifest,
    *,
    name: str,
    parameters: int,
    dice: Mapping[str, Mapping[str, float | None]],
    evaluations: Mapping[str, Mapping[str, Any]],
    validated: Callable[[str], bool],
    data: str | None = None,
    terms: str | None = None,
) -> tuple[str, tuple[str, ...]]:
    """The card as Markdown, and what it leaves to be filled in.

    Args:
        manifest: of the model.
        name: of the model.
        parameters: how many it learnt.
        dice: case -> region -> the Dice that chose the best epoch.
        evaluations: what was measured -> an evaluation, as `mriseg.recipes.evaluate` writes it.
        validated: whether the case of that name helped to choose the best epoch.
        data: what it was trained on; None: to be filled in.
        terms: under which it may be used; None: to be filled in.
    """
    regions = ", ".join(f"{name} (labels {join_labels(v)})" for name, v in manifest.regions.items())
    absent = {"the data's terms": terms is None, "the data": data is None}
    absent["Dice with intervals (no evaluation was given)"] = not evaluations
    cases = f"{len(manifest.train)} cases trained and {len(manifest.validation)} validated"
    sections = (
        f"# Model card: {name}",
        "**For research. Not a medical device, not for clinical use:** nobody has validated it "
        "for any patient.",
        "## What it is",
        f"A 2-D SegNet of width {manifest.model['width']} with {parameters:,} parameters (weights "
        f"in float16), which marks {regions}, slice by slice, in {', '.join(manifest.modalities)}. "
        f"Trained with mriseg {manifest.versions.get('mriseg', '?')} and PyTorch "
        f"{manifest.versions.get('torch', '?')} on {manifest.created[:10]}"
        f"{_ancestor(manifest)}.",
        "## Data",
        f"{data or _OPEN}",
        f"{cases}, from the store `{manifest.store}`. Of the cases that trained, `run.json` keeps "
        f"digests and fingerprints, so that mriseg tells whether a scan was among them."
        + ("" if manifest.salt else " Their names are in it too."),
        "## Terms",
        f"{terms or _OPEN}",
        "## Modalities",
        _modalities(manifest, evaluations),
        "## How good it is",
        *_measured(dice, evaluations, validated),
        "## Limits",
        _limits(manifest),
    )
    missing = tuple(what for what, lacking in absent.items() if lacking)
    return "\n\n".join(sections) + "\n", missing


def _ancestor(manifest: Manifest) -> str:
    parent = manifest.parent or {}
    if not parent or parent.get("weights") == "random":
        return ""
    return f", transferred from `{parent.get('run')}`"


def _modalities(manifest: Manifest, evaluations: Mapping[str, Any]) -> str:
    names = ", ".join(manifest.modalities)
    dropped = float((manifest.config.get("augment") or {}).get("drop_modality", 0))
    seen = [
        *(["some training cases lacked one"] if manifest.incomplete else []),
        *([f"modalities were left out of {dropped:.0%} of the slices"] if dropped else []),
    ]
    trained = f"In training {' and '.join(seen)}. " if seen else "All were there in training. "
    measured = "; ".join(evaluations) if evaluations else "none"
    return (
        f"It reads {names}; one that a scan lacks reads 0, the brain's mean. {trained}Measured "
        f"subsets: {measured}. Others are not validated."
    )


def _measured(
    dice: Mapping[str, Mapping[str, float | None]],
    evaluations: Mapping[str, Mapping[str, Any]],
    validated: Callable[[str], bool],
) -> list[str]:
    lines = ["3-D Dice by case, with 95 % bootstrap intervals of the mean."] if evaluations else []
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
    told: dict[str, list[str]] = {}  # what is to be known of them -> of which
    for text, data in evaluations.items():
        names = {row["case"] for row in data["cases"]}
        chose = sum(map(validated, names))
        seen = len({row["case"] for row in data["cases"] if row.get("seen")})
        if chose:
            chosen = (
                f"{chose} of {len(names)} cases chose the best epoch, and probabilities, threshold "
                f"and smallest component are calibrated on them, which flatters them slightly."
            )
            told.setdefault(chosen, []).append(text)
        if seen:
            learnt = f"{seen} of {len(names)} cases **trained the model**."
            told.setdefault(learnt, []).append(text)
    lines += [f"{'; '.join(texts)}: {what}" for what, texts in told.items()]
    values = [v for by_region in dice.values() for v in by_region.values() if v is not None]
    if values and not evaluations:
        lines.append(
            f"{_OPEN}. Its best validation had a mean Dice of {np.mean(values):.3f} over "
            f"{len(dice)} cases, which chose the epoch and so flatter it."
        )
    return lines or [_OPEN]


def _limits(manifest: Manifest) -> str:
    h, w = manifest.frame
    scale = "no voxel size was stated" if manifest.unit == "px" else "voxels in mm"
    return "\n".join(
        (
            "- It knows scans like those above: other scanners, sequences, ages and diseases may "
            "give masks that look right and are wrong. Measure it on cases of your own.",
            f"- It sees one axial slice at a time, of about {h} x {w} voxels ({scale}); scans are "
            "not resampled, registered or stripped of the skull for it.",
            "- It marks something or nothing in whatever it is given, and does not say when a scan "
            "is not of its kind.",
            "- Probabilities may be over-confident on data of another kind.",
        )
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
