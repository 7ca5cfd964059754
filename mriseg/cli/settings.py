"""The settings of a training on the command line: a file of them, and options.

The options are made from the fields that declare the settings.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic.fields import FieldInfo

from mriseg.cli.bundles import Bundle, Options
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.settings import Config, Setting, settings_of
from mriseg.core.train_settings import TEXT_READERS, training_config
from mriseg.errors import ConfigError, reason_of
from mriseg.io.disk.untrusted import read_text
from mriseg.io.location import local_path

# Bytes of a file of settings.
_MAX_BYTES = 2**16
# To read a.b.c = 1 takes the square of its parts, in time and memory.
_LONG_KEY = re.compile(r"(?<![\w-])(?:(?:[\w-]+|\"[^\"\n]*\"|'[^'\n]*')\s*\.\s*){20}")


def option_name(name: str) -> str:
    """``batch_size`` -> ``--batch-size``."""
    return f"--{name.replace('_', '-')}"


def option_names(name: str, field: FieldInfo) -> tuple[str, ...]:
    """The names of a setting's option: one, or that of a boolean and its opposite."""
    declared = option_name(name)
    return (declared, f"--no-{declared[2:]}") if field.annotation is bool else (declared,)


def options_of(kind: type[Config]) -> dict[str, tuple[FieldInfo, Setting]]:
    """The settings of ``kind`` that are options; the others are set in a file of settings."""
    return {name: item for name, item in settings_of(kind).items() if item[1].panel}


def setting_options(*kinds: type[Config], leave_out: tuple[str, ...] = ()) -> Options:
    """The options for the settings of configurations, as a bundle.

    None has a default: what holds without an option is said by the configuration alone, and a
    default here would hide a file's setting.

    Args:
        kinds: `TrainConfig`, `TransferConfig`.
        leave_out: names of settings that the command does not take.
    """
    return {
        name: (_option(name, *item), None)
        for kind in kinds
        for name, item in options_of(kind).items()
        if name not in leave_out
    }


def given_settings(bundle: Bundle) -> dict[str, Any]:
    """The settings that were given, a layer for `mriseg.core.train_settings.training_config`."""
    given = {name: value for name, value in bundle.items() if value is not None}
    settings = {k: v for k, v in given.items() if k in TrainConfig.model_fields}
    policy = {k: v for k, v in given.items() if k in TransferConfig.model_fields}
    return settings | ({"transfer": policy} if policy else {})


def read_settings(path: Path | None) -> dict[str, Any]:
    """The settings in a TOML file; {} without one.

    Raises:
        ConfigError: it cannot be read, is not TOML, or has a key that is not a setting.
    """
    if path is None:
        return {}
    try:
        text = read_text(local_path(path, "a file of settings"), _MAX_BYTES)
        if _LONG_KEY.search(text):
            raise ValueError("a key has more than 20 parts")
        settings = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"--config {path} cannot be read: {reason_of(error)}") from None
    except ValueError as error:
        raise ConfigError(f"--config {path} is not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"--config {path} is not valid TOML: it is nested too deeply") from None
    # Checked alone, so that an error names the file, whatever options take precedence.
    try:
        training_config(settings)
    except ConfigError as error:
        raise ConfigError(f"--config {path}: {error}") from None
    return settings


def _option(name: str, field: FieldInfo, setting: Setting) -> Any:
    default = setting.default_text(field)
    option = typer.Option(
        "/".join(option_names(name, field)),
        help=f"{setting.text}. (default: {default})",
        metavar=setting.metavar,
        show_default=False,
        rich_help_panel=setting.panel,
    )
    return Annotated[_parsed_as(name, field) | None, option]


def _parsed_as(name: str, field: FieldInfo) -> type:
    """What typer parses: a number or a boolean; text is left to `training_config`."""
    annotation = field.annotation
    options = {item for item in get_args(annotation) or (annotation,) if item is not type(None)}
    if name in TEXT_READERS or len(options) != 1:
        return str
    [option] = options
    option = get_args(option)[0] if get_origin(option) is Annotated else option
    return option if option in (int, float, bool) else str
