"""The keyword arguments that type checkers know are the settings of the configurations."""

from __future__ import annotations

from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.keywords import TrainKeywords, TransferKeywords


def test_the_keywords_of_a_training_are_its_settings() -> None:
    # How a transfer proceeds is for transfers, whose keywords name it one by one.
    assert set(TrainKeywords.__annotations__) == set(TrainConfig.model_fields) - {"transfer"}


def test_a_transfer_has_those_of_how_it_proceeds_as_well() -> None:
    settings = TrainConfig.model_fields.keys() | TransferConfig.model_fields.keys()
    assert set(TransferKeywords.__annotations__) == settings - {"transfer"}


def test_no_keyword_must_be_given() -> None:
    assert not TransferKeywords.__required_keys__
