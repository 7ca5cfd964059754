"""The manifest of a run, ``run.json``: what was trained, on what, and by which settings."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from mriseg.core.config import AugmentConfig, Config, TrainConfig, TransferConfig, parse, shown
from mriseg.core.heads import Head
from mriseg.core.identity import Identity, hidden, known
from mriseg.core.preparation import UNPREPARED, Preparation
from mriseg.core.sampling import CaseEntry
from mriseg.core.segnet import SegNetConfig
from mriseg.core.task import Task
from mriseg.core.volume import Spacing
from mriseg.errors import ConfigError, RunError, reason_of
from mriseg.io.disk.checksums import as_written, write_sealed_json
from mriseg.io.disk.schemas import Name, RegionTable, Side, as_json, checked
from mriseg.io.disk.untrusted import MAX_TEXT, open_regular, parse_json
from mriseg.io.disk.versions import reading

FORMAT = "mriseg-run"
FORMAT_VERSION = 1
FILE = "run.json"

Modalities = Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]


@dataclass(frozen=True)
class Manifest:
    """What ``run.json`` holds.

    Attributes:
        config: of the training (`mriseg.core.config.TrainConfig`), as JSON; see `settings`.
        model: of the network (`mriseg.core.segnet.SegNetConfig`), as JSON.
        modalities: names of the input channels, in order.
        regions: names and label values of the output channels, in order.
        unit: "mm" or "px", of the training cases.
        frame: height and width of a training slice, in voxels.
        spacing: median size of the training cases' pixels (y, x), in mm; None where none states it.
        incomplete: whether training saw cases that lacked a modality, or had one dropped.
        store: location of the store.
        train: names of the training cases.
        validation: names of the validation cases.
        seen: every case that shaped the weights by training, in this run and in those that it was
            transferred from.
        versions: of mriseg, torch and Python.
        created: local time, ISO 8601.
        backend: where training began and how it computed there, see `mriseg.backends.describe`.
        parent: the run that this one was transferred from and how; None: of no transfer.
        salt: of a shared model: what the names in ``train`` and ``validation`` are hidden with
            (`mriseg.core.identity.hidden`); empty where they are plain.
        preparation: what was done to the training scans (`mriseg preprocess`), and is to be done to
            new ones; an earlier mriseg did nothing.
        heads: what the training cases' scans show -> how many, see `mriseg.core.heads`; empty where
            an earlier mriseg trained.
        kind: "training", which can be resumed, or "model", shared without its training.
    """

    config: dict[str, Any]
    model: dict[str, Any]
    modalities: Modalities
    regions: RegionTable
    unit: Annotated[str, Field(pattern="^(mm|px)$")]
    frame: tuple[Side, Side]
    incomplete: bool
    store: str
    train: tuple[str, ...]
    validation: tuple[str, ...]
    seen: tuple[Identity, ...]
    versions: dict[str, str]
    created: str
    backend: dict[str, Any] = field(default_factory=dict)
    parent: dict[str, Any] | None = None
    salt: str = ""
    spacing: Spacing | None = None
    kind: Literal["training", "model"] = "training"
    preparation: Preparation = UNPREPARED
    heads: dict[Head, Annotated[int, Field(ge=1)]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What the network reads and segments."""
        return Task(self.modalities, self.regions, self.frame, self.spacing)

    def check(self) -> None:
        """Make sure that its parts are of one network.

        Raises:
            ConfigError: a setting of the training or of the network does not fit.
            ValueError: the parts do not fit each other.
        """
        parse(TrainConfig, self._known_settings())
        shape = parse(SegNetConfig, self.model)
        channels, classes = len(self.modalities), len(self.regions)
        if (shape.in_channels, shape.classes) != (channels, classes):
            raise ValueError(
                f"its network has {shape.in_channels} inputs and {shape.classes} outputs, for "
                f"{channels} modalities and {classes} regions"
            )
        if len(set(self.modalities)) < channels:
            raise ValueError("a modality is named twice")
        if self.parent is not None and not isinstance(self.parent.get("run"), str):
            raise ValueError(f"parent.run is {shown(self.parent.get('run'))}: expected a name")

    @property
    def settings(self) -> TrainConfig:
        """The configuration of the training, without settings that a later mriseg added."""
        return parse(TrainConfig, self._known_settings())

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Axes of a batch [b, c, h, w] along which training mirrored slices."""
        augment = self.settings.augment
        axes = {2: augment.vertical_flip, 3: augment.flip}
        return tuple(axis for axis, probability in axes.items() if probability > 0)

    @property
    def portable_config(self) -> dict[str, Any]:
        """The configuration without names of cases, which may be patients', and without paths."""
        config = {k: v for k, v in self.config.items() if k not in ("exclude", "validation_cases")}
        for key in ("encoder_weights", "calibration"):
            if config.get(key):
                config[key] = re.split(r"[\\/]", config[key].rstrip("\\/"))[-1]
        return config

    def seen_among(self, cases: Sequence[CaseEntry]) -> dict[str, str]:
        """Which cases are of patients that training saw, and how that shows; see `known`."""
        return known(cases, self.seen)

    def validated_on(self, name: str) -> bool:
        """Whether the case of this name helped to choose the best epoch."""
        return (hidden(name, self.salt) if self.salt else name) in self.validation

    def _known_settings(self) -> dict[str, Any]:
        config = _known(TrainConfig, self.config)
        nested: tuple[tuple[str, type[Config]], ...] = (
            ("augment", AugmentConfig),
            ("transfer", TransferConfig),
        )
        for key, kind in nested:
            if isinstance(config.get(key), Mapping):
                config[key] = _known(kind, config[key])
        return config


