from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.config import TrainConfig
from mriseg.core.train_settings import names, parse_duration, training_config
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
        ({"budget": "90s"}, {"budget": 90.0}),
        ({"budget": timedelta(minutes=30)}, {"budget": 1800.0}),
        ({"size": "160x192"}, {"size": (160, 192)}),
        ({"size": [160, 192]}, {"size": (160, 192)}),
        ({"pos_weight": "3"}, {"pos_weight": 3.0}),
        ({"pos_weight": "auto"}, {"pos_weight": "auto"}),
    ],
)
def test_text_settings_are_parsed(given: dict[str, Any], read: dict[str, Any]) -> None:
    assert training_config(given) == TrainConfig(**read)


def test_a_later_layer_takes_precedence() -> None:
    config = training_config(
        {"width": 16, "seed": 1, "augment": {"flip": 0.1, "noise": 0.3}},
        {"width": 32, "seed": None, "augment": {"flip": 0.2}},
    )
    assert (config.width, config.seed) == (32, 1)
    assert (config.augment.flip, config.augment.noise) == (0.2, 0.3)


def test_the_later_of_epochs_and_budget_says_when_to_stop() -> None:
    config = training_config({"budget": "1h"}, {"epochs": 3})
    assert (config.epochs, config.budget) == (3, None)
    config = training_config({"epochs": 3}, {"budget": "1h"}, {"epochs": None})
    assert (config.epochs, config.budget) == (None, 3600.0)
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
        ({"budget": "soon"}, "budget: 'soon' is not a duration"),
        ({"budget": "1h30"}, "budget: '1h30' is not a duration"),
        ({"budget": 30}, "budget = 30: say the unit, such as 30m, 90s or 1h30m"),
        ({"budget": 30.5}, "budget = 30.5: say the unit"),
        ({"budget": "30"}, "budget = '30': say the unit"),
        ({"budget": " 1.5 "}, "budget = ' 1.5 ': say the unit"),
        ({"budget": True}, "budget = True: say the unit"),
        ({"budget": timedelta(0)}, "budget = 0.0: input should be greater than 0"),
        ({"budget": timedelta(minutes=-1)}, "budget = -60.0: input should be greater than 0"),
    ],
)
def test_what_cannot_work_is_one_message(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        training_config(given)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h30m10s", 5410),
        (" 2H ", 7200),
        (".5m", 30),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", " ", "-3m", "0", "30", "0s", "m", "3d", "1h30", "1..5h", "h30m", "9" * 400, "1e3s", "²m"],
)
def test_anything_else_is_refused_as_a_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="not a duration; write it as"):
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


def test_a_configuration_is_a_layer_of_what_was_set_in_it() -> None:
    config = TrainConfig(budget=60.0, width=16)
    # Its budget is in seconds already.
    assert training_config(config) == config
    assert training_config({"seed": 3, "width": 8}, config).model_fields_set == {
        *("seed", "width", "budget")
    }
    assert training_config(config, {"epochs": 2}).budget is None
    assert training_config(None, config, None) == config


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
def test_joined_names_are_split_again(listed: list[str]) -> None:
    assert names(" , ".join(listed)) == tuple(listed)
