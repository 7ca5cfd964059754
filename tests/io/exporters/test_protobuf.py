"""Protocol buffers of strangers end in fields or in a ValueError, and cost no memory."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.io.exporters.protobuf import content, fields


def varint(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


@st.composite
def messages(draw: st.DrawFn) -> tuple[list[tuple[int, int | bytes]], bytes]:
    parts = draw(
        st.lists(
            st.tuples(st.integers(1, 2**20), st.integers(0, 2**63) | st.binary(max_size=40)),
            max_size=8,
        )
    )
    data = b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in parts
    )
    return parts, data


@given(messages())
def test_fields_are_those_that_were_written(
    message: tuple[list[tuple[int, int | bytes]], bytes],
) -> None:
    parts, data = message
    file = io.BytesIO(data)
    read = [
        (f.number, f.value if isinstance(value, int) else content(file, f, 100))
        for f, (_, value) in zip(fields(file, 0, len(data)), parts, strict=True)
    ]
    assert read == parts


@given(st.binary(max_size=200))
def test_any_bytes_end_in_fields_or_a_value_error(data: bytes) -> None:
    file = io.BytesIO(data)
    try:
        for field in fields(file, 0, len(data)):
            assert 0 <= field.start <= field.end <= len(data)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x0a\xff\xff\xff\xff\x7f", "longer than what is left"),
        (b"\x80" * 20, "does not end"),
        (b"\x0b", "no field of kind 3"),
        (b"\x02\x00", "field 0"),
        (b"\x0d\x00", "longer than what is left"),
    ],
    ids=["length", "varint", "group", "number", "four"],
)
def test_lies_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(fields(io.BytesIO(data), 0, len(data)))


def test_no_more_is_read_than_was_asked_for() -> None:
    file = io.BytesIO(b"\x0a\x05hello")
    [field] = fields(file, 0, 7)
    assert content(file, field, 5) == b"hello"
    with pytest.raises(ValueError, match="longer than 4 bytes"):
        content(file, field, 4)
