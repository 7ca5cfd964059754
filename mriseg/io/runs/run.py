"""A run folder: what was trained, on what, how far, and the weights.

::

    runs/20261123-101500-out/
        run.json            format, configuration, model, channels, regions, split, versions
        best.safetensors    weights of the best validation
        last.safetensors    weights, their average, optimiser and position of the latest
        log.jsonl           a line of numbers per epoch
        curves.png          the same numbers as curves
        tensorboard/        the same numbers for TensorBoard
        images/             a picture grid per validation
        transfer.json       of a transfer: what was kept, adapted and made anew
        start.safetensors   of a transfer with L2-SP: what parameters are drawn to

A model that was handed on (`mriseg.recipes.share`) is such a folder too, with ``run.json``,
``best.safetensors`` and a ``MODEL_CARD.md`` alone: to use and to transfer from, not to go on with.

Everything is written beside its place and renamed into it, so each file is whole whenever the
process dies. ``last.safetensors`` holds weights and training state in one file for the same
reason: two files could be of different steps. Nothing here is pickled, so nothing read can run.

``run.json`` and the weights carry their own SHA-256 (`mriseg.io.disk.checksums`),
which is checked when a run is opened and when weights are loaded; older ones have none.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mriseg.core.calibration import Calibration
from mriseg.core.config import parse, shown
from mriseg.core.identity import Identity, hidden, known
from mriseg.core.sampling import CaseEntry
from mriseg.core.segnet import SegNetConfig
from mriseg.errors import ConfigError, InputError, OutputError, RunError, reason_of
from mriseg.io.disk.atomic import contents, is_free, replacing
from mriseg.io.disk.checksums import BLANK, as_written, seal, write_sealed_json
from mriseg.io.disk.schemas import Labels, Name, Row, RunConfig, Side, checked, state_of
from mriseg.io.disk.untrusted import MAX_TEXT, open_regular, parse_json, read_text
from mriseg.io.disk.versions import reading
from mriseg.io.runs.model_sources import locate

T = TypeVar("T")

FORMAT = "mriseg-run"
FORMAT_VERSION = 1
_OPTIMISER = "optimiser/"
_AVERAGE = "average/"
# A checkpoint is written every ten minutes, and at an epoch's end.
_TRIES = 100

CARD = "MODEL_CARD.md"


@dataclass(frozen=True)
class Manifest:
    """What ``run.json`` holds.

    Attributes:
        config: of the training (`mriseg.core.config.TrainConfig`), as JSON.
        model: of the network (`mriseg.core.segnet.SegNetConfig`), as JSON.
        modalities: names of the input channels, in order.
        regions: names and label values of the output channels, in order.
        unit: "mm" or "px", of the training cases.
        frame: height and width of a training slice, in voxels.
        incomplete: whether training saw cases that lacked a modality, or had one dropped.
        store: location of the store.
        train: names of the training cases.
        validation: names of the validation cases.
        seen: who they are, every case that shaped the weights by training, of this run and of
            those that it was transferred from.
        versions: of mriseg, torch and Python.
        created: local time, ISO 8601.
        backend: where training began and how it computed there, as `mriseg.backends.describe` told.
        parent: the run that this one was transferred from, and the report of it.
        salt: of a model that is handed on: what the names in ``train`` and ``validation`` are
            hidden with (`mriseg.core.identity.hidden`); empty where they are plain.
    """

    config: dict[str, Any]
    model: dict[str, Any]
    modalities: tuple[str, ...]
    regions: dict[str, tuple[int, ...]]
    unit: str
    frame: tuple[int, int]
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

    def to_json(self) -> dict[str, Any]:
        """This manifest as JSON types."""
        values = dict(self.__dict__)
        values["regions"] = [[name, list(labels)] for name, labels in self.regions.items()]
        for key in ("modalities", "frame", "train", "validation"):
            values[key] = list(values[key])
        values["seen"] = [item.to_json() for item in self.seen]
        return {"format": FORMAT, "version": FORMAT_VERSION, **values}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Manifest:
        """The inverse of `to_json`. Keys of a later mriseg are left out."""
        known_keys = {f.name for f in fields(cls)}
        values = {k: v for k, v in data.items() if k in known_keys}
        values["regions"] = {name: tuple(labels) for name, labels in data["regions"]}
        for key in ("modalities", "frame", "train", "validation"):
            values[key] = tuple(values[key])
        values["seen"] = tuple(Identity.from_json(item) for item in data["seen"])
        made = checked(cls, values)
        made.check()
        return made

    def check(self) -> None:
        """See to it that its parts are of one network, of a size that there can be.

        Raises:
            ValueError: they are not.
        """
        checked(RunConfig, self.config)
        shape = parse(SegNetConfig, self.model)
        channels, classes = len(self.modalities), len(self.regions)
        if (shape.in_channels, shape.classes) != (channels, classes):
            raise ValueError(
                f"its network has {shape.in_channels} inputs and {shape.classes} outputs, for "
                f"{channels} modalities and {classes} regions"
            )
        if len(set(self.modalities)) < channels:
            raise ValueError("a modality is named twice")
        for values in self.regions.values():
            checked(Labels, values)
        for side in self.frame:
            checked(Side, side)
        if self.unit not in ("mm", "px"):
            raise ValueError(f"its unit is {shown(self.unit)}, neither mm nor px")
        if self.parent is not None:
            checked(Name, self.parent.get("run", ""))

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Axes of a batch [b, c, h, w] along which training mirrored slices."""
        varied = self.config.get("augment") or {}
        axes = {"vertical_flip": 2, "flip": 3}
        return tuple(axis for name, axis in axes.items() if varied.get(name, 0) > 0)

    @property
    def portable_config(self) -> dict[str, Any]:
        """The configuration without names of cases, which may be patients', and without paths."""
        config = {k: v for k, v in self.config.items() if k not in ("exclude", "validation_cases")}
        if config.get("encoder_weights"):
            config["encoder_weights"] = re.split(r"[\\/]", config["encoder_weights"])[-1]
        return config

    def seen_among(self, cases: Sequence[CaseEntry]) -> dict[str, str]:
        """Which cases are of patients that training saw, and how that shows; see `known`."""
        return known(cases, self.seen)

    def trained_on(self, case: CaseEntry) -> bool:
        """Whether training saw this patient; of many cases, `seen_among` tells sooner."""
        return bool(self.seen_among([case]))

    def validated_on(self, name: str) -> bool:
        """Whether the case of this name helped to choose the best epoch."""
        return (hidden(name, self.salt) if self.salt else name) in self.validation


