"""The settings of a training, in whichever way a user wrote them, as one configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from mriseg.core.config import TrainConfig, parse, parse_duration, shown
from mriseg.core.modalities import canonical_modality
from mriseg.errors import ConfigError


def training_config(*layers: Mapping[str, Any]) -> TrainConfig:
    """One configuration of several layers of settings, the later over the earlier.

    None means "not given", tables (``augment``) are merged key by key, and since ``epochs`` and
    ``budget`` both say when to stop, the later of them takes the other's place.

    Args:
        layers: keys of `mriseg.core.config.TrainConfig`. Texts are read as people write them:
            ``modalities="t1,flair"`` in any spelling, ``regions="WT,TC"``, ``budget="1h30m"``,
            ``size="160x192"``.

    Raises:
        ConfigError: a key is unknown or a value does not fit.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        given = {key: value for key, value in layer.items() if value is not None}
        if "epochs" in given or "budget" in given:
            merged = {k: v for k, v in merged.items() if k not in ("epochs", "budget")}
        for key, value in given.items():
            value = _READ[key](value) if key in _READ else value
            below = merged.get(key)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                value = {**below, **value}
            merged[key] = value
    return parse(TrainConfig, merged)


def names(text: str) -> tuple[str, ...]:
    """The names in "a, b,c"."""
    return tuple(filter(None, (piece.strip() for piece in text.split(","))))


def _listed(value: Any) -> Any:
    return names(value) if isinstance(value, str) else value


def modality_names(value: Any) -> Any:
    """The modalities in "t1n, flair", by the names that they have here; what is no text stays."""
    value = _listed(value)
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(canonical_modality(name) for name in value)
    return value


def _budget(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def height_width(value: Any) -> Any:
    """The pair in "160x192"; what is no text stays as it is.

    Raises:
        ConfigError: the text is no such pair.
    """
    if not isinstance(value, str):
        return value
    sides = value.lower().split("x")
    # No side has more digits, and Python refuses to read thousands.
    if len(sides) != 2 or not all(re.fullmatch(r"\s*\d{1,9}\s*", side) for side in sides):
        raise ConfigError(f"size = {shown(value)}: expected height x width, such as 160x192")
    return tuple(int(side) for side in sides)


def _number_or_auto(value: Any) -> Any:
    if value == "auto":
        return value
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    # Told here, since of a choice between two types pydantic would tell both failures.
    if not 0 < number < math.inf:
        raise ConfigError(f"pos_weight = {shown(value)}: expected a number above 0, or auto")
    return number


_READ: dict[str, Callable[[Any], Any]] = {
    "modalities": modality_names,
    "regions": _listed,
    "validation_cases": _listed,
    "exclude": _listed,
    "budget": _budget,
    "size": height_width,
    "pos_weight": _number_or_auto,
}
