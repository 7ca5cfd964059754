"""A convolution with its ReLU: the two in turn, or nothing where it cannot be had."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mriseg.backends import pointwise
from mriseg.backends.pointwise import relu_convolution

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def tried_anew() -> Iterator[None]:
    pointwise._is_right.cache_clear()
    yield
    pointwise._is_right.cache_clear()


def _in_turn(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.relu(F.conv2d(image.to(weight.dtype), weight, bias, padding=1))


@settings(max_examples=25, deadline=None)
@given(
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    last=st.booleans(),
    channels=st.tuples(st.integers(1, 9), st.integers(1, 33)),
    size=st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 2**16),
)
def test_it_is_a_convolution_and_a_relu(
    dtype: torch.dtype,
    last: bool,
    channels: tuple[int, int],
    size: tuple[int, int, int],
    seed: int,
) -> None:
    convolve = relu_convolution(CPU, dtype)
    if convolve is None:
        pytest.skip("this PyTorch has none for this processor")
    generator = torch.Generator().manual_seed(seed)
    layout = torch.channels_last if last else torch.contiguous_format
    b, h, w = size
    image = torch.randn(b, channels[0], h, w, generator=generator).contiguous(memory_format=layout)
    weight = torch.randn(channels[1], channels[0], 3, 3, generator=generator).to(dtype)
    bias = torch.randn(channels[1], generator=generator).to(dtype)
    result = convolve(image, weight, bias)
    expected = _in_turn(image, weight, bias)
    assert result.dtype == dtype and result.shape == expected.shape
    scale = float(expected.float().max()) + 1
    close = scale * pointwise._TOLERANCE[dtype]
    torch.testing.assert_close(result.float(), expected.float(), rtol=0, atol=close)


@pytest.mark.parametrize("way", ["missing", "no relu"])
def test_what_is_missing_or_wrong_is_not_used(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if way == "missing":
            raise AttributeError("no operator _convolution_pointwise")
        return F.conv2d(image, weight, bias, padding=1)

    monkeypatch.setattr(pointwise, "_convolve", broken)
    assert relu_convolution(CPU, torch.float32) is None


def test_it_is_for_the_processor_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pointwise, "_is_right", lambda dtype: True)
    assert relu_convolution(CPU, torch.float32) is not None
    assert relu_convolution(torch.device("meta"), torch.float32) is None
    assert relu_convolution(CPU, torch.float16) is None
    with torch.backends.mkldnn.flags(enabled=False):
        assert relu_convolution(CPU, torch.float32) is None
