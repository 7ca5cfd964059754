"""Overlapped work yields what work in turn yields, is bounded, and leaves no thread behind."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.errors import InputError, OutputError
from mriseg.recipes.pipeline import Outcome, Stages, in_turn, overlapped

STAGES = ("begin", "compute", "end")
TIMEOUT = 10


@dataclass(frozen=True)
class Item:
    """What its stages yield, and the stage in which it fails."""

    name: int
    steps: tuple[int, int] = (1, 1)
    fails: str = ""


@dataclass
class Log:
    """Which items are in which stage, as it happens."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    begun: list[int] = field(default_factory=list)
    ended: list[int] = field(default_factory=list)
    most: int = 0
    threads: dict[str, set[str]] = field(default_factory=dict)

    def enter(self, item: Item, stage: str) -> None:
        with self.lock:
            if stage == "begin":
                self.begun.append(item.name)
                self.most = max(self.most, len(self.begun) - len(self.ended))
            self.threads.setdefault(stage, set()).add(threading.current_thread().name)
        if item.fails == stage:
            raise InputError(f"{item.name} in {stage}")

    def leave(self, item: Item) -> None:
        with self.lock:
            self.ended.append(item.name)


def stages(log: Log) -> Stages[Item, str, int, int, str]:
    def begin(item: Item) -> Generator[str, None, int]:
        log.enter(item, "begin")
        for step in range(item.steps[0]):
            yield f"begin {step}"
        return item.name

    def compute(item: Item, begun: int) -> Generator[str, None, int]:
        log.enter(item, "compute")
        for step in range(item.steps[1]):
            yield f"compute {step}"
        return begun + 100

    def end(item: Item, computed: int) -> str:
        log.enter(item, "end")
        log.leave(item)
        return f"{item.name}: {computed}"

    return Stages(begin, compute, end)


def asides() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "mriseg-aside"]


numbers = st.integers(0, 3)
items = st.lists(
    st.tuples(st.tuples(numbers, numbers), st.sampled_from(("", "", "", "", *STAGES))), max_size=6
).map(lambda rows: [Item(name, *row) for name, row in enumerate(rows)])


def seen_in_turn(work: list[Item]) -> list[Any]:
    # A list that is extended keeps what came before an error.
    seen: list[Any] = []
    try:
        for step in in_turn(stages(Log()), work):
            seen.append(step)
    except InputError as error:
        seen.append(str(error))
    return seen


@given(work=items)
@settings(max_examples=150, deadline=None)
def test_what_is_yielded_and_raised_is_that_of_work_in_turn(work: list[Item]) -> None:
    log = Log()
    seen: list[Any] = []
    try:
        for step in overlapped(stages(log), work):
            seen.append(step)
    except InputError as error:
        seen.append(str(error))
    assert seen == seen_in_turn(work)
    assert log.most <= 3, "one is read, one computed and one ended at the same time"
    assert log.ended == sorted(log.ended)
    assert log.threads.get("compute", set()) <= {threading.current_thread().name}
    assert log.threads.get("begin", set()) | log.threads.get("end", set()) <= {"mriseg-aside"}
    assert not asides()


@given(work=items.filter(bool), count=st.integers(0, 8))
@settings(max_examples=50, deadline=None)
def test_a_caller_that_stops_leaves_no_thread(work: list[Item], count: int) -> None:
    steps = overlapped(stages(Log()), work)
    for _ in range(count):
        try:
            next(steps)
        except (StopIteration, InputError):
            break
    steps.close()
    assert not asides()


def test_the_next_is_begun_and_the_last_ended_while_one_computes() -> None:
    begun, ending, go_on = (threading.Event() for _ in range(3))

    def begin(item: int) -> Generator[str, None, int]:
        if item == 2:
            begun.set()
        yield f"reading {item}"
        return item

    def compute(item: int, _: int) -> Generator[str, None, int]:
        if item == 1:
            # Neither of the others waits for this one.
            assert begun.wait(TIMEOUT) and ending.wait(TIMEOUT)
            yield "computing 1"
            go_on.set()
        return item

    def end(item: int, _: int) -> int:
        if item == 0:
            ending.set()
            assert go_on.wait(TIMEOUT)
        return item

    assert list(overlapped(Stages(begin, compute, end), range(3))) == [
        *((0, "reading 0"), Outcome(0, 0)),
        *((1, "reading 1"), (1, "computing 1"), Outcome(1, 1)),
        *((2, "reading 2"), Outcome(2, 2)),
    ]


def test_no_more_than_one_is_read_ahead() -> None:
    begun: list[int] = []

    def begin(item: int) -> Generator[str, None, int]:
        begun.append(item)
        yield "read"
        return item

    def compute(item: int, _: int) -> Generator[str, None, None]:
        yield "computed"

    steps = overlapped(Stages(begin, compute, lambda item, _: item), range(5))
    while next(steps) != (0, "computed"):
        pass
    limit = threading.Event()
    limit.wait(0.05)
    assert begun == [0, 1]
    steps.close()


def test_an_interrupted_command_waits_for_what_is_being_written() -> None:
    written: list[int] = []
    interrupted = threading.Event()

    def begin(item: int) -> Generator[str, None, int]:
        yield "read"
        return item

    def compute(item: int, _: int) -> Generator[str, None, int]:
        yield "computed"
        if item == 1:
            interrupted.set()
            raise KeyboardInterrupt
        return item

    def end(item: int, _: int) -> int:
        assert interrupted.wait(TIMEOUT)
        written.append(item)
        return item

    with pytest.raises(KeyboardInterrupt):
        list(overlapped(Stages(begin, compute, end), range(3)))
    assert written == [0] and not asides()


def test_a_full_disk_ends_the_work() -> None:
    def begin(item: int) -> Generator[str, None, int]:
        yield "read"
        return item

    def compute(item: int, _: int) -> Generator[str, None, int]:
        yield "computed"
        return item

    def end(item: int, _: int) -> int:
        if item == 1:
            raise OutputError("the disk is full")
        return item

    seen: list[Any] = []
    with pytest.raises(OutputError, match="full"):
        for step in overlapped(Stages(begin, compute, end), range(9)):
            seen.append(step)
    assert [step for step in seen if isinstance(step, Outcome)] == [Outcome(0, 0)]
    assert max(step[0] for step in seen if not isinstance(step, Outcome)) == 1
    assert not asides()
