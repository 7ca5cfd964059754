"""CSV, JSON and text, written complete or not at all; what is undefined is never "nan"."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from mriseg.errors import InputError, MrisegError, OutputError, reason_of
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.untrusted import parse_json, read_text

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], *, spreadsheet: bool = False) -> None:
    """``rows`` as a CSV table (RFC 4180, UTF-8).

    The columns are the rows' keys in order of first appearance; a key that a row lacks, None and
    nan leave the cell empty, which spreadsheets, R and pandas all read as missing. Numbers are
    written in full.

    Args:
        path: the file.
        rows: column -> value, of each row.
        spreadsheet: put an apostrophe before a text that a spreadsheet would run as a formula, such
            as a case whose folder is called "=1+1".

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (
        replacing(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        # An unset key becomes None, and csv writes None as an empty cell.
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        cell = _harmless if spreadsheet else plain
        writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)


def write_json(path: Path, value: Any) -> None:
    """``value`` as JSON after `plain`.

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
        TypeError: something in ``value`` has no form in JSON.
    """
    value = plain(value)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """``text`` in UTF-8, with the same line ends on every system.

    Raises:
        OutputError: the file cannot be written; what was there before is untouched.
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def first_bytes(path: Path, count: int) -> bytes | None:
    """The first ``count`` bytes of a file that is about to be written over; None: there is none.

    Raises:
        OutputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(count)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}") from error


def read_picture(path: Path) -> bytes:
    """The bytes of a picture that mriseg wrote.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from None


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file that mriseg wrote.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        value = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or cannot be read: {reason_of(error)}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: it does not hold a JSON object")
    return value


def read_record(
    path: Path, form: str, *, foreign: str, error: type[MrisegError]
) -> Mapping[str, Any] | None:
    """The JSON of a record that mriseg keeps in a folder, its seal unchecked; None: there is none.

    Args:
        path: of the file.
        form: its ``format``.
        foreign: what it is not, and what to do, for the message where it is something else.
        error: what is raised where it cannot be read, or is of something else.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as problem:
        raise error(f"{path} cannot be read ({reason_of(problem)}); name another folder") from None
    try:
        data = parse_json(text)
    except ValueError:
        data = None
    if not isinstance(data, Mapping) or data.get("format") != form:
        raise error(f"{path} is not {foreign}")
    return data


def _harmless(value: Any) -> Any:
    value = plain(value)
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def plain(value: Any) -> Any:
    """``value`` in JSON's own types.

    Dataclasses become objects, tuples and arrays lists, paths strings, numpy's numbers Python's.
    JSON has neither nan nor infinity (RFC 8259), so both become null.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # By field rather than asdict, which copies arrays only for them to be converted again.
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
