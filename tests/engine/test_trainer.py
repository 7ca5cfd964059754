"""A trainer computes the same in one run as in two, and knows nothing of files or time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from mriseg.backends import Backend
from mriseg.core import rng
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.engine.trainer import Pair, Trainer, adamw, optimiser_tensors, restore_optimiser

FRAME = (128, 128)


def a_network(memory_format: torch.memory_format = torch.contiguous_format) -> SegNet:
    config = SegNetConfig(in_channels=1, classes=2, width=8)
    model = init_weights_(build(config, PURE), torch.Generator().manual_seed(0))
    return model.to(memory_format=memory_format)  # type: ignore[call-overload,no-any-return]


def a_trainer(backend: Backend, **settings: Any) -> Trainer:
    config = TrainConfig(width=8, learning_rate=1e-2, **{"low_res_share": 0.0, **settings})
    weight = torch.full((2, 1, 1), 2.0)
    return Trainer(a_network(), backend, config, pos_weight=weight, frame=FRAME)


def batches(count: int, size: tuple[int, int] = (64, 64)) -> Iterator[Pair]:
    for step in range(count):
        generator = rng.generator(0, "test", step)
        image = torch.randn((2, 1, *size), generator=generator)
        yield image, (torch.randn((2, 2, *size), generator=generator) > 1).to(torch.uint8)


def train(trainer: Trainer, first: int, last: int, total: int) -> None:
    for step, batch in enumerate(batches(last)):
        if step >= first:
            trainer.step(batch, step / total)


def test_a_training_in_two_sittings_is_that_in_one(cpu: Backend) -> None:
    whole = a_trainer(cpu)
    train(whole, 0, 4, 4)
    first = a_trainer(cpu)
    train(first, 0, 2, 4)
    second = a_trainer(cpu)
    second.load(first.state(), steps=2)
    train(second, 2, 4, 4)
    for one, other in zip(
        (whole.state().weights, whole.state().average, whole.state().optimiser),
        (second.state().weights, second.state().average, second.state().optimiser),
        strict=True,
    ):
        assert one.keys() == other.keys() and one
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_state_of_another_network_is_refused(cpu: Backend) -> None:
    trainer = a_trainer(cpu)
    state = trainer.state()
    del state.average["head.bias"]
    with pytest.raises(ValueError, match="not those of this network"):
        trainer.load(state, steps=1)


def test_progress_alone_decides_rate_resolution_and_phase(cpu: Backend) -> None:
    transfer = TransferConfig(schedule="lp-ft")
    trainer = a_trainer(cpu, transfer=transfer, low_res_share=0.5)
    [batch] = batches(1, FRAME)
    trainer.step(batch, 0.1)
    assert trainer.low_res and not trainer.is_final
    assert trainer.model.frozen == set(trainer.phase.frozen) and trainer.phase.frozen
    assert trainer.news() == [
        "at 10% of the training: slices at half their resolution at first",
        f"at 10% of the training: {trainer.phase.trains} trains",
    ]
    early = trainer.rate
    trainer.step(batch, 0.6)
    assert not trainer.low_res and trainer.is_final and trainer.rate != early
    assert len(trainer.news()) == 2 and trainer.news() == []


def test_what_a_phase_freezes_stays_as_it_is(cpu: Backend) -> None:
    trainer = a_trainer(cpu, transfer=TransferConfig(freeze="encoder"))
    before = copy.deepcopy(trainer.model.state_dict())
    train(trainer, 0, 2, 2)
    after = trainer.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and not any(name.startswith("encoder") for name in moved)


def test_the_network_is_the_average_with_statistics_of_its_own(cpu: Backend) -> None:
    trainer = a_trainer(cpu, ema_decay=0.5)
    train(trainer, 0, 3, 3)
    plain = trainer.network(None).state_dict()
    again = trainer.network(image for image, _ in batches(2)).state_dict()
    for name, tensor in trainer.state().average.items():
        assert torch.equal(plain[name], tensor)
        if "running" not in name and "num_batches" not in name:
            assert torch.equal(again[name], tensor)
    assert any(not torch.equal(plain[name], again[name]) for name in plain if "running" in name)
    # The trainer's own average is unchanged.
    assert all(torch.equal(tensor, plain[name]) for name, tensor in trainer.state().average.items())


def test_a_broken_weight_is_named(cpu: Backend) -> None:
    trainer = a_trainer(cpu)
    assert trainer.broken_weight() is None
    with torch.no_grad():
        trainer.model.head.weight[0, 0] = torch.nan
    assert trainer.broken_weight() == "head.weight"


def test_a_step_that_cannot_be_compiled_is_taken_without(
    cpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, plain = a_trainer(cpu), a_trainer(cpu)
    [batch] = batches(1)

    def fail(*_: Tensor) -> Tensor:
        raise RuntimeError("no compiler")

    def failed(error: Exception) -> str:
        trainer.compiling.network = trainer.model
        return f"torch.compile does not work: {error}"

    monkeypatch.setattr(trainer.compiling, "network", fail)
    monkeypatch.setattr(trainer.compiling, "failed", failed)
    assert torch.equal(trainer.step(batch, 0.0), plain.step(batch, 0.0))
    assert trainer.news() == ["torch.compile does not work: no compiler"]
    # An error of the step's own is raised.
    monkeypatch.setattr(trainer.compiling, "network", fail)
    monkeypatch.setattr(trainer.compiling, "failed", lambda error: None)
    with pytest.raises(RuntimeError, match="no compiler"):
        trainer.step(batch, 0.0)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_an_optimiser_continues_to_the_bit(memory_format: torch.memory_format) -> None:
    def adam(model: SegNet) -> torch.optim.Optimizer:
        groups = (
            [p for p in model.parameters() if p.ndim > 1],
            [p for p in model.parameters() if p.ndim <= 1],
        )
        return torch.optim.AdamW([{"params": group} for group in groups], lr=1e-2)

    def steps(model: SegNet, optimiser: torch.optim.Optimizer, count: int) -> None:
        image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
        for _ in range(count):
            optimiser.zero_grad()
            model(image).square().mean().backward()
            optimiser.step()

    whole = a_network(memory_format)
    optimiser = adam(whole)
    steps(whole, optimiser, 2)
    weights = copy.deepcopy(whole.state_dict())
    tensors = {k: v.clone() for k, v in optimiser_tensors(whole, optimiser).items()}
    steps(whole, optimiser, 2)

    again = a_network(memory_format)
    again.load_state_dict(weights)
    restored = adam(again)
    restore_optimiser(again, restored, tensors)
    steps(again, restored, 2)
    for (name, one), other in zip(
        whole.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_the_fused_form_of_adamw_steps_as_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((8, 4, 3, 3), (8,), (1, 4, 3, 3))
    starts = [torch.randn(shape, generator=generator) for shape in shapes]
    gradients = [[torch.randn(s, generator=generator) for s in shapes] for _ in range(5)]
    weights = []
    for make in (adamw, lambda groups, rate: torch.optim.AdamW(groups, lr=rate)):
        # Both layouts, since the fused form reads memory as it lies; and one without a gradient.
        own = [torch.nn.Parameter(start.clone()) for start in starts]
        own[0].data = own[0].data.contiguous(memory_format=torch.channels_last)
        optimiser = make([{"params": own, "weight_decay": 0.1}], 1e-2)
        for step in gradients:
            for parameter, gradient in zip(own[:2], step, strict=False):
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
            optimiser.step()
        weights.append([parameter.detach() for parameter in own])
    for fused, plain in zip(*weights, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-6, atol=1e-6)
    assert torch.equal(weights[0][2], starts[2])
