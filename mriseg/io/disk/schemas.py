"""The forms of what is read from JSON, checked where it is read, and the way back into JSON.

What comes later then never meets a text where a number belongs, nor a size that no scan has. A
stored structure is declared once: the dataclass that the code uses carries the constraints.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from mriseg.core.config import shown
from mriseg.core.volume import MAX_SIDE
from mriseg.errors import InputError

T = TypeVar("T")

MAX_VOXELS = 2**29
"""Of a volume: 1024 x 1024 x 512, more than any scanner makes of a living head."""

Label = Annotated[int, Field(ge=0, le=255)]
Labels = Annotated[tuple[Label, ...], Field(min_length=1, max_length=256)]
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
Name = Annotated[str, Field(max_length=4096)]


def _from_pairs(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value
    try:
        pairs = [(name, labels) for name, labels in value]
        table = dict(pairs)
    except (TypeError, ValueError):
        raise ValueError("expected a list of [name, labels]") from None
    if len(table) < len(pairs):
        raise ValueError("a region is listed twice")
    return table


RegionTable = Annotated[
    dict[Name, Labels],
    BeforeValidator(_from_pairs),
    PlainSerializer(lambda table: [[name, list(labels)] for name, labels in table.items()]),
]
"""Regions by name. In JSON a list of [name, labels], since objects have no order there."""


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


def as_json(value: Any, kind: Any = None) -> Any:
    """The inverse of `checked`: ``value`` in JSON's own types.

    Args:
        value: a dataclass, or anything else that pydantic knows.
        kind: its type; None: its class, which says all of a dataclass or model.
    """
    return _adapter(cast(Hashable, kind or type(value))).dump_python(value, mode="json")


@lru_cache
def _adapter(kind: Hashable) -> TypeAdapter[Any]:
    return TypeAdapter(cast(Any, kind))
