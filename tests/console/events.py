"""A bit of everything that a recipe reports."""

from __future__ import annotations

from pathlib import Path

from mriseg.events import Advanced, Began, Measured, Notice, Skipped, Wrote

EVENTS = (
    Notice("a notice"),
    Began("train", 20, "step"),
    Advanced("train", 10, {"loss": 0.5, "images/s": 12.0}),
    Skipped("case [1]", "it is [bold]broken[/bold]"),
    Advanced("train", 20, {"loss": 0.25}),
    Measured(
        "epoch", 1, {"loss": 0.25, "dice": 0.5, "dice_WT": 0.5, "seconds": 61.0}, "best so far"
    ),
    Began("evaluate", 2, "case"),
    Measured("case", 0, {"dice": 0.5}, "case WT"),
    Advanced("evaluate", 2, item="case"),
    Wrote(Path("a [b].txt"), "file"),
)
