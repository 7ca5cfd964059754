"""Checkpoints: weights and training state in one safetensors file.

``last.safetensors`` holds weights, optimiser and position together, since two files could be of
different steps. Nothing is pickled, so nothing that is read can run. The file carries its own
SHA-256 in its state (`mriseg.io.disk.checksums`), which is checked when weights are loaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ConfigDict, with_config
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from typing_extensions import TypedDict

from mriseg.core.calibration import Calibration
from mriseg.errors import OutputError, RunError, reason_of
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.checksums import BLANK, as_written, seal
from mriseg.io.disk.schemas import Name, as_json, checked
from mriseg.io.disk.untrusted import open_regular, parse_json

T = TypeVar("T")

_OPTIMISER = "optimiser/"
_AVERAGE = "average/"
# A training replaces its checkpoint every ten minutes and at the end of each epoch.
_TRIES = 100


@with_config(ConfigDict(extra="allow", allow_inf_nan=False))
class State(TypedDict, total=False):
    """What a checkpoint holds besides its tensors: of "best" the first four, of "last" the others.

    Attributes:
        epoch: of the best validation, counted from 1.
        step: likewise, from the beginning of the training.
        dice: case -> region -> 3-D Dice; None where it is undefined.
        calibration: region -> what validation gave.
        position: of the training, see `mriseg.recipes.fit.Position`.
        ended: why the training ended; empty while it can be resumed.
    """

    epoch: int
    step: int
    dice: dict[str, dict[str, float | None]]
    calibration: dict[str, Calibration]
    position: dict[str, Any]
    ended: Name


@dataclass(frozen=True)
class Checkpoint:
    """Weights and, to resume, the optimiser's tensors and the position.

    Attributes:
        weights: the model's state dict, on the CPU.
        optimiser: "<parameter name>/<key>" -> tensor; empty for weights alone.
        state: see `State`.
        average: the running average of the weights so far; empty where there is none.
    """

    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    state: Mapping[str, Any]
    average: dict[str, Tensor] = field(default_factory=dict)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint in one atomic step.

    Raises:
        OutputError: it cannot be written; the file that was there is untouched.
    """
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.weights.items()}
    tensors |= {_OPTIMISER + k: v.contiguous() for k, v in checkpoint.optimiser.items()}
    tensors |= {_AVERAGE + k: v.contiguous() for k, v in checkpoint.average.items()}
    state = as_json(checked(State, dict(checkpoint.state)), State)
    # The digest is in the state, since safetensors keeps no order among several texts.
    text = json.dumps({"digest": BLANK, **state})
    with replacing(path, make_folder=False) as temporary:
        try:
            save_file(tensors, temporary, metadata={"state": text})
        except SafetensorError as error:  # its error for a full disk
            raise OutputError(f"{path} cannot be written: {error}") from error
        seal(temporary)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint. Weights that are stored in float16 come as float32.

    Raises:
        RunError: it is missing or damaged.
    """

    def read() -> tuple[State, dict[str, Tensor]]:
        with open_regular(path) as opened:
            if not as_written(opened):
                raise ValueError("its content does not match its digest")
        with safe_open(path, framework="pt") as file:
            return _state_in(file), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    state, tensors = _read(path, read)
    optimiser, average = (
        {k.removeprefix(start): tensors.pop(k) for k in list(tensors) if k.startswith(start)}
        for start in (_OPTIMISER, _AVERAGE)
    )
    weights = {k: v.float() if v.dtype == torch.float16 else v for k, v in tensors.items()}
    return Checkpoint(weights, optimiser, state, average)


def read_state(path: Path) -> State:
    """The state alone, from the file's header: weights and optimiser may be large.

    Raises:
        RunError: the file is missing or damaged.
    """

    def read() -> State:
        open_regular(path).close()  # safe_open would wait for a pipe
        with safe_open(path, framework="pt") as file:
            return _state_in(file)

    return _read(path, read)


def read_digest(path: Path) -> str:
    """The digest that a checkpoint carries, of its weights and its state; they are not checked.

    Raises:
        RunError: the file is missing or damaged.
    """

    def read() -> str:
        open_regular(path).close()
        with safe_open(path, framework="pt") as file:
            return str(parse_json((file.metadata() or {}).get("state", "{}"))["digest"])

    try:
        return _read(path, read)
    except (KeyError, TypeError):
        raise RunError(f"{path} has lost its digest; train again or restore it") from None


def _read(path: Path, read: Callable[[], T]) -> T:
    if not path.exists():
        raise RunError(f"{path.parent} has no {path.name}: its training did not get that far")
    try:
        return _from_one_file(path, read)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"{path} is damaged ({reason_of(error)}); train again or restore it"
        ) from None


def _from_one_file(path: Path, read: Callable[[], T]) -> T:
    """The result of ``read``, which opens a file several times while a training may replace it.

    Raises:
        OSError: there is no such file.
    """
    for _ in range(_TRIES):
        before = _file_identity(path)
        try:
            content = read()
        except Exception:
            if _file_identity(path) == before:
                raise
        else:
            if _file_identity(path) == before:
                return content
    raise OSError(f"{path.name} is replaced all the time")


def _file_identity(path: Path) -> tuple[int, ...]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _state_in(file: Any) -> State:
    values = parse_json((file.metadata() or {}).get("state", "{}"))
    state = checked(State, values)
    state.pop("digest", None)  # type: ignore[typeddict-item]
    return state