def _known(kind: type[Config], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in kind.model_fields}


# Keys that came with a later mriseg, and what holds without them: their default.
_LATER = frozenset({"heads", "preparation"})


def _read_version_1(data: Mapping[str, Any]) -> Manifest:
    """The manifest in a document of version 1; keys of a later mriseg are left out."""
    # Every key is written, so one that is missing was lost; its default would hide that.
    names = [item.name for item in fields(Manifest) if item.name not in _LATER]
    missing = [name for name in names if name not in data]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    manifest = checked(Manifest, dict(data))
    manifest.check()
    return manifest


VERSIONS: Mapping[int, Callable[[Mapping[str, Any]], Manifest]] = {1: _read_version_1}
"""How a manifest of each version is read."""


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``run.json`` in one atomic step; ``folder`` is made where there is none.

    Raises:
        OutputError: it cannot be written.
    """
    content = as_json(manifest)
    document = {"format": FORMAT, "version": FORMAT_VERSION, **content}
    write_sealed_json(folder / FILE, document)


def read_manifest(folder: Path) -> Manifest:
    """Read ``run.json``.

    Raises:
        RunError: there is none, it is damaged, or of a version that this mriseg cannot read.
    """
    if folder.is_file():
        raise RunError(
            f"{folder} is a file, and a model is a run's folder: name one under runs/, or a "
            f"shipped model such as base (what mriseg exports is for other programs)"
        )
    path = folder / FILE
    try:
        with open_regular(path) as file:
            content = file.read(MAX_TEXT)
        data = parse_json(content)
        if data.get("format") != FORMAT:
            raise ValueError("its run.json is of another format")
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(
            f"{folder} is not a run folder ({reason_of(error)}); name one under runs/"
        ) from None
    read = reading(
        VERSIONS,
        data.get("version"),
        what=f"{folder} has run format",
        remedy="train it again",
        error=RunError,
    )
    if not as_written(io.BytesIO(content)):
        raise RunError(
            f"{path} is damaged or was edited: its content does not match its digest; restore it "
            f"from a copy"
        )
    try:
        return read(data)
    except (TypeError, ValueError, ConfigError) as error:
        raise RunError(f"{path} is damaged: {error}") from None
