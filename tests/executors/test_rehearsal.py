"""The items that workers are tried with do what they say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mriseg.errors import CaseError
from mriseg.executors import rehearsal


def test_they_do_what_they_say(tmp_path: Path) -> None:
    assert rehearsal.doubled(3) == 6 and rehearsal.where(None) == os.getpid()
    with pytest.raises(CaseError):
        rehearsal.refused(1)
    assert Path(rehearsal.leaves_a_file(str(tmp_path / "file"))).exists()
    assert rehearsal.kills_its_worker("small") == "small"


def test_one_kills_its_process_once(tmp_path: Path) -> None:
    code = (
        "from mriseg.executors.rehearsal import kills_its_worker_once as k;"
        f"print(k({str(tmp_path / 'mark')!r}))"
    )
    codes = [subprocess.run([sys.executable, "-c", code], check=False).returncode for _ in "ab"]
    assert codes[0] != 0 and codes[1] == 0


def test_they_load_no_torch() -> None:
    code = "import sys, mriseg.executors.rehearsal; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