VERSIONS: Mapping[int, Callable[[Mapping[str, Any]], Manifest]] = {1: Manifest.from_json}
"""How a run of each version is read. Keys that a version gained since have defaults."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and, for going on, the optimiser's tensors and the position.

    Attributes:
        weights: the model's state, on the CPU.
        optimiser: "<parameter name>/<key>" -> tensor; empty for weights alone.
        state: JSON types: epoch, step, best Dice, seconds spent, calibration, ...
        average: the running average of the weights so far; empty where there is none.
    """

    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    state: dict[str, Any]
    average: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run folder that exists; made by `create_run` or `open_run`."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def log_path(self) -> Path:
        """A line of JSON per epoch."""
        return self.path / "log.jsonl"

    @property
    def curves_path(self) -> Path:
        """The log as a picture; there after the first validation."""
        return self.path / "curves.png"

    def within(self, *parts: str) -> Path:
        """Where a file of the run's goes; the run itself is not made anew where it went away.

        Raises:
            OutputError: the run is gone.
        """
        if not self.path.is_dir():
            raise OutputError(f"{self.path} is gone: {'/'.join(parts)} cannot be written")
        return self.path.joinpath(*parts)

    def save(self, which: str, checkpoint: Checkpoint) -> Path:
        """Write "best" or "last" in one atomic step and return its path.

        Raises:
            OutputError: it cannot be written; what was there is untouched.
        """
        path = self.path / f"{which}.safetensors"
        tensors = {name: tensor.contiguous() for name, tensor in checkpoint.weights.items()}
        tensors |= {_OPTIMISER + k: v.contiguous() for k, v in checkpoint.optimiser.items()}
        tensors |= {_AVERAGE + k: v.contiguous() for k, v in checkpoint.average.items()}
        # In the state, since safetensors keeps no order among several texts.
        state = json.dumps({"digest": BLANK, **checkpoint.state})
        with replacing(path, make_folder=False) as temporary:
            try:
                save_file(tensors, temporary, metadata={"state": state})
            except SafetensorError as error:  # how it tells of a full disk
                raise OutputError(f"{path} cannot be written: {error}") from error
            seal(temporary)
        return path

    def load(self, which: str = "best") -> Checkpoint:
        """Read "best" or "last". Weights that are kept in float16 come as float32.

        Raises:
            RunError: it is missing or damaged.
        """
        path = self.path / f"{which}.safetensors"
        if not path.exists():
            raise RunError(f"{self.path} has no {path.name}: its training did not get that far")

        def read() -> tuple[dict[str, Any], dict[str, Tensor]]:
            with open_regular(path) as opened:
                if as_written(opened) is False:
                    raise ValueError("it is not what was written")
            with safe_open(path, framework="pt") as file:
                return _state_in(file), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

        try:
            state, tensors = _of_one_file(path, read)
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise RunError(f"{path} is damaged ({error}); train again or restore it") from None
        optimiser, average = (
            {k.removeprefix(start): tensors.pop(k) for k in list(tensors) if k.startswith(start)}
            for start in (_OPTIMISER, _AVERAGE)
        )
        weights = {k: v.float() if v.dtype == torch.float16 else v for k, v in tensors.items()}
        return Checkpoint(weights, optimiser, state, average)

    @property
    def ended(self) -> str:
        """Why its training ended; empty while there is something to go on with.

        Raises:
            RunError: its latest checkpoint is damaged.
        """
        return str(self._state("last").get("ended", ""))

    @property
    def calibrations(self) -> tuple[Calibration, ...]:
        """What validation found of each region's probabilities, in the order of the regions.

        Raises:
            RunError: the chosen checkpoint is damaged.
        """
        found = self._state(self.chosen).get("calibration", {})
        return tuple(Calibration(**found.get(name, {})) for name in self.manifest.regions)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability above which each region is marked.

        Raises:
            RunError: the chosen checkpoint is damaged.
        """
        return tuple(found.threshold for found in self.calibrations)

    @property
    def min_component_shares(self) -> tuple[float, ...]:
        """For each region, below which share of the largest component others are removed.

        Raises:
            RunError: the chosen checkpoint is damaged.
        """
        return tuple(found.min_component_share for found in self.calibrations)

    @property
    def platt(self) -> tuple[tuple[float, float], ...]:
        """For each region, the scale and the shift that its calibration gave its logits.

        Raises:
            RunError: the chosen checkpoint is damaged.
        """
        return tuple((found.scale, found.shift) for found in self.calibrations)

    def _state(self, which: str) -> dict[str, Any]:
        """The state alone, from the file's header: weights and optimiser may be large."""
        path = self.path / f"{which}.safetensors"

        def read() -> dict[str, Any]:
            open_regular(path).close()  # a pipe would be waited for
            with safe_open(path, framework="pt") as file:
                return _state_in(file)

        try:
            return _of_one_file(path, read)
        except (SafetensorError, OSError, ValueError, RuntimeError) as error:
            raise RunError(f"{path} is damaged ({error}); train again or restore it") from None

    @property
    def handed_on(self) -> bool:
        """Whether it is a model alone, whose training is elsewhere; nothing is written into it."""
        return (self.path / CARD).exists()

    def has(self, which: str) -> bool:
        """Whether "best" or "last" was written."""
        return (self.path / f"{which}.safetensors").exists()

    @property
    def chosen(self) -> str:
        """The checkpoint to use: "best", or "last" before the first validation."""
        return "best" if self.has("best") else "last"

    def read_log(self) -> list[dict[str, Any]]:
        """The numbers of each epoch so far; a line that is damaged ends them.

        Raises:
            RunError: the log is no file.
        """
        if not self.log_path.exists():
            return []
        rows: list[dict[str, Any]] = []
        try:
            for line in read_text(self.log_path).splitlines():
                row = parse_json(line)
                checked(Row, row)
                rows.append(row)
        except OSError as error:
            raise RunError(f"{self.log_path} cannot be read: {reason_of(error)}") from None
        except ValueError:
            return rows
        return rows

    def write_log(self, rows: list[dict[str, Any]]) -> None:
        """Replace the log: on each epoch, and cut back to the checkpoint when resuming."""
        with replacing(self.log_path, make_folder=False) as temporary:
            text = "".join(json.dumps(row) + "\n" for row in rows)
            temporary.write_text(text, encoding="utf-8")


