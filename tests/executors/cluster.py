"""A Dask scheduler and workers as processes of their own, as a user starts them by hand."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

import mriseg

ROOT = Path(mriseg.__file__).parents[1]


class Cluster:
    """A scheduler and its workers, each with a nanny that starts it again.

    Args:
        folder: for their logs.
        port: of the scheduler; 0: any.
    """

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.folder, self.port = folder, port or _free_port()
        self.workers: list[subprocess.Popen[bytes]] = []
        self.start_scheduler()

    @property
    def address(self) -> str:
        """As ``--executor dask:ADDRESS`` takes it."""
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        """Start it, at the same address as before."""
        # On all interfaces, since a namespace knows it by another address.
        self.scheduler = self._start("scheduler", ["--port", str(self.port), "--no-dashboard"])
        _until(lambda: _answers("127.0.0.1", self.port))

    def start_worker(
        self,
        host: str = "127.0.0.1",
        *,
        scheduler: str | None = None,
        within: Sequence[str] = (),
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start a worker of one thread, and wait until the scheduler has it.

        Args:
            host: its own address.
            scheduler: the scheduler's, as it sees it.
            within: what stands before the command, such as ``ip netns exec NAME``.
            python: that runs it.
            env: variables beside those of this process.
        """
        before = self.count()
        options = [scheduler or self.address, "--host", host, "--nthreads", "1", "--no-dashboard"]
        options += ["--local-directory", str(self.folder)]
        self.workers.append(self._start("worker", options, within, python, env))
        _until(lambda: self.count() > before)

    def count(self) -> int:
        """How many workers the scheduler has."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            return len(client.scheduler_info()["workers"])

    def kill(self, number: int) -> bool:
        """SIGKILL a worker, which its nanny starts again; whether there was one to kill."""
        for child in _children(self.workers[number].pid):
            with suppress(psutil.NoSuchProcess, IndexError):
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    return True
        return False

    def kill_scheduler(self) -> None:
        """SIGKILL it."""
        self.scheduler.kill()
        self.scheduler.wait()

    def stop(self) -> None:
        """End all of it."""
        for process in (*self.workers, self.scheduler):
            for child in (*_children(process.pid), process):
                with suppress(psutil.NoSuchProcess, ProcessLookupError):
                    child.kill()
            process.wait()

    def _start(
        self,
        what: str,
        options: Sequence[str],
        within: Sequence[str] = (),
        python: str = sys.executable,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{what}-{len(self.workers)}-{time.time()}.log").open("wb")
        with log:
            return subprocess.Popen(
                [*within, python, "-m", f"distributed.cli.dask_{what}", *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                env={"PYTHONPATH": str(ROOT), **os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
            )


@contextmanager
def cluster(folder: Path, workers: Sequence[str] = ("127.0.0.1", "127.0.0.2")) -> Iterator[Cluster]:
    """A scheduler and workers at these addresses, until the block ends."""
    folder.mkdir(exist_ok=True)
    running = Cluster(folder)
    try:
        for host in workers:
            running.start_worker(host)
        yield running
    finally:
        running.stop()


@contextmanager
def namespaces(count: int) -> Iterator[list[tuple[str, str, str]]]:
    """Network namespaces, each joined to this one by a cable of its own.

    Yields:
        Of each its name, its address, and this side's address.

    Raises:
        OSError: the machine has no ``ip`` or does not allow it.
    """
    if shutil.which("ip") is None:
        raise OSError("there is no ip command (iproute2)")
    names = [f"mriseg{os.getpid()}x{number}" for number in range(count)]
    try:
        joined = []
        for number, name in enumerate(names):
            subnet = f"10.{200 + os.getpid() % 50}.{number}"
            end = f"v{os.getpid()}x{number}"
            _ip("netns", "add", name)
            _ip("link", "add", end, "type", "veth", "peer", "name", "cable", "netns", name)
            _ip("addr", "add", f"{subnet}.1/24", "dev", end)
            _ip("link", "set", end, "up")
            _ip("-n", name, "addr", "add", f"{subnet}.2/24", "dev", "cable")
            _ip("-n", name, "link", "set", "cable", "up")
            _ip("-n", name, "link", "set", "lo", "up")
            joined.append((name, f"{subnet}.2", f"{subnet}.1"))
        yield joined
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def _until(condition, seconds: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)
