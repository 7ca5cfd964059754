from __future__ import annotations

import re
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io.images import fields

END = re.compile(rb"\nlast[^\n]*\n?")


@pytest.mark.parametrize("before", [10, 2**16 - 4, 2**16 - 1, 2**16, 2**17 + 3])
def test_a_header_ends_where_it_says(tmp_path: Path, before: int) -> None:
    head = b"x" * before + b"\nlast = some words\n"
    (tmp_path / "x").write_bytes(head + b"\nlast = not this\n" * 10_000)
    text, length = fields.head(tmp_path / "x", END)
    assert (text.encode(), length) == (head, len(head))


def test_a_short_file_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc\xff")
    assert fields.head(tmp_path / "x", END) == ("abc\\xff", 4)


def test_numbers() -> None:
    assert fields.numbers("x", "f", " 1 -2.5e1 ", 2) == [1, -25]
    assert fields.whole("x", "f", "1 2.0") == (1, 2)
    assert fields.number("x", {"a": "3"}, "a", 0) == 3
    assert fields.number("x", {}, "a", 7) == 7
    for text in ("", "a", "1 nan", "inf", "1 2 3"):
        with pytest.raises(InputError, match=r"^x states f as .*expected 2 numbers"):
            fields.numbers("x", "f", text, 2)
    for text in ("1.5", "1e17"):
        with pytest.raises(InputError, match="expected whole numbers"):
            fields.whole("x", "f", text)


def test_only_a_file_beside_the_header_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.raw").touch()
    assert fields.sibling(tmp_path / "x.mhd", " ./data.raw ") == tmp_path / "data.raw"
    for stated in ("", ".", "..", "../x", "/x", "a/b", "a\\b", "a\0b", "C:a", "file:///x"):
        with pytest.raises(InputError, match="only a file beside it is read"):
            fields.sibling(tmp_path / "x.mhd", stated)


def test_a_quotation_is_short_and_printable() -> None:
    assert fields.shown("a\x1b[31m") == "'a\\x1b[31m'"
    assert len(fields.shown("x" * 10_000)) < 80