def _of_one_file(path: Path, read: Callable[[], T]) -> T:
    """What ``read`` gives of a file that it opens several times, although a training replaces it.

    Raises:
        OSError: there is none.
    """
    for _ in range(_TRIES):
        before = _identity(path)
        try:
            found = read()
        except Exception:
            if _identity(path) == before:
                raise
        else:
            if _identity(path) == before:
                return found
    raise OSError(f"{path.name} is replaced all the time")


def _identity(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, found.st_size


def _state_in(file: Any) -> dict[str, Any]:
    found = state_of((file.metadata() or {}).get("state", "{}"))
    return {key: value for key, value in found.items() if key != "digest"}


def create_run(path: Path, manifest: Manifest) -> Run:
    """A new run folder.

    Raises:
        OutputError: ``path`` is taken, or cannot be made.
    """
    if not is_free(path):
        raise OutputError(f"{path} exists; choose another folder, or --resume it")
    write_sealed_json(path / "run.json", manifest.to_json())
    return Run(path, manifest)


def create_model(path: Path, manifest: Manifest, checkpoint: Checkpoint, card: str) -> Run:
    """A new folder of a model alone, with its card.

    Raises:
        OutputError: ``path`` is taken, or cannot be written; nothing is left of it.
    """
    run = create_run(path, manifest)
    try:
        run.save("best", checkpoint)
        with replacing(path / CARD) as temporary:
            temporary.write_text(card, encoding="utf-8")
    except BaseException:
        # The folder was free, so all that is in it is ours.
        shutil.rmtree(path, ignore_errors=True)
        raise
    return run


def discard(run: Run) -> None:
    """Empty the folder of a run that was stopped before its first checkpoint, to begin anew there.

    Raises:
        OutputError: it has weights, or cannot be emptied.
    """
    if run.has("best") or run.has("last"):
        raise OutputError(f"{run.path} holds weights; remove it by hand if they are not wanted")
    try:
        # But for its lock, which whoever discards it may hold; and with the manifest last, by
        # which it is known as a run that can be discarded.
        for path in sorted(contents(run.path), key=lambda path: path.name == "run.json"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise OutputError(f"{run.path} cannot be emptied: {reason_of(error)}") from error


def open_run(path: str | Path) -> Run:
    """Open a run folder, or a shipped model by its name (`mriseg.io.runs.model_sources.locate`).

    Raises:
        RunError: it is none, or of a format that this version cannot read.
    """
    folder = locate(path)
    file = folder / "run.json"
    try:
        with open_regular(file) as opened:
            content = opened.read(MAX_TEXT)
        data = parse_json(content)
        if data.get("format") != FORMAT:
            raise ValueError("its run.json is of another format")
    except (OSError, ValueError, AttributeError) as error:
        raise RunError(f"{folder} is not a run folder ({error}); name one under runs/") from None
    read = reading(
        VERSIONS,
        data.get("version"),
        what=f"{folder} has run format",
        remedy="train it again",
        error=RunError,
    )
    if as_written(io.BytesIO(content)) is False:
        raise RunError(
            f"{file} is damaged: it is not what was written; restore it from a copy. If you edited "
            f"it yourself, take the line with its digest out"
        )
    try:
        return Run(folder, read(data))
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError) as error:
        raise RunError(f"{file} is damaged: {error}") from None


def fresh_path(root: Path, label: str, now: datetime) -> Path:
    """A new folder under ``root``, made for the caller: the time, then what it is of.

    Raises:
        OutputError: it cannot be made.
    """
    stem = f"{now:%Y%m%d-%H%M%S}-{label}"
    path, count = root / stem, 1
    while True:
        try:
            # Made here, since many may be started in one second, as a cluster's queue does.
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            count += 1
            path = root / f"{stem}-{count}"
        except OSError as error:
            raise OutputError(f"{path} cannot be made: {reason_of(error)}") from error


def newest_run(root: Path) -> Path:
    """The newest run under ``root`` that has been validated, or else the newest with weights.

    Raises:
        InputError: there is none.
    """
    found = _newest_first(root)
    if not found:
        raise InputError(
            f"no run was named and there is none under {root.resolve()}; "
            f"train one with: mriseg train STORE"
        )
    # A training that has just begun has weights too, but random ones.
    return next((path for path in found if (path / "best.safetensors").exists()), found[0])


def newest_unfinished_run(root: Path) -> Path:
    """The newest run under ``root`` whose training was stopped before its end.

    Raises:
        InputError: there is none.
        RunError: a run that would have to be looked at is damaged.
    """
    for path in _newest_first(root):
        run = open_run(path)
        if run.has("last") and not run.ended:
            return path
    raise InputError(
        f"no run was named and there is none under {root.resolve()} that was stopped before its "
        f"end; train one with: mriseg train STORE"
    )


def _newest_first(root: Path) -> list[Path]:
    """Runs under ``root`` that have weights."""
    found = [path.parent for path in root.glob("*/run.json")]
    found = [
        p for p in found if (p / "best.safetensors").exists() or (p / "last.safetensors").exists()
    ]
    return sorted(found, key=lambda p: ((p / "run.json").stat().st_mtime, p.name), reverse=True)


def optimiser_tensors(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """The optimiser's state by parameter name, on the CPU."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value.detach().to("cpu")
        for parameter, state in optimiser.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimiser(
    model: torch.nn.Module, optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Give ``optimiser`` the state that `optimiser_tensors` took."""
    for name, parameter in model.named_parameters():
        prefix = f"{name}/"
        state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        if state:
            # Steps are counted on the CPU; moments live with their parameter.
            optimiser.state[parameter] = {
                k: v
                if k == "step"
                else v.to(parameter.device, parameter.dtype).contiguous(
                    memory_format=_layout(parameter)
                )
                for k, v in state.items()
            }


def _layout(parameter: Tensor) -> torch.memory_format:
    last = parameter.ndim == 4 and parameter.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
