"""Damage to JSON that still is JSON, and to its text."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from random import Random
from typing import Any

from mriseg.io.disk.checksums import BLANK, digest_of
from tests.fuzz.bytes_ import damaged

# Takes the place of what json.dumps could not write.
_DEEP = "@deep@"
_LONG_INTEGER = "@long@"

CLIMBING = ("../../outside/planted", "../../../outside/secret.txt", "/etc/passwd", "..", ".", "~")
ODD_NAMES = ("", " ", "a/b", "a\\b", "a\nb", "\x1b[31mred", "a\x00b", "\ud800", "x" * 255, "$x^")
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1,
    7,
    0.5,
    -0.0,
    2**31,
    2**53 + 1,
    2**63,
    -(2**64),
    10**30,
    1e308,
    -1e308,
    1e-320,
    float("nan"),
    float("inf"),
    "text",
    "1",
    "x" * 100_000,
    [],
    {},
    [[]],
    [None],
    [1, 2, 3, 4],
    {"": None},
    {"a": {"b": []}},
    list(range(5000)),
    _DEEP,
    _LONG_INTEGER,
    *CLIMBING,
    *ODD_NAMES,
)


def damaged_text(rng: Random, data: bytes) -> bytes:
    """The text of a JSON file with its values, or itself, damaged."""
    if rng.random() < 0.2:
        return rng.choice((damaged(rng, data), *_TEXTS))
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):  # it is damaged already
        return damaged(rng, data)
    # A stranger can take a digest out, or put the right one in, and what it covers is then read.
    way = rng.random()
    if way < 0.1:
        return text(damaged_values(rng, value))
    if way < 0.4:
        return text(damaged_values(rng, unsealed(value)))
    return resealed(text(damaged_values(rng, blank(value))))


def blank(value: Any) -> Any:
    """``value`` with a blank in place of each digest that mriseg writes into its files."""
    if isinstance(value, dict):
        return {key: BLANK if key == "digest" else blank(inner) for key, inner in value.items()}
    return [blank(inner) for inner in value] if isinstance(value, list) else value


def resealed(data: bytes) -> bytes:
    """A document with its right digest in place of a blank."""
    try:
        return data.replace(BLANK.encode(), digest_of(data).encode(), 1)
    except ValueError:  # it lost the place
        return data


def unsealed(value: Any) -> Any:
    """``value`` without the digests that mriseg writes into its files."""
    if isinstance(value, dict):
        return {key: unsealed(inner) for key, inner in value.items() if key != "digest"}
    return [unsealed(inner) for inner in value] if isinstance(value, list) else value


def damaged_values(rng: Random, value: Any) -> Any:
    """``value`` with one to three things done to what is in it."""
    value = copy.deepcopy(value)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return rng.choice(ODD)
        # The top is where keys are; it has as much of a chance as all that is below.
        top = [place for place in places if place[0] is value]
        inside, key = rng.choice(top if top and rng.random() < 0.3 else places)
        if isinstance(inside, list) and key >= len(inside):
            continue
        _change(rng, inside, key)
    return value


def text(value: Any) -> bytes:
    """``value`` as JSON, with what JSON's writers refuse put in."""
    written = json.dumps(value)
    written = written.replace(f'"{_DEEP}"', "[" * 100_000 + "]" * 100_000)
    return written.replace(f'"{_LONG_INTEGER}"', "9" * 10_000).encode()


_TEXTS = (
    b"",
    b"null",
    b"[]",
    b"{}",
    b"0",
    b'"text"',
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"9" * 10_000,
    b"NaN",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b'{"format": "\xff"}',
    b'{"a": 1, "a": 2}',
    b"\0" * 100,
    b"{" + b" " * 1_000_000 + b"}",
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        keys: list[Any] = list(value)
    elif isinstance(value, list):
        keys = list(range(min(len(value), 40)))
    else:
        return
    for key in keys:
        yield value, key
        yield from _places(value[key])


def _change(rng: Random, inside: Any, key: Any) -> None:
    old = inside[key]
    way = rng.randrange(8)
    if way == 0:
        del inside[key]
    elif way == 1:
        inside[key] = [old]
    elif way == 2 and isinstance(inside, dict):
        inside[rng.choice((*CLIMBING, *ODD_NAMES))] = inside.pop(key)
    elif way == 3 and isinstance(old, int | float) and not isinstance(old, bool):
        inside[key] = rng.choice((-old, old + 1, old * 10**6, old / 7, str(old)))
    elif way == 4 and isinstance(old, str):
        inside[key] = rng.choice((*CLIMBING, *ODD_NAMES, old * 2, old.upper(), 5))
    elif way == 5 and isinstance(old, list):
        inside[key] = rng.choice((old * 2, old[:-1], old[::-1], old[:1], {"0": old}))
    else:
        inside[key] = rng.choice(ODD)
