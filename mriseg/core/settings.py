"""What a configuration is: frozen, checked when it is made, its settings described in their fields.

`parse` turns pydantic's list of problems into one ConfigError that names the key, what was given
and what was expected. `Setting` is all that users read about a setting: the options of the command
line, their help and the tables of ``docs/cli.md`` are made of it.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from mriseg.errors import ConfigError


class Config(BaseModel):
    """The base of every configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Setting:
    """What users read about a setting; its type, bounds and default are the field's.

    Attributes:
        text: what it means, as one phrase without a full stop.
        metavar: what stands for its value in the help. A setting without one, but for a boolean,
            is not an option of the command line: it is set in a file of settings or from Python.
        unit: what its number counts; empty for a pure number or a name.
        default: the default in words, where the value alone would not tell (None, ``()``).
        panel: the group of options in the help that it belongs to; empty: not an option.
    """

    text: str
    metavar: str = ""
    unit: str = ""
    default: str = ""
    panel: str = ""

    def default_text(self, field: FieldInfo) -> str:
        """The default in words: that of ``field`` unless it has words of its own."""
        if self.default:
            return self.default
        if isinstance(field.default, bool):
            return "on" if field.default else "off"
        return str(field.default)


Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
MULTIPLE = 32
"""The network halves a slice five times: height and width are whole multiples of 2 ** 5."""

Side = Annotated[int, Field(ge=MULTIPLE, multiple_of=MULTIPLE)]

C = TypeVar("C", bound=Config)

# Problems in one message.
_MAX_LISTED = 10
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80


def settings_of(kind: type[Config]) -> dict[str, tuple[FieldInfo, Setting]]:
    """The fields of ``kind`` that have a `Setting`, by name, in their order."""
    described = {}
    for name, field in kind.model_fields.items():
        for item in field.metadata:
            if isinstance(item, Setting):
                described[name] = (field, item)
    return described


def parse(kind: type[C], values: Mapping[str, Any]) -> C:
    """``kind`` made of ``values``.

    Raises:
        ConfigError: a key is unknown or a value does not fit; the message names every one.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        problems = [_problem(kind, item) for item in error.errors(include_url=False)]
        left = len(problems) - _MAX_LISTED
        more = f"; and {left} more" if left > 0 else ""
        raise ConfigError("; ".join(problems[:_MAX_LISTED]) + more) from None


def shown(value: Any) -> str:
    """``value`` as a message quotes it: in full only if it is short, for it may be anything."""
    return _SHORT.repr(value)


def _problem(kind: type[Config], item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        known = _names_in(kind, item["loc"][:-1])
        close = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"there is no setting {shown(key)}; {hint}known: {', '.join(known)}"
    message = item["msg"].removeprefix("Value error, ")
    if not key:
        return str(message)
    return f"{key} = {shown(item['input'])}: {message[0].lower()}{message[1:]}"


def _names_in(kind: type[Config], inside: Sequence[str | int]) -> list[str]:
    """The settings of ``kind``, or of the table ``inside`` it."""
    for part in inside:
        field = kind.model_fields.get(str(part))
        options = (field.annotation, *get_args(field.annotation)) if field else ()
        nested = [o for o in options if isinstance(o, type) and issubclass(o, Config)]
        kind = nested[0] if nested else kind
    return list(kind.model_fields)
