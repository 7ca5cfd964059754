"""Bundles: one parameter of a command that stands for several options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import Any, get_type_hints

Command = Callable[..., None]
Options = Mapping[str, tuple[Any, Any]]
"""Options by the names of their parameters: annotation, as typer takes it, and default."""
Bundle = Mapping[str, Any]
"""What was given of a bundle, by the same names."""


def bundled(**bundles: Options) -> Callable[[Command], Command]:
    """Give a command several options in the place of each parameter that is named here.

    The command gets the values of a bundle as one mapping: ``computing`` instead of ``backend``,
    ``precision`` and so on. Typer sees the options, in the order of the bundle.
    """

    def decorate(command: Command) -> Command:
        def wrapped(**given: Any) -> None:
            parts = {
                bundle: {name: given.pop(name) for name in options}
                for bundle, options in bundles.items()
            }
            command(**given, **parts)

        # The annotations of a module are texts until they are asked for.
        hints = get_type_hints(command, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            own = {parameter.name: (hints[parameter.name], parameter.default)}
            parameters += [
                inspect.Parameter(
                    name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
                )
                for name, (annotation, default) in bundles.get(parameter.name, own).items()
            ]
        update_wrapper(wrapped, command)
        # Typer reads these of the function itself.
        wrapped.__dict__ = {"__signature__": inspect.Signature(parameters)}
        wrapped.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapped

    return decorate
