"""Configurations refuse what cannot work, and say which key, what was given and what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from mriseg.core.config import (
    TrainConfig,
    TransferConfig,
    parse,
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
    ("values", "parts"),
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
def test_what_cannot_work_is_refused(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(TrainConfig, values)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


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
def test_anything_else_is_refused_as_a_freeze_policy(text: str) -> None:
    with pytest.raises(ConfigError, match="encoder:K with K from 1 to 5"):
        parse_freeze(text)


def test_a_stored_budget_is_in_seconds() -> None:
    assert parse(TrainConfig, {"budget": 1800.0}).budget == 1800.0
    assert parse(TrainConfig, TrainConfig(budget=90).model_dump(mode="json")).budget == 90.0
