"""The tree of errors is the one drawn, and its members survive printing and pickling."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from mriseg import errors
from mriseg.errors import CaseError, MrisegError, UnknownNameError, first_line

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, BaseException) and cls.__module__ == errors.__name__
]


def _drawn() -> dict[str, tuple[int, str | None]]:
    """Name -> (exit code, parent's name), read off the drawing in the module's docstring."""
    classes: dict[str, tuple[int, str | None]] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"^    ([│├└─ ]*)(\w+Error)\s+(\d+)", line)
        if match:
            depth = len(match[1]) // 4
            above[depth:] = [match[2]]
            classes[match[2]] = (int(match[3]), above[depth - 1] if depth else None)
    return classes


def test_the_drawing_is_the_tree() -> None:
    real = {
        cls.__name__: (cls.exit_code, None if cls is MrisegError else cls.__mro__[1].__name__)
        for cls in CLASSES
    }
    assert _drawn() == real


def test_errors_of_different_kinds_exit_differently() -> None:
    top = MrisegError.__subclasses__()
    codes = [cls.exit_code for cls in top]
    assert len(set(codes)) == len(codes)
    # 0 is success, 1 is for what has no code of its own, and from 126 on codes are the shell's.
    assert all(1 < code < 126 for code in codes)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_crosses_a_process_boundary(cls: type[MrisegError]) -> None:
    error = cls("one", "two") if cls is CaseError else cls("a sentence, with 'quotes'")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is cls
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


def test_an_unknown_name_is_a_key_error_that_reads_as_a_sentence() -> None:
    error = UnknownNameError("there is no layout 'x'")
    assert isinstance(error, KeyError)
    assert str(error) == "there is no layout 'x'"


def test_a_case_error_says_which_case_and_why() -> None:
    error = CaseError("BraTS20_Training_355", "its FLAIR holds NaN")
    assert (error.case, error.reason) == ("BraTS20_Training_355", "its FLAIR holds NaN")
    assert str(error) == "case BraTS20_Training_355: its FLAIR holds NaN"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("no kernel\nand a long story", "ValueError: no kernel"),
        ("\n  spaced  ", "ValueError: spaced"),
        ("", "ValueError"),
        ("many words " * 50, f"ValueError: {'many words ' * 17}many ..."),
    ],
)
def test_the_first_line_of_an_error_fits_into_a_sentence(message: str, line: str) -> None:
    assert first_line(ValueError(message)) == line


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FileNotFoundError(2, "No such file", "x"), "No such file"),
        (OSError("a disk\nand more"), "a disk"),
        (ValueError("  \n one\ntwo"), "one"),
        (KeyError(), "KeyError"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_a_reason_is_one_line(error: Exception, said: str) -> None:
    assert errors.reason_of(error) == said
