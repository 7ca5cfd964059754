"""What every kind of executor promises. A new one inherits the suite and gives its address."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mriseg.errors import CaseError, ConfigError, UnknownNameError, WorkerError
from mriseg.executors import EXECUTORS, Kind, Pool, chosen
from mriseg.executors.rehearsal import (
    doubled,
    kills_its_worker,
    kills_its_worker_once,
    leaves_a_file,
    refused,
    where,
)
from mriseg.executors.spreading import spread


class ExecutorContract:
    """What `mriseg.executors` promises of a kind of executor.

    Attributes:
        kind: under test, which must be registered; a subclass names it.
        workers: how many are asked for; None: the kind takes no number.
    """

    kind: Kind
    workers: int | None = 2

    @pytest.fixture
    def address(self) -> str:
        """What stands behind the kind's name and a colon; a subclass may start workers here."""
        return ""

    @pytest.fixture
    def pool(self, address: str) -> Iterator[Pool]:
        """Workers that stand ready; they see the files of the test."""
        with self.kind.pool(address, self.workers) as pool:
            yield pool

    def test_it_is_registered_by_its_name(self) -> None:
        assert EXECUTORS[self.kind.name] is self.kind
        assert self.kind.summary
        assert chosen(f"{self.kind.name}:a:b") == (self.kind, "a:b")
        with pytest.raises(UnknownNameError, match=self.kind.name):
            chosen(f"{self.kind.name}x")

    def test_an_address_that_means_nothing_is_refused_at_once(self) -> None:
        with (
            pytest.raises((ConfigError, WorkerError), match="--executor|no .* answers"),
            self.kind.pool("no=such=address", self.workers),
        ):
            pass

    def test_all_items_are_done_once(self, pool: Pool) -> None:
        done = dict(spread(doubled, range(25), pool))
        assert done == {number: 2 * number for number in range(25)}
        assert list(spread(doubled, [], pool)) == []
        assert pool.at_once >= 2
        assert pool.place
        assert pool.advice

    def test_what_a_function_raises_is_raised(self, pool: Pool) -> None:
        with pytest.raises(CaseError, match="number 3: it is not even"):
            list(spread(refused, [3], pool))
        assert list(spread(doubled, [4], pool)) == [(4, 8)]

    def test_workers_are_asked_by_name_before_the_work(self, pool: Pool) -> None:
        answers = pool.on_each(where, None)
        assert answers
        assert all(isinstance(answer, int) for answer in answers.values())
        assert os.getpid() not in answers.values()
        [error] = set(map(str, pool.on_each(refused, 1).values()))
        assert "it is not even" in error

    def test_what_a_worker_that_dies_was_at_is_done_again(self, pool: Pool, tmp_path: Path) -> None:
        items = [str(tmp_path / name) for name in ("a", "b")]
        done = dict(spread(kills_its_worker_once, items, pool))
        assert done == {item: item for item in items}

    def test_an_item_that_ends_every_worker_is_named(self, pool: Pool) -> None:
        with pytest.raises(WorkerError, match=r"case big: .* was killed \d times .* memory"):
            list(spread(kills_its_worker, ["a", "big", "b"], pool, lambda name: f"case {name}"))

    def test_nothing_is_begun_after_a_stop(self, address: str, tmp_path: Path) -> None:
        paths = [str(tmp_path / f"{number}") for number in range(40)]
        with pytest.raises(KeyboardInterrupt), self.kind.pool(address, self.workers) as pool:
            for _ in spread(leaves_a_file, paths, pool):
                raise KeyboardInterrupt
        time.sleep(1.0)
        before = len(list(tmp_path.iterdir()))
        time.sleep(1.0)
        assert 0 < len(list(tmp_path.iterdir())) == before < len(paths)
