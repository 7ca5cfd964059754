"""The contract of executors finds a kind that does not keep it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from mriseg.executors import EXECUTORS
from mriseg.executors.given import GivenPool
from mriseg.testing import ExecutorContract


class Threads:
    """Threads of this process, which is not what is promised."""

    name = "threads"
    summary = "threads"
    elsewhere = False

    @contextmanager
    def pool(self, address: str, workers: int | None) -> Iterator[GivenPool]:
        with ThreadPoolExecutor(workers) as executor:
            yield GivenPool(executor, workers)


KIND = Threads()


@pytest.fixture
def contract(monkeypatch: pytest.MonkeyPatch) -> ExecutorContract:
    monkeypatch.setattr(EXECUTORS, "_targets", {"threads": f"{__name__}:KIND"}, raising=True)
    suite = ExecutorContract()
    suite.kind = KIND
    return suite


def test_what_is_kept_passes_and_what_is_not_fails(
    contract: ExecutorContract, tmp_path: Path
) -> None:
    with KIND.pool("", 2) as pool:
        contract.test_all_items_are_done_once(pool)
        contract.test_what_a_function_raises_is_raised(pool)
        with pytest.raises(AssertionError):
            # It is this process that does the work.
            contract.test_workers_are_asked_by_name_before_the_work(pool)
    with pytest.raises(pytest.fail.Exception):
        contract.test_an_address_that_means_nothing_is_refused_at_once()
