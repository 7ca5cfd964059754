from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.config import TrainConfig
from mriseg.core.train_settings import names, training_config
from mriseg.errors import ConfigError


def test_nothing_given_is_the_default() -> None:
    assert training_config() == TrainConfig()
    assert training_config({"width": None, "epochs": None}) == TrainConfig()


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"modalities": "t1n, FLAIR,t2w"}, {"modalities": ("T1", "FLAIR", "T2")}),
        ({"modalities": ["t1gd", "ADC"]}, {"modalities": ("T1CE", "ADC")}),
        ({"regions": "WT,TC"}, {"regions": ("WT", "TC")}),
        ({"exclude": "a,b"}, {"exclude": ("a", "b")}),
        ({"validation_cases": "a"}, {"validation_cases": ("a",)}),
        ({"budget": "1h30m"}, {"budget": 5400.0}),
        ({"budget": 90}, {"budget": 90.0}),
        ({"size": "160x192"}, {"size": (160, 192)}),
        ({"size": [160, 192]}, {"size": (160, 192)}),
        ({"pos_weight": "3"}, {"pos_weight": 3.0}),
        ({"pos_weight": "auto"}, {"pos_weight": "auto"}),
    ],
)
def test_texts_are_read_as_people_write_them(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert training_config(given) == TrainConfig(**read)


def test_a_later_layer_goes_over_an_earlier_one() -> None:
    found = training_config(
        {"width": 16, "seed": 1, "augment": {"flip": 0.1, "noise": 0.3}},
        {"width": 32, "seed": None, "augment": {"flip": 0.2}},
    )
    assert (found.width, found.seed) == (32, 1)
    assert (found.augment.flip, found.augment.noise) == (0.2, 0.3)


def test_the_later_of_epochs_and_budget_says_when_to_stop() -> None:
    found = training_config({"budget": "1h"}, {"epochs": 3})
    assert (found.epochs, found.budget) == (3, None)
    found = training_config({"epochs": 3}, {"budget": "1h"}, {"epochs": None})
    assert (found.epochs, found.budget) == (None, 3600.0)
    with pytest.raises(ConfigError, match="not both"):
        training_config({"epochs": 3, "budget": "1h"})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"widht": 8}, "did you mean 'width'"),
        ({"augment": {"spin": 1}}, "'augment.spin'"),
        ({"augment": 3}, "augment = 3"),
        ({"modalities": ""}, "names nothing; name one at least"),
        ({"modalities": "t1,T1n"}, "holds a name twice"),
        ({"modalities": 3}, "modalities = 3"),
        ({"modalities": ["T1", 2]}, "modalities.1 = 2"),
        ({"size": "160"}, "expected height x width"),
        ({"size": "100x160"}, "multiple of 32"),
        ({"pos_weight": "much"}, "a number above 0, or auto"),
        ({"pos_weight": 0}, "a number above 0, or auto"),
        ({"pos_weight": "nan"}, "a number above 0, or auto"),
        ({"pos_weight": []}, "a number above 0, or auto"),
        ({"budget": "soon"}, "is no duration"),
    ],
)
def test_what_cannot_work_is_one_message(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        training_config(given)


@given(
    st.dictionaries(
        st.sampled_from([*TrainConfig.model_fields, "other"]),
        st.none()
        | st.text(max_size=8)
        | st.integers()
        | st.floats()
        | st.lists(st.text(max_size=3), max_size=3)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
        max_size=3,
    )
)
def test_whatever_is_given_is_a_configuration_or_one_message(given: dict[str, Any]) -> None:
    try:
        training_config(given)
    except ConfigError as error:
        assert str(error)


@given(
    st.lists(
        st.text(st.characters(exclude_characters=",", exclude_categories=["Z", "C"]), min_size=1)
    )
)
def test_names_are_what_was_joined(listed: list[str]) -> None:
    assert names(" , ".join(listed)) == tuple(listed)
