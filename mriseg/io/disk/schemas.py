"""The forms of what is read from JSON, checked where it is read, and the way back into JSON.

What comes later then never meets a text where a number belongs, nor a size that no scan has. A
stored structure is declared once: the dataclass that the code uses carries the constraints.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mriseg.core.config import shown
from mriseg.core.volume import MAX_SIDE
from mriseg.errors import InputError
from mriseg.io.disk.untrusted import parse_json

T = TypeVar("T")

MAX_VOXELS = 2**29
"""Of a volume: 1024 x 1024 x 512, more than any scanner makes of a living head."""

Label = Annotated[int, Field(ge=0, le=255)]
Labels = Annotated[tuple[Label, ...], Field(min_length=1, max_length=256)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Name = Annotated[str, Field(max_length=4096)]


class _Calibration(BaseModel):
    """See `mriseg.core.calibration.Calibration`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    scale: float = 1.0
    shift: float = 0.0
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    min_component_share: Annotated[float, Field(ge=0, le=1)] = 0.0


class _Augment(BaseModel):
    model_config = ConfigDict(extra="allow")

    flip: float = 0.0
    vertical_flip: float = 0.0
    drop_modality: float = 0.0


class RunConfig(BaseModel):
    """A training's configuration, as far as it is used without being parsed as one."""

    model_config = ConfigDict(extra="allow")

    encoder_weights: Name | None = None
    augment: _Augment | None = None
    transfer: dict[str, Any] | None = None


class Row(BaseModel):
    """An epoch's line in a run's log, as far as it is used by name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | str | None]

    epoch: int
    loss: float | None = None
    dice: float | None = None
    seconds: float = 0.0


class _State(BaseModel):
    """What a checkpoint says besides its tensors, as far as it is used by name."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    ended: Name = ""
    epoch: int = 0
    step: int = 0
    dice: dict[str, dict[str, float | None]] = {}
    calibration: dict[str, _Calibration] = {}
    position: dict[str, Any] = {}


def checked(kind: type[T], value: Any) -> T:
    """``value`` as ``kind``, a dataclass or anything else that pydantic knows.

    Raises:
        ValueError: it has another form; the message says where, and what was given.
    """
    try:
        valid: T = _adapter(cast(Hashable, kind)).validate_python(value)
        return valid
    except InputError as error:  # what a dataclass itself finds wrong
        raise ValueError(str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:80] for part in first["loc"])
        raise ValueError(f"{place} is {shown(first['input'])}: {first['msg'][:200]}") from None


def as_json(value: Any) -> Any:
    """The inverse of `checked`: a dataclass or model in JSON's own types."""
    return _adapter(cast(Hashable, type(value))).dump_python(value, mode="json")


def state_of(text: str) -> dict[str, Any]:
    """A checkpoint's state, from its text.

    Raises:
        ValueError: it has another form.
    """
    return checked(_State, parse_json(text)).model_dump(exclude_unset=True)


@lru_cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, kind))
