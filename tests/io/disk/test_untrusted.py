"""Untrusted files are read only within their limits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mriseg.io.disk.untrusted import is_regular, open_regular, parse_json, read_text


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX's")
def test_only_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("pipe", ".", "none"):
        assert not is_regular(tmp_path / name)
        with pytest.raises(OSError):
            open_regular(tmp_path / name)
    for name in ("file", "link"):
        assert is_regular(tmp_path / name)
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"x"


def test_a_text_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("\ufeffäb", encoding="utf-8")
    assert read_text(tmp_path / "x", 6) == "äb"
    with pytest.raises(ValueError, match="larger than 5 bytes"):
        read_text(tmp_path / "x", 5)
    (tmp_path / "x").write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError):
        read_text(tmp_path / "x")


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '"\\ud800"', b'{"\\uD800": 1}', b"\xff"])
def test_what_is_not_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(text)


def test_json_is_read() -> None:
    assert parse_json('{"a": "\\ud83d\\ude00"}') == {"a": "\U0001f600"}
    assert parse_json(b"[1]") == [1]
