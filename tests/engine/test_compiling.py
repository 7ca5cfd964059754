"""Whether compiling pays is measured and reported, and never stops a training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter

from mriseg.backends import Backend, select
from mriseg.engine.compiling import WORTH_TRYING, Compiling
from mriseg.errors import BackendError, ConfigError

needs_a_compiler = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler"
)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def auto() -> Backend:
    return select("cpu", precision="fp32", compile="auto")


def windows(
    trial: Compiling, clock: Clock, seconds: list[float], left: float = 2 * WORTH_TRYING
) -> list[str]:
    notices = []
    for spent in seconds:
        trial.begin()
        clock.now += spent
        if reason := trial.end(10, left):
            notices.append(reason)
    return notices


def test_a_short_training_never_tries(clock: Clock, auto: Backend) -> None:
    model = nn.Linear(2, 2)
    trial = Compiling(model, auto, clock=clock)
    assert windows(trial, clock, [1.0] * 20, left=WORTH_TRYING - 1) == []
    assert trial.network is model


@needs_a_compiler
def test_a_network_that_changes_often_stays_compiled() -> None:
    model = nn.Linear(2, 2)
    trial = Compiling(model, select("cpu", precision="fp32", compile="always"))
    # Not the real compiler, which would be slow in each of these tests.
    versions = CompileCounter()
    trial.network = cast("nn.Module", torch.compile(model, backend=versions))
    for step in range(12):
        model.requires_grad_(step % 2 == 0)
        model.weight = nn.Parameter(torch.zeros(3 + step, 2))
        model.bias = nn.Parameter(torch.zeros(3 + step))
        trial.changed()
        assert trial.network(torch.zeros(1, 2)).shape == (1, 3 + step)
    assert versions.frame_count == 12


@pytest.mark.parametrize(("speed", "kept"), [(1.5, True), (1.0, False), (0.5, False)])
def test_a_long_training_tries_and_keeps_what_is_faster(
    clock: Clock, auto: Backend, speed: float, kept: bool
) -> None:
    model = nn.Linear(2, 2)
    trial = Compiling(model, auto, clock=clock)
    notices = windows(trial, clock, [9.0, 1.2, 1.0, 1.1])
    assert notices == ["trying torch.compile, since much of the training is left"]
    assert trial.network is not model
    notices = windows(trial, clock, [60.0, 1.0 / speed, 1.3 / speed, 1.1 / speed])
    assert notices == [
        f"compiled steps are {speed:.2f} times as fast: "
        f"{'compiled from here on' if kept else 'not compiled'}"
    ]
    assert (trial.network is not model) is kept
    assert windows(trial, clock, [9.0] * 9) == []


def test_a_failed_compilation_leaves_the_network_uncompiled(clock: Clock, auto: Backend) -> None:
    model = nn.Linear(2, 2)
    trial = Compiling(model, auto, clock=clock)
    assert trial.failed(ValueError("an error of the training's own")) is None
    windows(trial, clock, [1.0] * 4)
    reason = trial.failed(RuntimeError("no compiler\nand a long story"))
    assert reason == "torch.compile does not work here (RuntimeError: no compiler)"
    assert trial.network is model
    assert trial.failed(ValueError("an error of the training's own")) is None


def test_never_and_determinism_rule_out_compiling(clock: Clock) -> None:
    model = nn.Linear(2, 2)
    for backend in (select("cpu", compile="never"), select("cpu", deterministic=True)):
        trial = Compiling(model, backend, clock=clock)
        assert windows(trial, clock, [1.0] * 20) == []
        assert trial.network is model
        assert {d.how for d in backend.decisions if d.what == "torch.compile"} == {"never"}


def test_invalid_compile_options_are_refused() -> None:
    with pytest.raises(BackendError, match="--compile always does not go with --deterministic"):
        select("cpu", deterministic=True, compile="always")
    with pytest.raises(ConfigError, match="'sometimes': expected auto, always, never"):
        select("cpu", compile="sometimes")


@pytest.mark.slow
@needs_a_compiler
def test_a_compiled_network_gives_the_same_gradients_and_keeps_its_parameters() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    trial = Compiling(model, select("cpu", precision="fp32", compile="always"))
    image = torch.randn(2, 1, 8, 8)

    def gradients(network: nn.Module) -> list[Tensor]:
        return list(torch.autograd.grad(network(image).square().sum(), list(model.parameters())))

    for gradient, expected in zip(gradients(trial.network), gradients(model), strict=True):
        # A convolution's bias before BatchNorm has a gradient of zero up to rounding.
        torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-3)
    assert {id(p) for p in trial.network.parameters()} == {id(p) for p in model.parameters()}


def test_a_backend_keeps_the_compile_option_it_is_given(auto: Backend) -> None:
    assert auto.compile == "auto"
    assert replace(auto, compile="never").compile == "never"
