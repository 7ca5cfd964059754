"""An executor that a program made itself does the work, and stays that program's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace

from mriseg.errors import CaseError, WorkerError
from mriseg.executors.base import KilledError
from mriseg.executors.given import GivenPool, given
from mriseg.executors.rehearsal import doubled, refused


def test_it_is_asked_once_per_worker_and_is_not_shut_down() -> None:
    with ThreadPoolExecutor(3) as executor:
        with given(executor, None) as pool:
            assert pool.at_once == 4 and pool.executor is executor
            assert list(pool.on_each(doubled, 2).values()) == [4, 4, 4]
            assert all(isinstance(e, CaseError) for e in pool.on_each(refused, 1).values())
        assert executor.submit(doubled, 1).result() == 2
        assert GivenPool(executor, 7).at_once == 8


def test_its_errors_are_understood() -> None:
    pool = GivenPool(SimpleNamespace(), 1)  # type: ignore[arg-type]
    assert isinstance(pool.meaning(BrokenProcessPool("gone")), WorkerError)
    killed = type("KilledWorker", (Exception,), {"allowed_failures": 3})()
    meaning = pool.meaning(killed)
    assert isinstance(meaning, KilledError) and meaning.times == 4
    own = ValueError("its own")
    assert pool.meaning(own) is own
