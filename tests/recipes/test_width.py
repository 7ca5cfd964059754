"""The width of a training that nobody chose: the widest that ends in time on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg import api
from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.engine.capacity import Memory, Pace, Workload
from mriseg.events import Event, Notice, finish
from mriseg.io.runs import open_run
from mriseg.io.store import Store
from mriseg.recipes import width
from mriseg.recipes.setup import Setup, plan_training
from mriseg.recipes.width import WAIT, WIDTHS, Timed, chosen_of, seconds_of, with_width

SECONDS = st.one_of(st.none(), st.floats(0.1, 1e6))


@given(st.tuples(SECONDS, SECONDS, SECONDS), st.floats(1, 1e5))
def test_the_widest_in_time_is_chosen_and_the_narrowest_where_none_is(
    seconds: tuple[float | None, ...], limit: float
) -> None:
    timed = [Timed(each, second) for each, second in zip(WIDTHS, seconds, strict=True)]
    chosen = chosen_of(timed, limit)
    in_time = [each.width for each in timed if each.seconds is not None and each.seconds <= limit]
    assert chosen in timed
    assert chosen.width == (max(in_time) if in_time else min(WIDTHS))


def choose(
    monkeypatch: pytest.MonkeyPatch, setup: Setup, cpu: Backend, steps: Mapping[int, float | None]
) -> tuple[int | None, list[str]]:
    """The width that is chosen, and what is said, where a step of each width takes so long."""

    def measured(backend: Backend, work: Workload, free: Any, **_: Any) -> tuple[Memory, Pace]:
        step = steps[work.width]
        if step is None:
            raise RuntimeError("out of memory")
        return Memory(None, 1, 1, 1.0, None), Pace(step, 1, 1, step)

    monkeypatch.setattr(width, "measure", measured)
    said: list[Event] = []
    config = finish(with_width(setup, cpu), said.append).config
    return config.width, [event.text for event in said if isinstance(event, Notice)]


def test_it_says_what_it_takes_and_what_the_papers_width_would(
    monkeypatch: pytest.MonkeyPatch, brats_store: Store, cpu: Backend
) -> None:
    setup = plan_training(brats_store, TrainConfig(epochs=10))
    once = seconds_of(setup, 1.0)
    steps = {64: 10 * WAIT / once, 32: 2 * WAIT / once, 16: 0.5 * WAIT / once}
    chosen, said = choose(monkeypatch, setup, cpu, steps)
    assert chosen == 16
    work = f"10 epochs of {len(setup.plan(0))} step"
    assert said[-1].startswith(f"width 16: about 60 min for {work}")
    assert said[-1].endswith("on this machine; the paper's 64 (--width 64) would take about 20 h")
    # As wide as there is time for.
    assert choose(monkeypatch, setup, cpu, {**steps, 32: 0.9 * WAIT / once})[0] == 32
    chosen, said = choose(monkeypatch, setup, cpu, dict.fromkeys(WIDTHS, 0.01))
    assert chosen == 64 and said[-1].endswith("on this machine")
    # A wider one than the memory holds is never tried, and too long is said to be.
    chosen, said = choose(monkeypatch, setup, cpu, {64: None, 32: None, 16: 3 * WAIT / once})
    assert chosen == 16 and "more than the 2 h that it should take" in said[-1]
    assert said[-1].endswith("(--width 64) does not fit into its memory")
    assert (
        "not even its batch fits" in choose(monkeypatch, setup, cpu, dict.fromkeys(WIDTHS))[1][-1]
    )


def test_a_budget_is_what_has_to_be_enough(
    monkeypatch: pytest.MonkeyPatch, brats_store: Store, cpu: Backend
) -> None:
    setup = plan_training(brats_store, TrainConfig(budget=60.0))
    once = seconds_of(setup, 1.0)
    steps = {64: 61 / once, 32: 59 / once, 16: 1 / once}
    assert choose(monkeypatch, setup, cpu, steps)[0] == 32
    said = choose(monkeypatch, setup, cpu, dict.fromkeys(WIDTHS, 2 * 60.0 / once))[1]
    assert said[-1].startswith("width 16: about 2 min for 50 epochs of ")
    assert "on this machine, and the budget ends it after 60 s" in said[-1]


def test_a_width_that_was_given_is_kept_and_nothing_is_timed(
    monkeypatch: pytest.MonkeyPatch, brats_store: Store, cpu: Backend
) -> None:
    given_width = plan_training(brats_store, TrainConfig(width=8))
    assert choose(monkeypatch, given_width, cpu, {}) == (8, [])
    pretrained = plan_training(brats_store, TrainConfig(encoder_weights="vgg.pth"))
    assert choose(monkeypatch, pretrained, cpu, {}) == (64, [])


def test_more_work_takes_longer(brats_store: Store) -> None:
    base = {"epochs": 10, "validate_every": 2, "low_res_share": 0.0}
    once = seconds_of(plan_training(brats_store, TrainConfig(**base)), 1.0)
    for more in ({"epochs": 20}, {"validate_every": 1}, {"slices_per_epoch": 5000}):
        assert seconds_of(plan_training(brats_store, TrainConfig(**{**base, **more})), 1.0) > once
    assert seconds_of(plan_training(brats_store, TrainConfig(**base)), 2.0) == 2 * once


def test_a_training_without_a_width_measures_and_goes_on_with_what_it_chose(
    monkeypatch: pytest.MonkeyPatch, brats_store: Store, cpu: Backend, tmp_path: Path
) -> None:
    monkeypatch.setattr(width, "WIDTHS", (16, 8))  # quick ones
    config = TrainConfig(epochs=1, slices_per_epoch=4, batch_size=2, norm_batches=0)
    said: list[Event] = []
    out = tmp_path / "run"
    api.train(brats_store, config, backend=cpu, out=out, on_event=said.append)
    chosen = open_run(out).manifest
    assert chosen.config["width"] == chosen.model["width"] and chosen.model["width"] in (16, 8)
    texts = [event.text for event in said if isinstance(event, Notice)]
    assert any(text.startswith(f"width {chosen.model['width']}: about ") for text in texts)
    # The same call, as a cluster repeats it: the width is the run's.
    again: list[Event] = []
    api.train(brats_store, config, backend=cpu, out=out, resume=True, on_event=again.append)
    assert any("has ended" in event.text for event in again if isinstance(event, Notice))
