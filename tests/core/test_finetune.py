"""Phases cover a training without a gap, rates stay under their peaks, deep blocks move less."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mriseg.core.config import TransferConfig, parse
from mriseg.core.finetune import (
    Phase,
    at,
    described,
    factor,
    parameter_groups,
    phases,
    pull_to_start,
    rate,
)
from mriseg.core.ops import PURE
from mriseg.core.segnet import (
    BLOCKS,
    DECODER,
    ENCODER,
    HEAD,
    SegNet,
    SegNetConfig,
    block_of,
    build,
    freeze_,
    init_weights_,
)
from mriseg.core.steps import learning_rate
from mriseg.core.transfer import frozen_blocks
from mriseg.errors import ConfigError

OPEN = ("none", "encoder", *(f"encoder:{k}" for k in range(1, 6)))
CLOSED = ("all-but-head", "all-but-first")

configs = st.one_of(
    st.builds(
        TransferConfig,
        freeze=st.sampled_from(OPEN),
        schedule=st.sampled_from(["direct", "lp-ft", "gradual"]),
    ),
    st.builds(
        TransferConfig,
        transfer_part=st.just("encoder"),
        freeze=st.sampled_from(OPEN),
        schedule=st.sampled_from(["direct", "gradual"]),
    ),
    st.builds(
        TransferConfig,
        transfer_part=st.just("encoder"),
        freeze=st.sampled_from(["none", "encoder:1", "encoder:4"]),
        schedule=st.just("lp-ft"),
    ),
    st.builds(TransferConfig, freeze=st.sampled_from(CLOSED)),
)
shares = st.floats(0, 1)


def a_config(freeze: str = "none", schedule: Any = "direct", **values: Any) -> TransferConfig:
    return TransferConfig(freeze=freeze, schedule=schedule, **values)


def a_model() -> SegNet:
    config = SegNetConfig(in_channels=1, classes=1, width=8)
    return init_weights_(build(config, PURE), torch.Generator().manual_seed(0))


@given(configs)
def test_phases_follow_one_another_to_the_end(config: TransferConfig) -> None:
    schedule = phases(config)
    ends = [phase.until for phase in schedule]
    assert ends == sorted(set(ends)) and ends[0] > 0 and ends[-1] == 1
    assert schedule[-1].frozen == frozen_blocks(config.freeze)


@given(configs)
def test_blocks_once_unfrozen_stay_unfrozen(config: TransferConfig) -> None:
    schedule = phases(config)
    for before, after in itertools.pairwise(schedule):
        assert set(after.frozen) < set(before.frozen)
    for phase in schedule:
        assert set(phase.frozen) >= set(frozen_blocks(config.freeze))
        assert set(phase.frozen) < set(BLOCKS)
        assert list(phase.frozen) == [s for s in BLOCKS if s in phase.frozen]


@given(configs, shares)
def test_every_point_of_a_training_has_one_phase(config: TransferConfig, progress: float) -> None:
    schedule = phases(config)
    phase = at(schedule, progress)
    index = schedule.index(phase)
    begin = schedule[index - 1].until if index else 0.0
    assert begin <= progress < phase.until or progress == phase.until == 1
    assert at(schedule, 1.5) is schedule[-1]
    # A cycle contains its phases.
    assert phase.cycle[0] <= begin and phase.until <= phase.cycle[1]


@given(configs, shares, st.floats(1e-6, 1), st.floats(0, 0.9))
def test_rates_lie_between_zero_and_the_peak(
    config: TransferConfig, progress: float, peak: float, warmup: float
) -> None:
    schedule = phases(config)
    lr = rate(schedule, progress, peak, warmup)
    assert 0 <= lr <= peak * at(schedule, progress).peak


@given(st.sampled_from(["direct", "gradual"]), shares, st.floats(0, 0.9))
def test_one_cycle_is_the_rate_of_any_training(
    schedule: str, progress: float, warmup: float
) -> None:
    plain = learning_rate(progress, 1e-3, warmup)
    assert rate(phases(a_config(schedule=schedule)), progress, 1e-3, warmup) == plain
    assert rate(phases(None), progress, 1e-3, warmup) == plain


def test_no_transfer_freezes_nothing() -> None:
    assert phases(None) == (Phase(1.0, ()),)


def test_lp_ft_trains_the_head_and_then_the_rest_at_lower_rates() -> None:
    head, rest = phases(a_config("encoder:2", "lp-ft"))
    assert set(BLOCKS) - set(head.frozen) == {HEAD}
    assert rest.frozen == ENCODER[:2]
    schedule = (head, rest)
    last = rate(schedule, head.until - 1e-9, 1e-3, 0.1)
    assert last == pytest.approx(0, abs=1e-8)
    # The second phase warms up again, to a peak of its own.
    assert rate(schedule, head.until, 1e-3, 0.1) < 0.1e-3
    top = head.until + 0.1 * (1 - head.until)
    assert rate(schedule, top, 1e-3, 0.1) == pytest.approx(1e-3 * rest.peak) and rest.peak < 1


def test_lp_ft_of_an_encoder_trains_its_new_decoder_first() -> None:
    first, last = phases(TransferConfig(transfer_part="encoder", freeze="none", schedule="lp-ft"))
    assert first.frozen == ENCODER and last.frozen == ()


@pytest.mark.parametrize("freeze", ["encoder", "encoder:5"])
def test_a_frozen_encoder_leaves_nothing_to_train_second(freeze: str) -> None:
    with pytest.raises(ConfigError, match="nothing for schedule = 'lp-ft'"):
        parse(TransferConfig, {"transfer_part": "encoder", "freeze": freeze, "schedule": "lp-ft"})


@pytest.mark.parametrize("freeze", ["all-but-head", "all-but-first"])
def test_a_new_decoder_cannot_stay_untrained(freeze: str) -> None:
    with pytest.raises(ConfigError, match="would never train the decoder"):
        parse(TransferConfig, {"transfer_part": "encoder", "freeze": freeze})


def test_gradual_unfreezes_one_stage_at_a_time_from_the_head_down() -> None:
    schedule = phases(a_config("none", "gradual"))
    assert len(schedule) == len(BLOCKS)
    order = [HEAD]
    for before, after in itertools.pairwise(schedule):
        order += set(before.frozen) - set(after.frozen)
    assert tuple(order) == BLOCKS[::-1]
    assert schedule[-2].until == pytest.approx(0.5, abs=0.06)
    # Blocks that never train get no phase.
    assert len(phases(a_config("encoder", "gradual"))) == len(DECODER) + 1


@pytest.mark.parametrize("freeze", CLOSED)
@pytest.mark.parametrize("schedule", ["lp-ft", "gradual"])
def test_one_block_cannot_be_put_in_order(freeze: str, schedule: str) -> None:
    with pytest.raises(ValueError, match="lets one (block|stage) train"):
        a_config(freeze, schedule)


@given(st.floats(0.01, 1))
def test_the_factor_falls_from_the_head_down(layer_decay: float) -> None:
    factors = [factor(block, layer_decay) for block in BLOCKS]
    assert factors[-1] == 1 and factors == sorted(factors)
    for deep, shallow in itertools.pairwise(factors):
        assert deep == pytest.approx(shallow * layer_decay)
    assert {factor(block, 1.0) for block in BLOCKS} == {1.0}


@settings(max_examples=10, deadline=None)
@given(
    st.sampled_from((*OPEN, *CLOSED)),
    st.sampled_from([1.0, 0.5]),
    st.sets(st.sampled_from([name for name, _ in a_model().named_parameters()])),
)
def test_each_parameter_that_trains_is_in_one_group(
    policy: str, layer_decay: float, anchored: set[str]
) -> None:
    model = freeze_(a_model(), frozen_blocks(policy))
    start = {name: torch.zeros(()) for name in anchored}
    groups = parameter_groups(model, weight_decay=0.1, layer_decay=layer_decay, anchored=start)
    group_of = {id(p): group for group in groups for p in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(group_of)
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            assert id(parameter) not in group_of
            continue
        group = group_of[id(parameter)]
        assert group["factor"] == factor(block_of(name), layer_decay)
        decays = parameter.ndim > 1 and name not in anchored
        assert group["weight_decay"] == (0.1 if decays else 0.0)
    if layer_decay == 1:
        # Each group costs a round of kernel launches.
        assert len(groups) <= 2


def optimiser_of(model: SegNet, start: dict[str, Tensor]) -> torch.optim.AdamW:
    groups = parameter_groups(model, weight_decay=0, layer_decay=1, anchored=start)
    return torch.optim.AdamW(groups, lr=0.1)


def test_a_step_pulls_to_the_start_by_rate_times_strength() -> None:
    model = a_model()
    start = {name: p.detach() + 1 for name, p in model.named_parameters() if "encoder" in name}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimiser = optimiser_of(model, start)
    pull_to_start(optimiser, model, start, strength=2.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    for name, parameter in model.named_parameters():
        # The start is 1 away: a step of 0.1 * 2, and none for parameters without a start.
        moved = 0.2 if name in start else 0.0
        torch.testing.assert_close(parameter.detach(), before[name] + moved)


def test_without_a_gradient_there_is_no_pull_and_no_step_overshoots_the_start() -> None:
    model = freeze_(a_model(), ENCODER)
    start = {name: p.detach() + 1 for name, p in model.named_parameters()}
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    freeze_(model, ())
    optimiser = optimiser_of(model, start)
    freeze_(model, ENCODER)
    pull_to_start(optimiser, model, start, strength=1e6)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimiser.step()
    for name, parameter in model.named_parameters():
        expected = before[name] if name.startswith("encoder.") else start[name]
        torch.testing.assert_close(parameter.detach(), expected, rtol=0, atol=1e-6)


def test_the_description_omits_what_is_off() -> None:
    assert described(a_config("encoder", "direct")) == "trains all but the encoder"
    full = a_config("none", "lp-ft", layer_decay=0.8, l2_sp=2, adapt_norm=True)
    for part in ("trains all layers", "LP-FT", "0.8", "L2-SP 2", "batch-norm"):
        assert part in described(full)
