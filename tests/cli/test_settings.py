"""The settings of a training: as options, in the help, in the documentation and in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main

from mriseg.cli.app import app
from mriseg.cli.settings import given_settings, option_names, options_of, setting_options
from mriseg.core.config import TrainConfig, TransferConfig
from tests.cli.conftest import Type
from tests.cli.settings_page import PAGE, with_tables

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_tables_of_the_page_are_those_of_the_fields() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "write them with: python -m tests.cli.settings_page"


def test_a_table_that_is_out_of_date_is_noticed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    wrong = page.replace("| Peak learning rate |", "| The highest of its schedule |")
    assert wrong != page and with_tables(wrong) == page


@pytest.mark.parametrize(
    ("command", "kinds", "left_out"),
    [
        ("train", [TrainConfig], set()),
        ("transfer", [TransferConfig, TrainConfig], {"width", "encoder_weights"}),
    ],
)
def test_the_options_of_a_command_are_the_settings(
    command: str, kinds: list[Any], left_out: set[str]
) -> None:
    parameters = {parameter.name: parameter for parameter in COMMANDS[command].params}
    for kind in kinds:
        for name, (field, setting) in options_of(kind).items():
            if name in left_out:
                assert name not in parameters
                continue
            parameter = parameters[name]
            # None is "not given"; a default written twice would hide a file's setting.
            assert parameter.default is None, name
            default = setting.default_text(field)
            assert parameter.help == f"{setting.text}. (default: {default})"
            assert parameter.rich_help_panel == setting.panel
            assert (*parameter.opts, *parameter.secondary_opts) == option_names(name, field)


def test_settings_that_were_given() -> None:
    bundle = dict.fromkeys(setting_options(TransferConfig, TrainConfig))
    assert given_settings(bundle) == {}
    bundle |= {"budget": "3m", "freeze": "encoder", "adapt_norm": False, "seed": 0}
    assert given_settings(bundle) == {
        "budget": "3m",
        "seed": 0,
        "transfer": {"freeze": "encoder", "adapt_norm": False},
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht = 8", "there is no setting 'widht'; did you mean 'width'?"),
        ("[augment]\nspin = 1", "there is no setting 'augment.spin'"),
        ("width = 'wide'", "width = 'wide'"),
        ("width = = 8", "is not valid TOML"),
        ('[transfer]\nfreeze = "none"', "transfer is a setting of transfers alone"),
    ],
)
def test_a_file_of_settings_that_is_wrong(
    worked: Path, type_in: Type, text: str, message: str
) -> None:
    (worked / "settings.toml").write_text(text)
    result = type_in(worked, "mriseg train --config settings.toml")
    assert result.exit_code == 2
    assert message in result.stderr
