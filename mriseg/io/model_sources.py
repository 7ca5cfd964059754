"""Where a model is: one that ships with mriseg or another package, one on the Hub, or a run folder.

A shipped model is a slim run folder, such as `mriseg.recipes.share.share` makes. Nothing is ever
written into one.
"""

from __future__ import annotations

import difflib
from contextlib import suppress
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from mriseg.errors import InputError, RunError
from mriseg.io.hub import fetching
from mriseg.io.hub.address import Address, is_address
from mriseg.io.location import local_path
from mriseg.registry import Registry

BASE: Traversable = files("mriseg") / "models" / "base"

MODELS: Registry[Traversable] = Registry(
    "shipped model", {"base": "mriseg.io.model_sources:BASE"}, group="mriseg.models"
)
"""Name -> run folder. A package adds one by an entry point whose value is the folder's path."""


def locate(given: str | Path) -> Path:
    """The run folder that ``given`` means.

    The name of a shipped model is that model, even if the current folder has a folder of that name;
    write that as "./base", or ``Path("base")``. ``hf:USER/NAME@REVISION`` is a model on the Hub,
    which is fetched unless it is in the cache. Everything else is a path.

    Raises:
        InputError: the package was installed without the model, or lies inside an archive; or the
            Hub cannot be reached.
        RunError: there is neither such a folder nor a model of that name.
        ConfigError: it is a URL, or a model on the Hub without the library for it.
    """
    if isinstance(given, str) and is_address(given):
        return fetching.fetched(Address.of(given))
    if isinstance(given, str) and given in MODELS:
        folder = MODELS[given]
        if not isinstance(folder, Path) or not folder.is_dir():
            raise InputError(
                f"the model {given} is not at {folder}; its package must be installed unpacked and "
                f"with its package data: reinstall it with pip"
            )
        return folder
    path = local_path(given, f"a model (a run's folder, or {' or '.join(sorted(MODELS))})")
    if not path.exists():
        close = difflib.get_close_matches(str(given), list(MODELS), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise RunError(
            f"{path} does not exist; train a model with: mriseg train STORE, or name one that is "
            f"shipped: {', '.join(sorted(MODELS))}.{hint}"
        )
    return path


def spoken(folder: Path) -> str:
    """How a user names a run folder: as a shipped model, one of the Hub at a commit, or a path."""
    if address := fetching.address_of(folder):
        return str(address)
    for name in MODELS:
        with suppress(ImportError, AttributeError):  # a package's own mistake
            if MODELS[name] == folder:
                return name
    return str(folder)
