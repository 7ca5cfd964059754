"""What the page says of learning from corrections, before, while and after."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from mriseg.annotation.improving import Improving
from mriseg.annotation.refusals import RefusedError
from mriseg.events import Advanced, Began, Recipe


@dataclass
class Report:
    old: Path
    new: Path
    verdict: str
    better: bool
    page: Path


REPORT = Report(Path("runs/a"), Path("runs/b"), "better on all six", True, Path("report.html"))


def wait_for(improving: Improving, state: str) -> None:
    until = time.monotonic() + 10
    while improving.state()["state"] != state:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_it_begins_only_with_enough_patients_and_once() -> None:
    gate, count = threading.Event(), [1]

    def learn() -> Recipe[Report]:
        yield Began("train", 10, "epoch")
        yield Advanced("train", 4, left=12.0)
        gate.wait(10)
        return REPORT

    improving = Improving(learn, lambda: count[0], needed=2)
    with pytest.raises(RefusedError, match="1 patient corrected, and it takes 2"):
        improving.start()
    count[0] = 2
    improving.start()
    with pytest.raises(RefusedError, match="already"):
        improving.start()
    until = time.monotonic() + 10
    while improving.state()["done"] != 4 and time.monotonic() < until:
        time.sleep(0.01)
    now = improving.state()
    assert (now["state"], now["stage"], now["total"]) == ("running", "train", 10)
    assert now["seconds_left"] == 12.0 and now["page"] is None and now["corrected"] == 2
    gate.set()
    wait_for(improving, "done")
    done = improving.state()
    assert done["better"] is True and done["verdict"] == "better on all six"
    assert (done["old"], done["new"], done["page"]) == ("runs/a", "runs/b", "api/improve/page")
    assert improving.page() == REPORT.page


def test_it_can_be_stopped() -> None:
    gate = threading.Event()

    def learn() -> Recipe[Report]:
        for number in range(1000):
            yield Advanced("train", number)
            gate.wait(0.01)
        return REPORT

    improving = Improving(learn, lambda: 9, needed=1)
    improving.start()
    improving.cancel()
    wait_for(improving, "cancelled")
    assert improving.state()["verdict"] == "" and improving.page() is None


def test_where_nothing_can_learn_it_says_so() -> None:
    improving = Improving(None, lambda: 9)
    assert "cannot learn" in improving.state()["message"]
    with pytest.raises(RefusedError, match="cannot learn"):
        improving.start()
