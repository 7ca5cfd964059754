"""Configurations refuse what cannot work, and say which key, what was given and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.config import (
    AugmentConfig,
    TrainConfig,
    TransferConfig,
    parse,
    parse_duration,
    parse_freeze,
)
from mriseg.errors import ConfigError


def test_the_defaults_stand() -> None:
    config = parse(TrainConfig, {})
    assert config == TrainConfig()
    assert parse(TrainConfig, config.model_dump(mode="json")) == config


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        TrainConfig().epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epoch": 3}, ["'epoch'", "did you mean 'epochs'", "batch_size"]),
        ({"zzz": 1}, ["'zzz'", "known: modalities"]),
        ({"augment": {"flipp": 1}}, ["'augment.flipp'", "did you mean 'flip'", "drop_modality"]),
        ({"transfer": {"frieze": "none"}}, ["'transfer.frieze'", "did you mean 'freeze'"]),
        ({"epochs": 0}, ["epochs = 0", "greater than or equal to 1"]),
        ({"batch_size": "many"}, ["batch_size = 'many'", "integer"]),
        ({"width": 12}, ["width = 12", "multiple of 8"]),
        ({"size": (100, 64)}, ["size.0 = 100", "multiple of 32"]),
        ({"tumour_fraction": 1.5}, ["tumour_fraction = 1.5", "less than or equal to 1"]),
        ({"validation": 1.0}, ["validation = 1.0", "less than 1"]),
        ({"warmup": 1.0}, ["warmup = 1.0", "less than 1"]),
        ({"learning_rate": float("nan")}, ["learning_rate = nan"]),
        ({"learning_rate": 3}, ["learning_rate = 3", "less than or equal to 1"]),
        ({"clip": float("inf")}, ["clip = inf", "finite"]),
        ({"pos_weight": "much"}, ["pos_weight", "'much'"]),
        ({"missing": "guess"}, ["missing = 'guess'", "'zero' or 'skip'"]),
        ({"augment": {"scale": 2}}, ["augment.scale = 2", "less than 1"]),
        ({"epochs": 3, "budget": 60}, ["epochs or a budget, not both"]),
        ({"modalities": []}, ["modalities names nothing"]),
        ({"modalities": ["T1", "T1"]}, ["twice", "T1"]),
        ({"transfer": {"freeze": "decoder"}}, ["'decoder'", "all-but-head"]),
        ({"transfer": {"schedule": "x"}}, ["transfer.schedule = 'x'", "'direct', 'lp-ft' or"]),
        ({"transfer": {"layer_decay": 0}}, ["transfer.layer_decay = 0", "greater than 0"]),
        ({"transfer": {"l2_sp": -1}}, ["transfer.l2_sp = -1", "greater than or equal to 0"]),
        (
            {"transfer": {"freeze": "all-but-head", "schedule": "lp-ft"}},
            ["'all-but-head' lets one stage train", "'lp-ft'"],
        ),
        ({"epochs": 0, "width": 3}, ["epochs = 0", "width = 3"]),
    ],
    ids=str,
)
def test_what_cannot_work_is_told(values: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(TrainConfig, values)
    for part in said:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h30m10s", 5410),
        ("30", 1800),
        (" 2H ", 7200),
        (".5m", 30),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", " ", "-3m", "0", "0s", "m", "3d", "1h30", "1..5h", "h30m", "9" * 400, "1e3s", "²m"]
)
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="no duration; write it as"):
        parse_duration(text)


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 59))
def test_the_parts_of_a_duration_add_up(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"
    assert parse_duration(text) == 3600 * hours + 60 * minutes + seconds


@given(st.text(alphabet="0123456789.hms²٣ -:+", max_size=6))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        assert parse_duration(text) > 0
    except ConfigError as error:
        assert repr(text) in str(error)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("none", ("none", 0)),
        ("encoder", ("encoder", 5)),
        ("encoder:2", ("encoder", 2)),
        ("all-but-head", ("all-but-head", 0)),
        ("all-but-first", ("all-but-first", 0)),
    ],
)
def test_freeze_policies(text: str, policy: tuple[str, int]) -> None:
    assert parse_freeze(text) == policy
    assert parse(TransferConfig, {"freeze": text}).freeze == text


@pytest.mark.parametrize(
    "text", ["", "encoder:0", "encoder:6", "encoder:x", "encoder:²", "none:1", "Encoder", "all"]
)
def test_what_is_no_freeze_policy_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="encoder:K with K from 1 to 5"):
        parse_freeze(text)


def test_augmentation_can_be_switched_off() -> None:
    amounts = {"rotation", "scale", "shift", "shear", "elastic_strength"}
    names = AugmentConfig.model_fields.keys() - amounts
    off = parse(AugmentConfig, dict.fromkeys(names, 0))
    assert not any(getattr(off, name) for name in names)
