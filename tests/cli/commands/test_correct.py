"""`mriseg annotate` as typed, in a process of its own: it is stopped and killed, and goes on."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import Type

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")


class Session:
    """A session in a process, and its page."""

    def __init__(self, folder: Path, run: Path) -> None:
        command = f"{sys.executable} -m mriseg annotate brats --model {run} --who ann --no-browser"
        self.errors = folder / "stderr.txt"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                shlex.split(command),
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(Path.cwd()), "COLUMNS": "300"},
            )
        self.address = self._address()

    def _address(self) -> str:
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            if match := re.search(r"http://127\.0\.0\.1:\d+/\S+/", self.errors.read_text()):
                return match[0]
            time.sleep(0.1)
        raise AssertionError(self.errors.read_text())

    def ask(self, path: str, method: str = "GET", **headers: str) -> Any:
        parts = urlsplit(self.address)
        connection = http.client.HTTPConnection("127.0.0.1", parts.port or 0, timeout=60)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, f"{parts.path}{path}", headers=given)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer

    def predicted(self) -> list[dict[str, Any]]:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            rows: list[dict[str, Any]] = self.ask("api/queue")["cases"]
            if all(row["uncertainty"] is not None for row in rows):
                return rows
            time.sleep(0.2)
        raise AssertionError(self.errors.read_text())


@pytest.mark.slow
def test_a_session_is_killed_goes_on_and_is_ended(worked: Path, run: Path) -> None:
    first = Session(worked, run)
    rows = first.predicted()
    case = first.ask(f"api/cases/{rows[0]['id']}")
    address = f"api/cases/{case['id']}/mask?status=accepted"
    saved = first.ask(address, "PUT", If_Match=case["revision"])
    assert saved["status"] == "accepted" and saved["who"] == "ann"
    first.process.kill()
    first.process.wait(30)
    second = Session(worked, run)
    again = {row["name"]: row["status"] for row in second.ask("api/queue")["cases"]}
    assert again[case["name"]] == "accepted" and list(again.values()).count("open") == 2
    second.process.send_signal(signal.SIGINT)
    said, _ = second.process.communicate(timeout=60)
    assert second.process.returncode == 0, second.errors.read_text()
    assert "1 accepted" in said.decode() and "2 open" in said.decode()
    assert "same command continues" in said.decode()
    assert "Traceback" not in second.errors.read_text()


def test_what_cannot_be_is_said_at_once(worked: Path, run: Path, type_in: Type) -> None:
    inside = type_in(worked, f"mriseg annotate brats --model {run} --out brats/masks")
    assert inside.exit_code == 5 and "among the scans" in inside.stderr
    store = type_in(worked, f"mriseg annotate brats --model {run} --out out.zarr")
    assert store.exit_code == 5 and "store or a run" in store.stderr
    gone = type_in(worked, f"mriseg annotate nowhere --model {run}")
    assert gone.exit_code == 3
    assert not (worked / "brats-annotation").exists()


def test_improve_refuses_what_cannot_work_in_one_message(
    worked: Path, run: Path, type_in: Type
) -> None:
    nothing = type_in(worked, "mriseg improve --corrections nowhere")
    assert nothing.exit_code == 3
    assert "nowhere holds no correction: name the run to learn on from" in nothing.stderr
    few = type_in(worked, f"mriseg improve {run} --corrections nowhere")
    assert few.exit_code == 2 and "of 0 patients, and at least 4 are needed" in few.stderr
    assert not (worked / "nowhere").exists()
    assert type_in(worked, f"mriseg improve {run}").exit_code == 2
