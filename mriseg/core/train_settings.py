"""The settings of a training, in whichever way a user wrote them, as one configuration."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from mriseg.core.config import TrainConfig, parse, shown
from mriseg.core.modalities import canonical_modality
from mriseg.errors import ConfigError


def training_config(*layers: TrainConfig | Mapping[str, Any] | None) -> TrainConfig:
    """One configuration of several layers of settings, the later over the earlier.

    None means "not given", tables (``augment``) are merged key by key, and since ``epochs`` and
    ``budget`` both say when to stop, the later of them takes the other's place.

    Args:
        layers: what users wrote, by the keys of `mriseg.core.config.TrainConfig`, or
            configurations, of which what was set counts. Texts are read as people write them:
            ``modalities="t1,flair"`` in any spelling, ``regions="WT,TC"``, ``budget="1h30m"``,
            ``size="160x192"``. A budget is a text with a unit or a `datetime.timedelta`: in a
            configuration it is seconds, and a number alone would be taken for minutes by some.

    Raises:
        ConfigError: a key is unknown or a value does not fit.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        given = _read(layer)
        if "epochs" in given or "budget" in given:
            merged = {k: v for k, v in merged.items() if k not in ("epochs", "budget")}
        for key, value in given.items():
            below = merged.get(key)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                value = {**below, **value}
            merged[key] = value
    return parse(TrainConfig, merged)


def _read(layer: TrainConfig | Mapping[str, Any] | None) -> dict[str, Any]:
    """What a layer gives, its texts read."""
    if isinstance(layer, TrainConfig):
        # Checked already. What it leaves at its default would hide what is inherited.
        values = layer.model_dump(exclude_unset=True)
        return {key: value for key, value in values.items() if value is not None}
    given = {key: value for key, value in (layer or {}).items() if value is not None}
    return {k: TEXT_READERS[k](v) if k in TEXT_READERS else v for k, v in given.items()}


def names(text: str) -> tuple[str, ...]:
    """The names in "a, b,c"."""
    return tuple(filter(None, (piece.strip() for piece in text.split(","))))


def _listed(value: Any) -> Any:
    return names(value) if isinstance(value, str) else value


def modality_names(value: Any) -> Any:
    """The modalities in "t1n, flair", under the names used here; anything but text is kept."""
    value = _listed(value)
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return tuple(canonical_modality(name) for name in value)
    return value


_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Seconds in "90s", "30m", "1.5h", or "1h30m".

    Raises:
        ConfigError: it is none of these; a number without a unit is not.
    """
    rest, total = text.strip().lower(), 0.0
    while rest:
        digits = 0
        while digits < len(rest) and (rest[digits].isdecimal() or rest[digits] == "."):
            digits += 1
        unit = _UNITS.get(rest[digits : digits + 1])
        try:
            total += float(rest[:digits]) * (unit or math.nan)
        except ValueError:
            total = math.nan
        rest = rest[digits + 1 :] if unit else ""
    if not 0 < total < math.inf:
        raise ConfigError(f"{shown(text)} is not a duration; write it as 90s, 30m, 1.5h or 1h30m")
    return total


def _budget(value: Any) -> Any:
    """Seconds. A bare number is refused: some would read it as minutes, some as seconds."""
    if isinstance(value, timedelta):
        return value.total_seconds()
    bare = isinstance(value, str) and re.fullmatch(r"[\d.]+", value.strip())
    if bare or isinstance(value, int | float):
        raise ConfigError(f"budget = {shown(value)}: say the unit, such as 30m, 90s or 1h30m")
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ConfigError as error:
        raise ConfigError(f"budget: {error}") from None


def height_width(value: Any) -> Any:
    """The pair in "160x192"; anything but text is kept.

    Raises:
        ConfigError: the text is not such a pair.
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
    # Raised here, since of a choice between two types pydantic would report both failures.
    if not 0 < number < math.inf:
        raise ConfigError(f"pos_weight = {shown(value)}: expected a number above 0, or auto")
    return number


TEXT_READERS: dict[str, Callable[[Any], Any]] = {
    "modalities": modality_names,
    "regions": _listed,
    "validation_cases": _listed,
    "exclude": _listed,
    "budget": _budget,
    "size": height_width,
    "pos_weight": _number_or_auto,
}
"""The settings that may be written as text, and what reads it."""
