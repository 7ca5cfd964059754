"""The keyword arguments that type checkers know are the settings of the configurations."""

from __future__ import annotations

from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.keywords import TrainKeywords, TransferKeywords


def test_the_keywords_of_a_training_are_its_settings() -> None:
    # The settings of a transfer are keywords of transfers alone, one by one.
    assert set(TrainKeywords.__annotations__) == set(TrainConfig.model_fields) - {"transfer"}


def test_the_keywords_of_a_transfer_include_the_transfer_settings() -> None:
    settings = TrainConfig.model_fields.keys() | TransferConfig.model_fields.keys()
    assert set(TransferKeywords.__annotations__) == settings - {"transfer"}


def test_no_keyword_is_required() -> None:
    assert not TransferKeywords.__required_keys__
