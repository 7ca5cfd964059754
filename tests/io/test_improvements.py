"""The record of rounds goes through its file, says which model is in use, and cannot be edited."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io.improvements import (
    CHAIN,
    Chain,
    Plan,
    Round,
    read_chain,
    read_plan,
    update_chain,
    write_plan,
)
from mriseg.io.predictions import ModelName

PLAN = Plan(ModelName("base", "d" * 64), {"a": "1" * 64}, {"epochs": 3})
ROUND = Round(
    old=ModelName("base", "d" * 64),
    new=ModelName("runs/one", "e" * 64),
    learnt=("a", "b"),
    held_out=("c",),
    better=False,
    verdict="too few to say",
    when="2026-11-30T12:00:00+00:00",
)


def test_a_plan_goes_through_its_file_and_names_what_differs(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    write_plan(tmp_path / "new", PLAN)
    assert read_plan(tmp_path / "new") == PLAN
    assert PLAN.differences(PLAN) == []
    other = replace(PLAN, masks={"a": "2" * 64}, config={})
    assert PLAN.differences(other) == ["corrections", "settings"]


def test_the_model_in_use_is_the_latest_that_was_better(tmp_path: Path) -> None:
    assert read_chain(tmp_path) == Chain() and Chain().in_use is None
    update_chain(tmp_path, lambda chain: chain.with_round(ROUND))
    assert read_chain(tmp_path).in_use is None
    better = replace(ROUND, new=ModelName("runs/two", "f" * 64), better=True, learnt=("d",))
    update_chain(tmp_path, lambda chain: chain.with_round(better))
    worse = replace(ROUND, new=ModelName("runs/three", "0" * 64))
    chain = update_chain(tmp_path, lambda chain: chain.with_round(worse))
    assert chain == read_chain(tmp_path) and len(chain.rounds) == 3
    assert chain.in_use == better.new and chain.learnt == {"a", "b", "d"}
    # The same round again, since it was stopped while its page was written.
    assert chain.with_round(worse) == chain


def test_an_edited_record_is_refused(tmp_path: Path) -> None:
    update_chain(tmp_path, lambda chain: chain.with_round(ROUND))
    path = tmp_path / CHAIN
    path.write_text(path.read_text().replace('"better": false', '"better": true'))
    with pytest.raises(InputError, match="not what was written.*which model is in use"):
        read_chain(tmp_path)
    before = path.read_bytes()
    with pytest.raises(InputError):
        update_chain(tmp_path, lambda chain: chain.with_round(ROUND))
    assert path.read_bytes() == before
    path.write_text("[]")
    with pytest.raises(InputError, match="cannot be used"):
        read_chain(tmp_path)
