"""The forms of what is read from JSON, checked where it is read.

What comes later then never meets a text where a number belongs, nor a size that no scan has.
"""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mriseg.core.config import shown
from mriseg.io.reading import parse_json

T = TypeVar("T")

MAX_SIDE = 4096
"""Voxels of a slice's side: four times what heads are scanned at."""

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
    minor: Annotated[float, Field(ge=0, le=1)] = 0.0


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
        ValueError: it has another form; the message says where, and what is there.
    """
    try:
        found: T = _adapter(cast(Hashable, kind)).validate_python(value)
        return found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:80] for part in first["loc"])
        raise ValueError(f"{place} is {shown(first['input'])}: {first['msg'][:200]}") from None


def state_of(text: str) -> dict[str, Any]:
    """A checkpoint's state, from its text.

    Raises:
        ValueError: it has another form.
    """
    found: dict[str, Any] = parse_json(text)
    checked(_State, found)
    return found


@lru_cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, kind))
