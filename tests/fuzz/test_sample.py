"""A sample of the campaign (`python -m tests.fuzz`), the same inputs each time."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest

from mriseg.errors import InputError
from tests.fuzz.box import boxed
from tests.fuzz.campaign import campaign, one, shares
from tests.fuzz.judge import judged
from tests.fuzz.seeds import Seeds
from tests.fuzz.targets import TARGETS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs pipes and alarms of POSIX")

SEED = 20151102
COUNT = {
    "nifti": 100,
    "containers": 100,
    "settings": 60,
    "folder": 25,
    "run": 25,
    "store": 25,
    "weights": 20,
}


@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_ends_in_a_message_or_is_good(name: str, seeds: Seeds, tmp_path: Path) -> None:
    bad = {}
    for number in range(COUNT.get(name, 15)):
        with warnings.catch_warnings(action="ignore"):
            verdict = one(name, number, SEED, seeds, tmp_path)
        if not verdict.good:
            bad[number] = f"{verdict.outcome}: {verdict.detail}"
    assert not bad, f"python -m tests.fuzz --seed {SEED} --only {name} --number N"


@pytest.mark.parametrize("name", TARGETS)
def test_a_command_ends_in_a_message_and_a_code(name: str, seeds: Seeds, tmp_path: Path) -> None:
    bad = {}
    for number in range(3):
        with warnings.catch_warnings(action="ignore"):
            verdict = one(name, number, SEED, seeds, tmp_path, typed=True)
        if not verdict.good:
            bad[number] = f"{verdict.outcome}: {verdict.detail}"
    assert not bad, f"python -m tests.fuzz --typed --seed {SEED} --only {name} --number N"


def _fail() -> None:
    raise KeyError("nobody raised this on purpose")


def _refuse() -> None:
    raise InputError("it is broken")


def test_the_judge_sees_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.judge.SECONDS", 0.2)
    monkeypatch.setattr("tests.fuzz.judge.MEMORY", 2**24)

    def spin() -> None:
        while True:
            pass

    def take() -> None:
        bytearray(2**26)

    def mute() -> None:
        raise InputError(" ")

    with boxed(tmp_path) as box:

        def plant() -> None:
            (box.outside / "planted").touch()

        assert judged(_refuse, box).outcome == "refused"
        assert judged(lambda: None, box).outcome == "accepted"
        assert judged(_fail, box).outcome == "traceback"
        assert judged(spin, box).outcome == "hang"
        assert judged(mute, box).outcome == "message"
        assert judged(plant, box).outcome == "outside"
        if sys.platform == "linux":
            assert judged(take, box).outcome == "memory"


def test_shares_are_of_all_inputs() -> None:
    assert sum(shares(10_000, list(TARGETS)).values()) == 10_000
    assert min(shares(20, list(TARGETS)).values()) >= 1


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_ten_thousand(name: str, seeds: Seeds) -> None:
    tally = campaign(name, shares(10_000, list(TARGETS))[name], 1, seeds)
    assert not tally.defects


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_some_hundreds_of_commands(name: str, seeds: Seeds) -> None:
    tally = campaign(name, shares(400, list(TARGETS))[name], 1, seeds, typed=True)
    assert not tally.defects
