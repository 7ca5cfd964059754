"""``help(mriseg.train)`` lists what may be set."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import mriseg
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.settings import Config, settings_of


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (mriseg.train, [TrainConfig]),
        (mriseg.transfer, [TrainConfig, TransferConfig]),
        (mriseg.compare, [TrainConfig]),
    ],
)
def test_the_help_lists_every_setting(
    function: Callable[..., Any], kinds: list[type[Config]]
) -> None:
    text = inspect.getdoc(function) or ""
    _, _, listed = text.partition("\nSettings:\n")
    names = re.findall(r"^    (\w+): ", listed, re.MULTILINE)
    assert sorted(names) == sorted(name for kind in kinds for name in settings_of(kind))
    assert max(map(len, text.splitlines())) <= 96


def test_with_meaning_and_default() -> None:
    text = " ".join((inspect.getdoc(mriseg.train) or "").split())
    assert "epochs: Number of epochs. Default: 50, unless a budget is given." in text
    assert re.search(r"batch_size: Slices per step. Default: 10( slices)?\.", text)
    assert "checkpoint_every: Time between checkpoints. Default: 600.0 seconds." in text
