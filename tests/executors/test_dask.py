"""Workers of a Dask scheduler, as processes of their own: the contract, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mriseg.errors import ConfigError, WorkerError
from mriseg.executors.dask import EXECUTOR
from mriseg.executors.rehearsal import doubled
from mriseg.executors.spreading import spread, watched
from mriseg.testing import ExecutorContract
from tests.executors.cluster import Cluster, cluster

pytest.importorskip("distributed")

# A scheduler and its workers are processes of their own, each of which takes seconds to start.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("cluster")) as both:
        yield both


class TestDask(ExecutorContract):
    kind = EXECUTOR
    workers = None

    @pytest.fixture
    def address(self, running: Cluster) -> str:
        return running.address


def test_a_number_of_workers_or_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="leave the number out"), EXECUTOR.pool("tcp://x:1", 3):
        pass
    with pytest.raises(ConfigError, match="name the scheduler"), EXECUTOR.pool("", None):
        pass


def test_where_no_scheduler_answers_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mriseg.executors.dask._PATIENCE", 0.5)
    with (
        pytest.raises(WorkerError, match="no Dask scheduler answers at tcp://127.0.0.1:9"),
        EXECUTOR.pool("tcp://127.0.0.1:9", None),
    ):
        pass
    file = tmp_path / "scheduler.json"
    with (
        pytest.raises(WorkerError, match="no such file.*--scheduler-file"),
        EXECUTOR.pool(str(file), None),
    ):
        pass
    assert capfd.readouterr().err == ""


def test_a_scheduler_without_workers_and_one_that_goes_away_are_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        cluster(tmp_path / "logs", workers=()) as alone,
        EXECUTOR.pool(alone.address, None) as pool,
    ):
        with pytest.raises(WorkerError, match="has no workers: start some"):
            pool.on_each(doubled, 1)
        capfd.readouterr()
        work = spread(doubled, [1, 2], pool)
        pool.executor.submit(doubled, 0)  # it waits for a worker
        alone.kill_scheduler()
        with pytest.raises(WorkerError, match=r"went away; .* start the same command again"):
            list(work)
    assert capfd.readouterr().err == ""


def test_that_all_workers_are_gone_is_said_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mriseg.executors.dask._ABSENCE", 1.0)
    monkeypatch.setattr("mriseg.executors.spreading._TENDING", 0.2)
    with (
        cluster(tmp_path / "logs", workers=()) as alone,
        EXECUTOR.pool(alone.address, None) as pool,
    ):
        steps = watched(doubled, [1, 2], pool)
        assert next(steps) == (
            f"the Dask scheduler {alone.address} has no workers now; the next worker "
            f"continues; start one with: dask worker ADDRESS --nthreads 1"
        )
        alone.start_worker()
        assert dict(steps) == {1: 2, 2: 4}
