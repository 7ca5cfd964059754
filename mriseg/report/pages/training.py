"""The page of a training: how far it is, its curves, its validation, where it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mriseg.core.regions import described
from mriseg.core.wording import duration
from mriseg.io.runs import Manifest
from mriseg.report import methods
from mriseg.report.chart_style import Vector
from mriseg.report.charts import learning_curves
from mriseg.report.page import (
    About,
    Cell,
    Chart,
    Column,
    Facts,
    Page,
    Picture,
    Section,
    Table,
    Words,
    number,
)


@dataclass(frozen=True)
class Progress:
    """How far a training is.

    Attributes:
        rows: its log.
        best: the best Dice; None before the first validation.
        best_epoch: when that was.
        dice: case -> region -> Dice of the best validation.
        ended: why it ended; empty while it goes on.
        processes: of each sitting, from which step on how many processes trained together.
    """

    rows: Sequence[Mapping[str, Any]]
    best: float | None = None
    best_epoch: int = 0
    dice: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ended: str = ""
    processes: Sequence[tuple[int, int]] = ()


def training_page(
    name: str,
    manifest: Manifest,
    progress: Progress,
    about: About,
    *,
    transfer: Mapping[str, Any] | None = None,
    picture: bytes | None = None,
) -> Page:
    """The page of a run, while it trains and when it has ended.

    Args:
        name: of the run.
        manifest: of the run.
        progress: how far it is; at least one epoch.
        about: how the page came about.
        transfer: what was kept, adapted and initialised, of a transfer (its ``transfer.json``).
        picture: of the latest validation's slices.
    """
    rows = progress.rows
    spent = float(rows[-1].get("seconds") or 0.0)
    best = "-" if progress.best is None else f"{progress.best:.3f}"
    when = f"epoch {progress.best_epoch}" if progress.best is not None else "no validation yet"
    tiles = (
        ("Best validation Dice", best, when),
        ("Epochs", str(rows[-1]["epoch"]), f"{rows[-1]['step']} steps"),
        ("Time", duration(spent), ""),
        ("Cases", str(len(manifest.train)), f"and {len(manifest.validation)} for validation"),
    )
    state = f"It ended: {progress.ended}." if progress.ended else "It is still training: reload."
    lead = f"A SegNet of width {manifest.model['width']} for {', '.join(manifest.regions)}. {state}"
    sections = [Section("Curves", (_curves(rows),))]
    if picture is not None:
        alt = "Slices of validation cases: each modality, the truth, and the network's output."
        words = (
            "The latest validation. In the output, a colour's opacity is the probability, its "
            "outline where that exceeds one half; the truth is a pale outline."
        )
        sections.append(Section("Validation slices", (Picture(picture, alt, words),)))
    if progress.dice:
        sections.append(Section("Validation cases", (_cases(progress.dice),)))
    if transfer is not None:
        sections.append(Section("Transfer", (Words((_carried(transfer),)), _parent(manifest))))
    sections.append(Section("What it learns", (_task(manifest),)))
    if any(number > 1 for _, number in progress.processes):
        sections.append(Section("Processes", (Words((_together(progress.processes),)),)))
    parent = manifest.parent or {}
    citing = methods.of_training(
        version=about.versions.get("mriseg", "?"),
        torch=about.versions.get("torch", "?"),
        width=manifest.model["width"],
        modalities=manifest.modalities,
        regions=tuple(manifest.regions),
        cases=(len(manifest.train), len(manifest.validation)),
        parent=str(parent.get("run", "")) if parent.get("weights") != "random" else "",
    )
    return Page("Training", name, lead, about, tiles, tuple(sections), methods=citing)


def _curves(rows: Sequence[Mapping[str, Any]]) -> Chart:
    chart = Vector()
    learning_curves(chart, rows, "")
    first, last = rows[0]["loss"], rows[-1]["loss"]
    text = f"Loss by epoch, from {first:.3f} to {last:.3f}"
    scores = [row["dice"] for row in rows if row.get("dice") is not None]
    text += f"; validation Dice, from {scores[0]:.3f} to {scores[-1]:.3f}." if scores else "."
    return Chart(chart.svg, f"Learning curves. {text}", text)


def _cases(dice: Mapping[str, Mapping[str, float]]) -> Table:
    regions = tuple(dict.fromkeys(name for scores in dice.values() for name in scores))
    columns = (Column("case"), *(Column(f"Dice {name}", numeric=True) for name in regions))
    order = sorted(dice, key=lambda case: sum(dice[case].values()))
    rows = ((Cell(case), *(number(dice[case].get(name)) for name in regions)) for case in order)
    caption = "The best validation, the lowest Dice first. It chose the epoch, so it flatters."
    return Table(caption, columns, tuple(rows))


def _together(processes: Sequence[tuple[int, int]]) -> str:
    """How many processes trained, sitting by sitting."""
    each = [
        f"{number} process{'es' * (number > 1)}{f' from step {step + 1} on' if step else ''}"
        for step, number in processes
    ]
    return f"Trained by {', then by '.join(each)}; what it learns does not depend on it."


def _carried(transfer: Mapping[str, Any]) -> str:
    counts = transfer.get("counts", {})
    each = ", ".join(f"{number} {action}" for action, number in counts.items())
    return f"Tensors of the network: {each}."


def _parent(manifest: Manifest) -> Facts:
    parent = manifest.parent or {}
    return Facts(tuple((str(key), str(value)) for key, value in parent.items()))


def _task(manifest: Manifest) -> Facts:
    h, w = manifest.frame
    regions = ", ".join(f"{name} ({described(v)})" for name, v in manifest.regions.items())
    rows = [
        ("reads", ", ".join(manifest.modalities)),
        ("segments", regions),
        ("slices", f"{h} x {w} voxels"),
        ("store", manifest.store),
        ("training cases", ", ".join(manifest.train)),
        ("validation cases", ", ".join(manifest.validation) or "none"),
    ]
    return Facts(tuple(rows))
