"""Options agree with the registries that they name and with the documentation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main

from mriseg import errors
from mriseg.backends import AUTO, BACKENDS
from mriseg.backends.base import DTYPES
from mriseg.cli.app import app
from mriseg.cli.group import STOPPED
from mriseg.cli.options import labelled
from mriseg.core.comparison import METHODS
from mriseg.core.losses import LOSSES
from mriseg.errors import ConfigError
from mriseg.io.exporters import EXPORTERS
from mriseg.io.readers import READERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def _help(command: str, name: str) -> str:
    [parameter] = [p for p in COMMANDS[command].params if p.name == name]
    return str(parameter.help)


def _listed(text: str) -> set[str]:
    """The names in "Layout: a, b or c. (default: a)"."""
    names = text.partition(": ")[2].partition(". (")[0].rstrip(".")
    return set(re.split(r",\s+|\s+or\s+", names))


def test_the_help_names_what_the_registries_hold() -> None:
    assert {"auto", *READERS} == _listed(_help("preprocess", "layout"))
    assert {AUTO, *BACKENDS} == _listed(_help("train", "backend"))
    assert {AUTO, *DTYPES} == _listed(_help("train", "precision"))
    assert set(EXPORTERS) == _listed(_help("export", "format"))
    assert set(METHODS) - {"scratch"} == _listed(_help("transfer", "methods"))
    assert set(LOSSES) <= set(re.findall(r"\w+", _help("train", "loss")))


def _sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_documented(command: str) -> None:
    section = _sections()[f"mriseg {command}"]
    for parameter in COMMANDS[command].params:
        if parameter.name == "help":
            continue
        for name in [*parameter.opts, *parameter.secondary_opts]:
            written = name if name.startswith("-") else str(parameter.metavar).strip("[]")
            for part in written.split("|"):
                assert re.search(rf"`{re.escape(part)}[` ]", section), f"{command} {part}"


def test_the_documented_exit_codes_hold() -> None:
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", _sections()["Exit codes"], re.M)}
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    codes = {c.exit_code for c in classes if issubclass(c, errors.MrisegError)}
    assert written == {0, *STOPPED.values(), *codes}


def test_labels_of_files() -> None:
    assert labelled(["FLAIR=a.json", "b.json", "T1=x=c.json"]) == {
        "FLAIR": "a.json",
        "": "b.json",
        "T1=x": "c.json",
    }
    for wrong in (["="], ["a.json", "b.json"]):
        with pytest.raises(ConfigError, match="expected a text of its own and a file"):
            labelled(wrong)


def test_no_option_shows_the_type_of_a_flag_or_a_default_twice() -> None:
    for command in COMMANDS.values():
        for parameter in command.get_params(command.make_context("x", [], resilient_parsing=True)):
            if getattr(parameter, "is_flag", False):
                assert parameter.metavar == "", parameter.name
            assert (
                not parameter.name
                or not getattr(parameter, "show_default", False)
                or (parameter.name == "help" or parameter.param_type_name == "argument")
            ), parameter.name
