"""An S3 server of its own on this machine, and what goes wrong with such servers.

moto's server, on a free port of 127.0.0.1, behind a layer that delays, refuses, cuts off and
forgets. `serving` runs it in a thread; ``python -m tests.s3 LATENCY`` as a process of its own, that
prints its address and ends with its standard input.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

BUCKET = "scans"
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    # No file of the user's, and no machine that might tell of rights.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass
class Faults:
    """What goes wrong from now on.

    Attributes:
        latency: seconds before each answer.
        slow_down: share of the requests that are answered with 503 SlowDown.
        broken: share with 500.
        reset: share whose connection is reset.
        cut: share of the answers with a body of which the second half is missing.
        vanished: parts of keys that are said not to exist, and how many times more.
        stale: how many more listings show what the one before them had shown.
        status: answer all with that status; 0: do not.
        seed: of the shares.
        requests: method and kind of each request -> how many there were.
    """

    latency: float = 0.0
    slow_down: float = 0.0
    broken: float = 0.0
    reset: float = 0.0
    cut: float = 0.0
    vanished: dict[str, int] = field(default_factory=dict)
    stale: int = 0
    status: int = 0
    seed: int = 0
    requests: Counter[str] = field(default_factory=Counter)


_CODES = {403: "AccessDenied", 500: "InternalError", 503: "SlowDown", 404: "NoSuchKey"}


class Faulty:
    """moto's server behind a `Faults`."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app, self.faults = app, Faults()
        self._lock = threading.Lock()
        self._random = random.Random(0)
        self._listings: dict[str, tuple[str, list[Any], bytes]] = {}

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        faults, path, query = self.faults, environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        listing = "list-type" in query
        with self._lock:
            faults.requests["LIST" if listing else environ["REQUEST_METHOD"]] += 1
            chance = self._random.random()
            gone = next((key for key in faults.vanished if key in path), None)
            if gone is not None:
                faults.vanished[gone] -= 1
                if not faults.vanished[gone]:
                    del faults.vanished[gone]
        if faults.latency:
            time.sleep(faults.latency)
        if faults.status:
            return _refused(start, faults.status, environ)
        if gone is not None:
            return _refused(start, 404, environ)
        for share, status in ((faults.slow_down, 503), (faults.broken, 500), (faults.reset, 0)):
            if chance < share:
                if status:
                    return _refused(start, status, environ)
                _reset(environ)
            chance -= share
        answer: list[Any] = []

        def keep(status: str, headers: list[Any], *_: Any) -> None:
            answer[:] = [status, headers]

        body = b"".join(self.app(environ, keep))
        if listing:
            answer[0], answer[1], body = self._listed(f"{path}?{query}", (*answer, body))
        start(answer[0], answer[1])
        if environ["REQUEST_METHOD"] == "GET" and body and not listing and chance < faults.cut:
            return _cut(environ, body)
        return [body]

    def _listed(self, asked: str, answer: Any) -> Any:
        with self._lock:
            if self.faults.stale and asked in self._listings:
                self.faults.stale -= 1
                return self._listings[asked]
            self._listings[asked] = answer
            return answer


def _refused(start: Callable[..., Any], status: int, environ: dict[str, Any]) -> list[bytes]:
    code = _CODES.get(status, "Error")
    body = f"<Error><Code>{code}</Code><Message>{code} by the test</Message></Error>".encode()
    start(f"{status} {code}", [("Content-Type", "application/xml")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _reset(environ: dict[str, Any]) -> None:
    with suppress(OSError):
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _cut(environ: dict[str, Any], body: bytes) -> Iterator[bytes]:
    yield body[: len(body) // 2]
    _reset(environ)


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        url: of its bucket.
        faulty: what goes wrong with it.
        environment: what a process needs to reach it.
    """

    url: str
    faulty: Faulty
    environment: dict[str, str]

    @property
    def faults(self) -> Faults:
        """What goes wrong now."""
        return self.faulty.faults

    def now(self, **faults: Any) -> Faults:
        """From now on that goes wrong, and nothing else."""
        self.faulty.faults = Faults(**faults)
        self.faulty._random.seed(self.faulty.faults.seed)
        return self.faulty.faults


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a thread, with an empty bucket; this process's environment leads to it."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    faulty = Faulty(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, faulty, threaded=True, request_handler=Handler)
    server.daemon_threads = True  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    environment = {**KEYS, "AWS_ENDPOINT_URL": endpoint}
    try:
        with mock.patch.dict(os.environ, environment):
            _make_bucket(endpoint)
            yield Server(f"s3://{BUCKET}", faulty, environment)
    finally:
        server.shutdown()
        thread.join()


def _make_bucket(endpoint: str) -> None:
    import boto3

    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)


@contextmanager
def serving_apart(latency: float) -> Iterator[dict[str, str]]:
    """A server in a process of its own; gives what the environment needs to reach it."""
    root = Path(__file__).resolve().parent.parent
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.s3", str(latency)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=root,
    )
    try:
        assert process.stdout is not None
        environment = {**KEYS, "AWS_ENDPOINT_URL": process.stdout.readline().strip()}
        with mock.patch.dict(os.environ, environment):
            yield environment
    finally:
        process.communicate()


if __name__ == "__main__":
    with serving() as running:
        running.now(latency=float(sys.argv[1]))
        print(running.environment["AWS_ENDPOINT_URL"], flush=True)
        sys.stdin.read()
