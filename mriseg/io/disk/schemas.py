"""The forms of what is read from JSON, checked where it is read.

What comes later then never meets a text where a number belongs, nor a size that no scan has.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from mriseg.core.config import shown
from mriseg.core.volume import MAX_SIDE

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
        return dict(value)
    except (TypeError, ValueError):
        raise ValueError("expected a list of [name, labels]") from None


RegionTable = Annotated[
    dict[Name, Labels],
    BeforeValidator(_from_pairs),
    PlainSerializer(lambda table: [[name, list(labels)] for name, labels in table.items()]),
]
"""Regions by name. In JSON a list of [name, labels], since objects have no order there."""


Length = Annotated[int, Field(ge=1, lt=2**31)]
Number = Annotated[float, Field(allow_inf_nan=False)]
_Row4 = tuple[Number, Number, Number, Number]


class _Source(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: Name


class _Geometry(BaseModel):
    shape: tuple[Length, Length, Length]
    affine: tuple[_Row4, _Row4, _Row4, _Row4]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    unit: Literal["mm", "px"]
    ndim: Literal[2, 3]
    space: Literal[1, 2, 3, 4, 5] | None = None


class _Box(BaseModel):
    start: tuple[int, int, int]
    stop: tuple[int, int, int]


class _Normalisation(BaseModel):
    mean: list[Number]
    std: list[Number]


class CaseForm(BaseModel):
    """What a store says of a case, as far as it is used by name."""

    model_config = ConfigDict(extra="allow")

    name: Name
    patient: Name
    content: Name
    modalities: Annotated[list[Name], Field(min_length=1, max_length=64)]
    labelled: bool
    geometry: _Geometry
    box: _Box
    normalisation: _Normalisation
    foreground: list[list[int]]
    sources: list[_Source]
    notices: list[str]
    fingerprint: dict[str, Name] = {}
    complete: bool = False

    def check(self, regions: int) -> None:
        """See to it that its parts are of one case of that many regions.

        Raises:
            ValueError: they are not.
        """
        if sorted(self.geometry.axes) != [0, 1, 2]:
            raise ValueError(f"its axes are {self.geometry.axes}")
        whole = [self.geometry.shape[axis] for axis in self.geometry.axes]
        edges = list(zip(self.box.start, self.box.stop, whole, strict=True))
        if not all(0 <= start < stop <= length for start, stop, length in edges):
            raise ValueError(f"its box {self.box.start} to {self.box.stop} is not in {whole}")
        z, y, x = (stop - start for start, stop, _ in edges)
        if max(y, x) > MAX_SIDE or z * y * x > MAX_VOXELS:
            raise ValueError(f"{z} x {y} x {x} voxels are more than mriseg reads")
        if len(self.foreground) != z or any(len(row) != regions for row in self.foreground):
            raise ValueError(f"its foreground is not of {z} slices and {regions} regions")
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("a modality is named twice")
        found = {len(self.normalisation.mean), len(self.normalisation.std), len(self.modalities)}
        if len(found) > 1:
            raise ValueError("its normalisation is not of its modalities")


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
