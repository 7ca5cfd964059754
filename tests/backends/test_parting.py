"""Each process learns why another ended: from what it said, or from its silence."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mriseg.backends import parting
from mriseg.backends.parting import Keys, Parting


class Shared:
    """The keys of a store, as several processes see them."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}
        self.broken = False

    def set(self, key: str, value: str, /) -> None:
        self._check()
        self._values[key] = value.encode()

    def get(self, key: str, /) -> bytes:
        self._check()
        return self._values[key]

    def check(self, keys: list[str], /) -> bool:
        self._check()
        return all(key in self._values for key in keys)

    def clone(self) -> Keys:
        return self

    def _check(self) -> None:
        if self.broken:
            raise RuntimeError("the store is gone")


NAMES = [f"rank {rank} of 3" for rank in range(3)]


@pytest.fixture
def store() -> Shared:
    return Shared()


@pytest.fixture
def three(store: Shared, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Parting]]:
    monkeypatch.setattr(parting, "_BEAT", 0.02)
    monkeypatch.setattr(parting, "_DEAD", 0.4)
    all_three = [Parting(store, rank, NAMES) for rank in range(3)]
    time.sleep(0.1)
    yield all_three
    for each in all_three:
        each.done()


def dies(one: Parting) -> None:
    one._over.set()  # no signs of life, and not a word
    time.sleep(0.1)


def test_a_reason_is_passed_on_with_its_exit_code(three: list[Parting]) -> None:
    three[1].failed("the disk is full", 5)
    for other in (three[0], three[2]):
        for stopping in (False, True):
            error = other.why(stopping=stopping)
            assert error is not None and error.exit_code == 5
            assert str(error) == "rank 1 of 3: the disk is full"


def test_who_is_silent_was_killed(three: list[Parting]) -> None:
    dies(three[2])
    three[1].lost()
    error = three[0].why(stopping=False)
    assert error is not None and str(error).startswith("rank 2 of 3 ended without a word: killed")
    assert error.exit_code == 11


def test_who_only_takes_long_was_not_killed(three: list[Parting]) -> None:
    assert three[0].why(stopping=False) is None


def test_where_all_were_asked_to_stop_nothing_went_wrong(three: list[Parting]) -> None:
    three[1].stopped()
    three[2].stopped()
    began = time.monotonic()
    assert three[0].why(stopping=True) is None
    assert time.monotonic() - began < 0.2
    # Of one who was stopped alone the others say so.
    error = three[0].why(stopping=False)
    assert error is not None and str(error) == "rank 1 of 3 was stopped by a signal"


def test_words_are_waited_for(three: list[Parting]) -> None:
    assert not three[1].wait_for_words(0.1)
    three[0].spoke()
    assert three[1].wait_for_words(0.1)


def test_without_the_store_nothing_is_known_and_nothing_breaks(
    three: list[Parting], store: Shared
) -> None:
    store.broken = True
    three[0].failed("why", 1)
    error = three[1].why(stopping=False)
    # It was the first process's, or torchrun's.
    assert error is not None and str(error).startswith("rank 0 of 3 ended without a word")
    began = time.monotonic()
    assert not three[1].wait_for_words(9.0) and time.monotonic() - began < 0.2
    of_first = three[0].why(stopping=False)
    assert of_first is not None and str(of_first).startswith("torchrun ended without a word")
