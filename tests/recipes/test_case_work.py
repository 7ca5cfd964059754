"""Cases are done here or by workers, by the same function and with the same outcome."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.choice import Choice
from mriseg.errors import CaseError, UnknownNameError, WorkerError
from mriseg.events import Advanced, Event, Notice, Partly
from mriseg.io.disk.shared import SharedPath
from mriseg.recipes.case_work import CaseWorkers, Workers, case_workers, elsewhere, partly
from mriseg.recipes.pipeline import Outcome, Stages
from mriseg.recipes.worker_check import Needs


def halves(number: int) -> Partly[int]:
    """Work that says how far it is."""
    yield 0.5
    if number < 0:
        raise CaseError(str(number), "negative")
    return 2 * number


def of(steps: Iterator[Event | Outcome[int, int]]) -> tuple[list[Event], dict[int, int]]:
    events, results = [], {}
    for step in steps:
        if isinstance(step, Outcome):
            results[step.item] = step.result
        else:
            events.append(step)
    return events, results


def test_here_items_are_done_in_order_and_show_how_far_they_are(cpu: Backend) -> None:
    with case_workers(cpu, 2) as workers:
        events, results = of(workers.each(halves, [4, 1], partly("stage")))
        assert workers.backend() is cpu and workers.at_once == 1 and not workers.are_elsewhere
        assert workers.machine.startswith("cpu") and workers.notes == cpu.notes
    assert list(results.items()) == [(4, 8), (1, 2)]
    assert events == [Advanced("stage", 0.5, item="4"), Advanced("stage", 1.5, item="1")]


def _begin(number: int) -> Partly[int]:
    yield 0.25
    return number


def _compute(number: int, begun: int) -> Partly[int]:
    yield 0.5
    return number + begun


def _end(number: int, computed: int) -> tuple[int, str]:
    return computed, threading.current_thread().name


@pytest.mark.parametrize("cores", [1, 2])
def test_stages_overlap_here_if_there_are_cores_and_workers_do_them_in_turn(
    cpu: Backend, monkeypatch: pytest.MonkeyPatch, cores: int
) -> None:
    monkeypatch.setattr("mriseg.backends.machine.cores", lambda: cores)
    stages, own = Stages(_begin, _compute, _end), threading.current_thread().name
    ends = "mriseg-aside" if cores > 1 else own
    with case_workers(cpu, 3) as workers:
        events, results = of(workers.each(stages, [4, 1, 3], partly("stage")))
        assert results == {n: (2 * n, ends) for n in (4, 1, 3)}
        assert [event.done for event in events] == [0.25, 0.5, 1.25, 1.5, 2.25, 2.5]
        _, alone = of(workers.each(stages, [4]))
        assert alone == {4: (8, own)}
    with (
        ThreadPoolExecutor(2) as executor,
        case_workers(Workers(executor, backend=None), 3) as workers,
    ):
        _, results = of(workers.each(stages, [4, 1, 3]))
        assert [(n, twice) for n, (twice, _) in sorted(results.items())] == [(1, 2), (3, 6), (4, 8)]
        assert "mriseg-aside" not in {name for _, name in results.values()}


def test_an_executor_of_ones_own_gives_the_same() -> None:
    with (
        ThreadPoolExecutor(2) as executor,
        case_workers(Workers(executor, backend=None), 3) as workers,
    ):
        assert workers.at_once == 2 and workers.are_elsewhere
        assert "2 workers of the executor that was given" in workers.notices[0]
        assert of(workers.each(halves, [4, 1, 3])) == ([], {4: 8, 1: 2, 3: 6})
        with pytest.raises(CaseError, match="negative"):
            of(workers.each(halves, [-1]))


def test_a_worker_that_lacks_something_is_named_before_the_work(tmp_path: Path) -> None:
    known = SharedPath.of(tmp_path)
    (tmp_path / "new").touch()
    with (
        ThreadPoolExecutor(1) as executor,
        pytest.raises(WorkerError, match=r"worker worker 1 .* sees something else at .*Nothing"),
        case_workers(Workers(executor), 3, Needs(paths=(known,))),
    ):
        pass


def test_a_worker_stops_when_the_command_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mriseg.errors import OutputError
    from mriseg.io.disk.shared import workroom
    from mriseg.recipes.case_work import _on_worker

    monkeypatch.setattr("mriseg.recipes.case_work._LOOK", 0.0)
    steps: list[int] = []

    def work(_: int) -> Partly[None]:
        for step in range(1000):
            steps.append(step)
            if step == 3:
                room_context.__exit__(None, None, None)
            yield step / 1000

    room_context = workroom(tmp_path / "out")
    room = room_context.__enter__()
    with pytest.raises(OutputError, match="the command that asked for this work has ended"):
        _on_worker(work, Needs(room=room), 0)
    assert steps == [0, 1, 2, 3]


def test_one_item_needs_no_processes_and_none_no_workers() -> None:
    one = Workers(None, 4, Choice("cpu", "fp32"))
    with case_workers(one, 1) as workers:
        assert workers.at_once == 1 and of(workers.each(halves, [5])) == ([], {5: 10})
    with case_workers(Workers("dask:tcp://nobody:1"), 0) as workers:
        assert workers.machine == "" and workers.notes == ()


@pytest.mark.parametrize(
    ("executor", "away"),
    [(None, False), ("processes", False), ("dask:tcp://x:1", True), ("slurm", True)],
)
def test_which_are_elsewhere(executor: str | None, away: bool) -> None:
    assert elsewhere(Workers(executor)) is away


def test_an_unknown_kind_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownNameError, match="known: dask, processes, slurm"):
        elsewhere(Workers("dusk:tcp://x:1"))


def test_processes_do_them_side_by_side() -> None:
    with case_workers(Workers(None, 2, None), 5) as workers:
        assert workers.at_once == 2
        events, results = of(workers.each(halves, range(5)))
    assert results == {n: 2 * n for n in range(5)} and not events


def test_without_a_file_to_import_one_process_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mriseg.executors.processes._why_alone", lambda: "no file")
    with case_workers(Workers(None, 2, None), 3) as workers:
        assert workers.notices == ("no file",) and workers.at_once == 1
        assert isinstance(workers, CaseWorkers)
        events, results = of(workers.each(halves, range(3)))
    assert results == {0: 0, 1: 2, 2: 4} and not [e for e in events if isinstance(e, Notice)]
