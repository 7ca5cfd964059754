"""The settings of a training as options of a command, made from the fields that declare them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer
from pydantic.fields import FieldInfo

from mriseg.core.config import TransferConfig
from mriseg.core.settings import Config, Setting, settings_of
from mriseg.core.train_settings import TEXT_READERS

Command = Callable[..., None]


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


def with_settings(
    *kinds: type[Config], leave_out: tuple[str, ...] = ()
) -> Callable[[Command], Command]:
    """Give a command the options of configurations, in place of its parameter ``settings``.

    The command gets those that were given as one mapping, a layer for
    `mriseg.core.train_settings.training_config`. No option has a default: what holds without it is
    said by the configuration alone, and a default here would hide a file's setting.

    Args:
        kinds: `TrainConfig`, `TransferConfig`; the settings of the latter become ``transfer``.
        leave_out: names of settings that this command does not take.
    """
    chosen = {
        name: (kind, *item)
        for kind in kinds
        for name, item in options_of(kind).items()
        if name not in leave_out
    }

    def decorate(command: Command) -> Command:
        @wraps(command)
        def wrapped(*given: Any, **parameters: Any) -> None:
            settings: dict[str, Any] = {}
            for name, (kind, *_) in chosen.items():
                value = parameters.pop(name)
                if value is not None:
                    inner = kind is TransferConfig
                    (settings.setdefault("transfer", {}) if inner else settings)[name] = value
            command(*given, settings=settings, **parameters)

        options = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_option(name, *item)
            )
            for name, (_, *item) in chosen.items()
        ]
        # Typer reads both, and the annotations of a module are texts until they are asked for.
        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            own = parameter.replace(
                kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name]
            )
            parameters += options if parameter.name == "settings" else [own]
        wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        del wrapped.__wrapped__  # type: ignore[attr-defined]
        return wrapped

    return decorate


def given_options(settings: Mapping[str, Any]) -> list[str]:
    """The options that gave ``settings``, as they were typed."""
    inner = settings.get("transfer", {})
    return [option_name(name) for name in (*settings, *inner) if name != "transfer"]


def _option(name: str, field: FieldInfo, setting: Setting) -> Any:
    default = setting.default_text(field)
    option = typer.Option(
        "/".join(option_names(name, field)),
        help=f"{setting.text}. (default: {default})",
        metavar=setting.metavar,
        show_default=False,
        rich_help_panel=setting.panel,
    )
    return Annotated[_parsed_as(name, field) | None, option]  # type: ignore[operator]


def _parsed_as(name: str, field: FieldInfo) -> type:
    """What typer parses: a number or a boolean; text is left to `training_config`."""
    annotation = field.annotation
    options = {item for item in get_args(annotation) or (annotation,) if item is not type(None)}
    if name in TEXT_READERS or len(options) != 1:
        return str
    [option] = options
    option = get_args(option)[0] if get_origin(option) is Annotated else option
    return option if option in (int, float, bool) else str
