"""What a Dask scheduler and the command have to do for each case, with many workers.

Real cases and a real scheduler, each in a process of its own; the workers are simulated: a hundred
of them live in one process, and instead of reading a scan each waits for some seconds. So what is
measured is the scheduler's own work and what passes over its sockets, which is all that the number
of workers changes: the messages and bytes that it reads and writes per case, its processor time per
case, and that of the command. Beside it, the share of the workers' time in which they had nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._timing import Comparison, finish, parser_of
from mriseg.backends import select
from mriseg.events import Partly
from mriseg.executors.dask import quiet
from mriseg.io.readers.base import Case
from mriseg.recipes import case_work
from mriseg.recipes.case_work import Workers, case_workers
from mriseg.recipes.case_writing import CaseReport
from mriseg.recipes.pipeline import Outcome
from mriseg.recipes.scan_work import name_of
from mriseg.testing import phantoms

# Workers that one process simulates.
_TOGETHER = 100


def waited(seconds: float, case: Case) -> Partly[CaseReport]:
    """In the place of writing a case: a report such as `preprocess` gets, after a while."""
    yield 0.0
    time.sleep(seconds)
    return CaseReport(
        case.name,
        "written",
        modalities=case.modalities,
        labelled=True,
        shape=(155, 181, 132),
        patient=case.patient,
        labels={1: 30_000, 2: 60_000, 4: 20_000},
        voxels={"WT": 110_000},
    )


def counting(counts: dict[str, int]) -> None:
    """Count what this process reads and writes by Dask's sockets from now on."""
    from distributed.comm.tcp import TCP

    def counted(name: str, size: Callable[[Any], int]) -> None:
        method = getattr(TCP, name)

        async def wrapped(self: Any, *args: Any, **options: Any) -> Any:
            result = await method(self, *args, **options)
            counts[f"{name}s"] = counts.get(f"{name}s", 0) + 1
            counts[f"bytes by {name}"] = counts.get(f"bytes by {name}", 0) + size(result)
            return result

        setattr(TCP, name, wrapped)

    counted("write", lambda sent: sent if isinstance(sent, int) else 0)
    counted("read", lambda _: 0)


def schedule(pipe: Any) -> None:
    """A scheduler; answers each message with what it did so far."""
    import asyncio

    async def run() -> None:
        from distributed import Scheduler

        counts: dict[str, int] = {}
        counting(counts)
        async with Scheduler(host="127.0.0.1", port=0, dashboard_address=":0") as scheduler:
            pipe.send(scheduler.address)
            while True:
                while not pipe.poll():
                    await asyncio.sleep(0.02)
                if pipe.recv() == "end":
                    return
                used = resource.getrusage(resource.RUSAGE_SELF)
                pipe.send(
                    {
                        **counts,
                        "processor": used.ru_utime + used.ru_stime,
                        "memory": used.ru_maxrss / 1024,
                        "workers": len(scheduler.workers),
                    }
                )

    with quiet():
        asyncio.run(run())


def work(address: str, count: int, folder: str) -> None:
    """Simulated workers, until this process is ended."""
    import asyncio

    async def run() -> None:
        from distributed import Worker

        os.chdir(folder)
        for _ in range(count):
            await Worker(address, host="127.0.0.1", nthreads=1, dashboard=False)
        await asyncio.Event().wait()

    # A real worker is a process of its own and does one case at a time; here they share one.
    vars(case_work)["_AT_WORK"] = nullcontext()
    with quiet():
        asyncio.run(run())


@contextmanager
def simulated(workers: int, folder: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """A scheduler with that many workers: its address, and what asks it what it did so far."""
    context = multiprocessing.get_context("spawn")
    mine, others = context.Pipe()
    scheduler = context.Process(target=schedule, args=(others,), daemon=True)
    scheduler.start()
    address = mine.recv()

    def ask() -> dict[str, Any]:
        mine.send("how far")
        answer: dict[str, Any] = mine.recv()
        return answer

    shares = [min(_TOGETHER, workers - start) for start in range(0, workers, _TOGETHER)]
    processes = [
        context.Process(target=work, args=(address, share, str(folder)), daemon=True)
        for share in shares
    ]
    for process in processes:
        process.start()
    try:
        while ask()["workers"] < workers:
            time.sleep(0.2)
        yield address, ask
    finally:
        for process in processes:
            process.kill()
        mine.send("end")
        scheduler.join(10)
        scheduler.kill()


def measure(workers: int, cases: list[Case], seconds: float, folder: Path) -> dict[str, float]:
    """What it takes to have the cases done, by the name of the number."""
    with simulated(workers, folder) as (address, ask):
        where = Workers(f"dask:{address}", backend=None)
        with case_workers(where, len(cases)) as team:
            before, began, mine = ask(), time.perf_counter(), time.process_time()
            done = 0
            for step in team.each(partial(waited, seconds), cases, named=name_of):
                done += isinstance(step, Outcome)
            took, mine = time.perf_counter() - began, time.process_time() - mine
            after = ask()
    assert done == len(cases), done
    each = {name: (after[name] - before.get(name, 0)) / done for name in after}
    return {
        "messages read per case": each["reads"],
        "messages written per case": each["writes"],
        "kB written per case": each["bytes by write"] / 1000,
        "scheduler, processor ms per case": each["processor"] * 1000,
        "command, processor ms per case": mine / done * 1000,
        "scheduler, growth of its memory in kB per case": 1024 * each["memory"],
        "idle share of the workers' time": 1 - seconds * done / (workers * took),
        "cases per second": done / took,
    }


def main(arguments: list[str] | None = None) -> Comparison:
    """Measure, and show it."""
    import tempfile

    from mriseg.io import readers
    from mriseg.io.readers.base import ReaderOptions

    parser = parser_of(__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 400])
    parser.add_argument("--seconds", type=float, default=6.0, help="that a case takes a worker")
    parser.add_argument("--each", type=int, default=5, help="cases per worker")
    options = parser.parse_args(arguments)
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        phantoms.write_brats(folder / "scans", 1, shape=(8, 32, 32))
        _, listing = readers.find(folder / "scans", "auto", ReaderOptions())
        case = listing.cases[0]
        for workers in options.workers:
            result = measure(workers, [case] * (workers * options.each), options.seconds, folder)
            numbers |= {f"{workers} workers: {name}": value for name, value in result.items()}
    return finish("benchmarks.scheduler", select("cpu"), options, [], numbers)


if __name__ == "__main__":
    main()
