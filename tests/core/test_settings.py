from __future__ import annotations

import re
from typing import Annotated

import pytest

from mriseg.core.config import AugmentConfig, TrainConfig, TransferConfig
from mriseg.core.settings import Config, Count, Setting, parse, settings_of, shown
from mriseg.errors import ConfigError


class Small(Config):
    count: Annotated[Count, Setting("How many", "N")] = 3
    on: Annotated[bool, Setting("Whether")] = False
    name: Annotated[str | None, Setting("Which", default="any")] = None
    inner: AugmentConfig = AugmentConfig()


def test_settings_and_their_defaults_in_words() -> None:
    described = settings_of(Small)
    assert [(name, setting.text) for name, (_, setting) in described.items()] == [
        ("count", "How many"),
        ("on", "Whether"),
        ("name", "Which"),
    ]
    assert [setting.default_text(field) for field, setting in described.values()] == [
        *("3", "off", "any")
    ]


@pytest.mark.parametrize("kind", [TrainConfig, TransferConfig, AugmentConfig])
def test_every_setting_of_a_training_is_described(kind: type[Config]) -> None:
    described = settings_of(kind)
    assert set(kind.model_fields) - set(described) <= {"augment", "transfer"}
    for name, (field, setting) in described.items():
        assert re.fullmatch(r"[A-Z0-9].*[^.]", setting.text), name
        # None and () say nothing to a reader.
        assert setting.default or field.default not in (None, ()), name
        # A command-line option shows a placeholder for its value.
        assert bool(setting.metavar) == (bool(setting.panel) and field.annotation is not bool), name


def test_a_message_lists_ten_problems() -> None:
    with pytest.raises(ConfigError, match=r"; and 2 more$"):
        parse(Small, {f"k{number}": 1 for number in range(12)})
    with pytest.raises(ConfigError, match=r"there is no setting 'cuont'; did you mean 'count'"):
        parse(Small, {"cuont": 1})


def test_a_message_quotes_little_of_what_is_long() -> None:
    assert shown("short") == "'short'"
    assert len(shown("x" * 10_000)) < 100
