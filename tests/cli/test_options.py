"""Options, help and documentation agree with what they stand for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from mriseg import __version__, errors
from mriseg.backends import AUTO, BACKENDS
from mriseg.backends.base import DTYPES
from mriseg.cli.app import app
from mriseg.cli.group import STOPPED
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.losses import LOSSES
from mriseg.io.exporters import EXPORTERS
from mriseg.io.readers import READERS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def _help(command: str, name: str) -> str:
    [parameter] = [p for p in COMMANDS[command].params if p.name == name]
    return str(parameter.help)


def test_the_version() -> None:
    assert CliRunner().invoke(app, ["--version"]).stdout == f"mriseg {__version__}\n"


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_help_can_be_shown(command: str | None) -> None:
    words = ["--help"] if command is None else [command, "--help"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "Usage: mriseg" in result.stdout


@pytest.mark.parametrize("words", ["--help", "train --help", "--version"])
def test_help_is_shown_before_anything_heavy_is_loaded(words: str) -> None:
    code = (
        "import sys\nfrom mriseg.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print(*{n.split('.')[0] for n in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words.split()], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "typer" in loaded
    assert not loaded & {"torch", "zarr", "nibabel", "scipy", "PIL", "numpy", "tensorboard"}


@pytest.mark.parametrize("command", ["train", "transfer"])
def test_defaults_are_those_of_the_configuration(command: str) -> None:
    settings = [p for p in COMMANDS[command].params if p.name in TrainConfig.model_fields]
    assert len(settings) >= 14
    for parameter in settings:
        # None is "not given"; a default written twice would hide a file's setting.
        assert parameter.default is None, parameter.name
        default = TrainConfig.model_fields[parameter.name].default
        if default not in (None, ()):
            assert f"(default: {default})" in str(parameter.help), parameter.name


def test_the_help_names_what_the_registries_hold() -> None:
    def words(text: str) -> set[str]:
        return set(re.findall(r"[\w-]+", text))

    assert words(_help("preprocess", "layout")) - {"or"} == {"auto", *READERS}
    assert words(_help("train", "backend")) - {"or"} == {AUTO, *BACKENDS}
    assert words(_help("train", "precision")) - {"or"} == {AUTO, *DTYPES}
    assert words(_help("export", "format")) == set(EXPORTERS)
    assert set(LOSSES) <= words(_help("train", "loss"))


def test_the_policy_of_a_transfer_is_that_of_its_configuration() -> None:
    parameters = {p.name: p for p in COMMANDS["transfer"].params}
    section = _sections()["mriseg transfer"]
    for name, field in TransferConfig.model_fields.items():
        default = field.default if field.default is not False else "off"
        assert parameters[name].default is None
        assert f"(default: {default})" in str(parameters[name].help)
        row = re.search(rf"^\| `--{name.replace('_', '-')}[` ].*\|([^|]*)\|$", section, re.M)
        assert row is not None and row[1].strip() == f"`{default}`", name


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


def test_the_documented_defaults_hold() -> None:
    section = _sections()["mriseg train"]
    for name, field in TrainConfig.model_fields.items():
        row = re.search(rf"^\| `--{name.replace('_', '-')} .*\|([^|]*)\|$", section, re.MULTILINE)
        if row is not None and field.default not in (None, ()):
            assert row[1].strip().strip("`") == str(field.default), name


def test_the_documented_exit_codes_hold() -> None:
    written = {int(code) for code in re.findall(r"^\| (\d+) \|", _sections()["Exit codes"], re.M)}
    classes = [c for c in vars(errors).values() if isinstance(c, type)]
    codes = {c.exit_code for c in classes if issubclass(c, errors.MrisegError)}
    assert written == {0, *STOPPED.values(), *codes}
