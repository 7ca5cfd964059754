"""What this machine has, and what a store or a run holds.

These answer at once, so they are plain functions and yield no events.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mriseg import __version__
from mriseg.backends import Backend, available, describe
from mriseg.backends.machine import cores, memory
from mriseg.core import finetune
from mriseg.core.config import TransferConfig, parse
from mriseg.core.regions import Regions
from mriseg.core.volume import Spacing
from mriseg.errors import InputError
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.runs import Manifest, Run, open_run
from mriseg.io.store import Store, open_store

_LIBRARIES = ("torch", "numpy", "scipy", "zarr", "nibabel", "safetensors")


@dataclass(frozen=True)
class MachineInfo:
    """This machine as mriseg sees it.

    Attributes:
        versions: of mriseg, Python and the libraries that its numbers depend on.
        system: operating system and processor architecture.
        cores: that this process may use.
        memory: physical, in bytes; None where the system does not say.
        backends: (name, whether this machine has it, and if not, why).
        chosen: the backend that would be used, as `mriseg.backends.describe` gives it.
    """

    versions: dict[str, str]
    system: str
    cores: int
    memory: int | None
    backends: tuple[tuple[str, bool, str], ...]
    chosen: dict[str, Any]


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        location: where it is.
        layout: the reader that found its cases.
        regions: name -> label values.
        labels: label value -> name, where known.
        cases: how many are complete in it.
        patients: how many they are of.
        labelled: how many cases have a segmentation.
        slices: of all cases together.
        modalities: name -> how many cases have it.
        foreground: region -> how many slices hold a voxel of it.
    """

    location: str
    layout: str
    regions: Regions
    labels: dict[int, str]
    cases: int
    patients: int
    labelled: int
    slices: int
    modalities: dict[str, int]
    foreground: dict[str, int]


@dataclass(frozen=True)
class RunInfo:
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
        ended: why it ended; empty where it was stopped and can be resumed.
        versions: that it was made with.
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


def machine(chosen: Backend) -> MachineInfo:
    """What this machine has; ``chosen`` is the backend that would be used."""
    return MachineInfo(
        versions={
            "mriseg": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _LIBRARIES},
        },
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=cores(),
        memory=memory(),
        backends=tuple((entry.name, entry.ok, entry.why) for entry in available()),
        chosen=describe(chosen),
    )


def holds(location: str | Path | Location) -> StoreInfo | RunInfo:
    """What the store or run at ``location`` holds.

    Args:
        location: a path, the name of a shipped model, or the URL of a store.

    Raises:
        InputError: it is neither, or of a format that this version cannot read.
        ConfigError: it looks like a URL that lost a slash.
    """
    match what_is(location):
        case Kind.RUN:
            return _run(open_run(location if isinstance(location, str) else Path(str(location))))
        case Kind.STORE:
            return _store(open_store(location))
        case Kind.NOTHING:
            raise InputError(f"{location} does not exist; give a store or a run, or nothing")
    raise InputError(f"{location} is neither a store (zarr.json) nor a run (run.json)")


def _store(store: Store) -> StoreInfo:
    index = store.index()
    foreground = {
        region: sum(int((case.foreground[:, column] > 0).sum()) for case in index.cases)
        for column, region in enumerate(index.regions)
    }
    return StoreInfo(
        location=store.location,
        layout=store.spec.layout,
        regions=dict(store.spec.regions),
        labels=dict(store.spec.labels),
        cases=len(index.cases),
        patients=len({case.patient for case in index.cases}),
        labelled=sum(case.labelled for case in index.cases),
        slices=sum(case.shape[0] for case in index.cases),
        modalities={
            name: sum(name in case.modalities for case in index.cases) for name in index.modalities
        },
        foreground=foreground,
    )


def _run(run: Run) -> RunInfo:
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
        ended=_ended(run),
        versions=manifest.versions,
    )


def _ended(run: Run) -> str:
    if run.is_shared:
        return "a model alone, without its training"
    return run.ended if run.has("last") else ""


def _parent(manifest: Manifest) -> str | None:
    parent = manifest.parent or {}
    if parent.get("weights") == "random":
        return f"random weights of the shape of {parent['run']}"
    return parent.get("run")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
