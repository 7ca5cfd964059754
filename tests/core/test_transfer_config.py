"""How a transfer trains: what contradicts itself is refused, and why is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core import config
from mriseg.core.settings import parse
from mriseg.core.transfer_config import TransferConfig, parse_freeze
from mriseg.errors import ConfigError


def test_it_is_a_part_of_a_configuration() -> None:
    assert config.TransferConfig is TransferConfig and config.parse_freeze is parse_freeze


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"freeze": "encoder", "transfer_part": "encoder", "schedule": "lp-ft"},
            "nothing for schedule = 'lp-ft' to put second",
        ),
        ({"freeze": "all-but-head", "schedule": "gradual"}, "lets one stage train"),
        ({"freeze": "all-but-first", "transfer_part": "encoder"}, "would never train the decoder"),
        ({"freeze": "decoder"}, "expected none, encoder, encoder:K"),
    ],
)
def test_what_contradicts_itself_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(TransferConfig, given)


@given(st.text(max_size=20))
def test_any_text_is_a_policy_or_one_message(text: str) -> None:
    try:
        kind, blocks = parse_freeze(text)
    except ConfigError as error:
        assert "expected none, encoder" in str(error)
    else:
        assert text.startswith(kind) and 0 <= blocks <= 5
