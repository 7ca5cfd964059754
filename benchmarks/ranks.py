"""How well a training scales: two processes of one thread each against one process of two.

Both take the same training steps on the same batch, which is there: network, loss, gradients, their
sum, AdamW. The processes talk by Gloo, as they do under ``torchrun --nproc-per-node 2``. With as
many cores as threads, two processes can at best be as fast as one; what they lose is what it costs
to be two. Beside it is one process of one thread, which shows what a second thread gains.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import torch

from benchmarks._processes import Actions, Process
from benchmarks._timing import Comparison, Contender, finish, interleaved, parser_of
from mriseg.backends import launch, select
from mriseg.engine.workloads import BenchConfig, training

# rank, processes, port, threads of each
Place = tuple[int, int, int, int]


def make(config: BenchConfig, precision: str, steps: int, place: Place) -> Actions:
    """A process of a training; its one action takes some steps, and gives their seconds."""
    rank, world, port, threads = place
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(world),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        OMP_NUM_THREADS=str(threads),
    )
    torch.set_num_threads(threads)
    ranks = launch.ranks()
    backend = launch.together(select("cpu", precision=precision), ranks)
    running = ExitStack()
    running.enter_context(backend.running())
    step = training(backend, config)

    def some_steps() -> float:
        step()
        ranks.gather(0)
        began = time.perf_counter()
        for _ in range(steps):
            step()
        ranks.gather(0)
        return (time.perf_counter() - began) / steps

    return {"steps": some_steps}


def at_once(processes: Sequence[Process]) -> float:
    """The steps of one training in all of its processes; the seconds of the slowest."""
    with ThreadPoolExecutor(len(processes)) as pool:
        return max(pool.map(lambda process: process("steps"), processes))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=5)
    parser.add_argument("--widths", default="16,64", help="of the network, with commas")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--size", type=int, default=240, help="of a side of a slice")
    parser.add_argument("--steps", type=int, default=2, help="timed at once")
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args(arguments)

    groups, numbers = [], {}
    for width in map(int, options.widths.split(",")):
        config = BenchConfig(
            width=width, batch_size=options.batch_size, size=(options.size, options.size)
        )
        port = free_port()
        places: dict[str, list[Place]] = {
            "one process of 2 threads": [(0, 1, port, 2)],
            "two processes of 1 thread": [(0, 2, port, 1), (1, 2, port, 1)],
            "one process of 1 thread": [(0, 1, port, 1)],
        }
        with ExitStack() as stack:
            contenders: dict[str, Contender] = {}
            for name, each in places.items():
                given = (config, options.precision, options.steps)
                going = [stack.enter_context(Process(make, *given, place)) for place in each]
                contenders[name] = partial(at_once, going)
            group = interleaved(
                f"a training step of width {width}",
                contenders,
                base="one process of 2 threads",
                rounds=options.rounds,
            )
        groups.append(group)
        for row in group.rows:
            speed = options.batch_size / row.seconds.median
            numbers[f"width {width}, {row.name}: images per second"] = speed
    backend = select("cpu", precision=options.precision)
    return finish("benchmarks.ranks", backend, options, groups, numbers)


if __name__ == "__main__":
    main()
