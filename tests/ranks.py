"""Processes that train together, started as torchrun and srun start them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

MRISEG = ("-m", "mriseg")


def environment(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun sets for one of several processes."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def each(
    folder: Path, *words: Sequence[str], seconds: float = 120
) -> list[subprocess.CompletedProcess[str]]:
    """A Python for each of ``words``, all ranks of one training, as under plain srun."""
    port, world = free_port(), len(words)
    going = [
        subprocess.Popen(
            [sys.executable, *own],
            cwd=folder,
            env={**os.environ, **environment(rank, world, port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, own in enumerate(words)
    ]
    try:
        ends = [process.communicate(timeout=seconds) for process in going]
    finally:
        for process in going:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.returncode, *end)
        for process, end in zip(going, ends, strict=True)
    ]


class Torchrun:
    """``torchrun --nproc-per-node world -m mriseg line``, in a session of its own."""

    def __init__(self, folder: Path, world: int, line: str) -> None:
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        started = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world))
        self.process = subprocess.Popen(
            [sys.executable, *started, *MRISEG, *line.split()],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    @property
    def stderr(self) -> str:
        """What all of it said so far."""
        return Path(f"/dev/fd/{self._stderr.fileno()}").read_text(encoding="utf-8")

    @property
    def said(self) -> list[str]:
        """The lines that mriseg said, of whichever rank: without torchrun's own report."""
        marks = ("error: ", "stopped: ", "epoch ", "train ", "resuming ", "run ")
        return [line for line in self.stderr.splitlines() if line.startswith(marks)]

    def end(self, seconds: float = 300) -> int:
        """Wait until it ends; its exit code."""
        try:
            return self.process.wait(timeout=seconds)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


def torchrun(folder: Path, world: int, line: str, seconds: float = 300) -> Torchrun:
    """One that has ended."""
    run = Torchrun(folder, world, line)
    run.end(seconds)
    return run
