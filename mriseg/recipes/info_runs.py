"""What a run holds, or a model without its training, or a folder of runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mriseg.core import finetune
from mriseg.core.config import TransferConfig, parse
from mriseg.core.heads import Head
from mriseg.core.regions import Regions
from mriseg.core.volume import Spacing
from mriseg.errors import InputError
from mriseg.io.disk.untrusted import read_text
from mriseg.io.location import Location
from mriseg.io.runs import CARD, Manifest, Run, open_run
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.report.model_card import Card, read_card


@dataclass(frozen=True, repr=False)
class RunInfo(Shown):
    """What a run holds.

    Attributes:
        path: its folder.
        created: when it was started, ISO 8601.
        modalities: the network's input channels.
        regions: the network's output channels.
        spacing: size of the pixels (y, x) that it was trained on, in mm; None: not known.
        width: of the network.
        store: what it was trained on.
        train: how many cases trained.
        validation: how many validated.
        parent: the run it was transferred from, if it was.
        policy: how a transfer trained, in a line; else empty.
        frozen: blocks of a transfer that never train.
        weights: "best", "last" (before the first validation) or "" where there are none.
        epochs: how many were finished.
        dice: the best validation Dice; None before the first.
        curves: the picture of its learning curves, where it was drawn.
        ended: why it ended; empty where it was stopped and can be resumed, and of a model.
        versions: that it was made with.
        is_model: whether it is a shared model, without its training.
        card: what a model card states; None where there is none.
        heads: what the training cases' scans show -> how many; empty where that is not known.
    """

    path: Path
    created: str
    modalities: tuple[str, ...]
    regions: Regions
    spacing: Spacing | None
    width: int
    store: str
    train: int
    validation: int
    parent: str | None
    policy: str
    frozen: tuple[str, ...]
    weights: str
    epochs: int
    dice: float | None
    curves: Path | None
    ended: str
    versions: dict[str, str]
    is_model: bool
    card: Card | None
    heads: dict[Head, int]

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.of_a_run(self)


@dataclass(frozen=True)
class RunLine:
    """A run among others.

    Attributes:
        name: of its folder.
        created: when it was started, ISO 8601; empty where it cannot be read.
        store: the name of the store that it was trained on.
        task: modalities -> regions.
        epochs: how many were finished.
        dice: the best validation Dice; None before the first.
        state: whether it ended, can be resumed, or cannot be read, and why.
    """

    name: str
    created: str = ""
    store: str = ""
    task: str = ""
    epochs: int = 0
    dice: float | None = None
    state: str = ""


@dataclass(frozen=True, repr=False)
class RunsInfo(Shown):
    """What a folder of runs holds.

    Attributes:
        path: the folder.
        runs: the oldest first.
    """

    path: Path
    runs: tuple[RunLine, ...]

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.of_runs(self)


def runs_info(folder: Path) -> RunsInfo:
    """Every run in a folder; one that cannot be read is listed with the reason."""
    lines = [_line(path.parent) for path in folder.glob("*/run.json")]
    return RunsInfo(folder, tuple(sorted(lines, key=lambda line: (line.created, line.name))))


def _line(path: Path) -> RunLine:
    try:
        info = run_info(open_run(path))
    except InputError as error:
        return RunLine(path.name, state=f"cannot be read: {error}")
    if info.is_model:
        state = "a model to use"
    elif info.ended:
        state = f"ended: {info.ended}"
    else:
        state = "stopped, or still training" if info.weights else "not trained"
    return RunLine(
        name=path.name,
        created=info.created,
        store=Location.of(info.store).name.removesuffix(".zarr"),
        task=f"{'+'.join(info.modalities)} -> {', '.join(info.regions)}",
        epochs=info.epochs,
        dice=info.dice,
        state=state,
    )


def run_info(run: Run) -> RunInfo:
    """What a run, or a model without its training, says of itself.

    Raises:
        RunError: a part of it is damaged.
    """
    manifest = run.manifest
    log = run.read_log()
    given = manifest.config.get("transfer")
    policy = parse(TransferConfig, given) if given else None
    scores = [row["dice"] for row in log if row.get("dice") is not None]
    return RunInfo(
        path=run.path,
        created=manifest.created,
        modalities=manifest.modalities,
        regions=dict(manifest.regions),
        spacing=manifest.spacing,
        width=int(manifest.model["width"]),
        store=manifest.store,
        train=len(manifest.train),
        validation=len(manifest.validation),
        parent=_parent(manifest),
        policy=finetune.described(policy) if policy else "",
        frozen=finetune.phases(policy)[-1].frozen,
        weights=next((which for which in ("best", "last") if run.has(which)), ""),
        epochs=len(log),
        dice=max(scores, default=None),
        curves=run.curves_path if run.curves_path.exists() else None,
        ended=run.ended if run.has("last") else "",
        versions=manifest.versions,
        is_model=run.is_shared,
        card=_card(run.path / CARD),
        heads=dict(manifest.heads),
    )


def _card(path: Path) -> Card | None:
    try:
        return read_card(read_text(path))
    except (OSError, ValueError):
        return None


def _parent(manifest: Manifest) -> str | None:
    parent = manifest.parent or {}
    if parent.get("weights") == "random":
        return f"random weights of the shape of {parent['run']}"
    return parent.get("run")
