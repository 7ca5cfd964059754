"""A network with its pre- and post-processing does what the functions of prediction do."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram, export

from mriseg.core.deploy import Arithmetic, Deployed, UncheckedDeployed
from mriseg.core.intensity import Normalisation, normalise
from mriseg.core.ops import pure_pool, pure_unpool
from mriseg.core.padding import padded_size
from mriseg.core.segnet import SegNet
from mriseg.core.steps import predict_step
from mriseg.core.volume import Pad
from mriseg.testing.exporters import a_deployed, slices

DEPLOYED = a_deployed(frame=(40, 64))


def by_parts(
    network: Deployed, image: Tensor, mean: Tensor, std: Tensor, mask: Tensor | None
) -> Tensor:
    """Each slice as a scan of its own: normalise, pad, predict_step, and the pad's inverse."""
    h, w = image.shape[2:]
    pad = Pad.to((h, w), padded_size((h, w), network.unchecked.frame))
    probabilities = []
    for i in range(len(image)):
        statistics = (values.expand(len(image), 2)[i].tolist() for values in (mean, std))
        norm = Normalisation(*map(tuple, statistics))
        inside = np.ones((h, w), dtype=bool) if mask is None else mask[i].numpy()
        scaled = normalise(image[i].numpy()[:, None], inside[None], norm)[:, 0]
        x = torch.from_numpy(pad.apply(scaled))[None]
        out = predict_step(network.unchecked.network, x, autocast=nullcontext)
        probabilities.append(torch.from_numpy(pad.inverse().apply(out.numpy())))
    return torch.cat(probabilities)


@settings(max_examples=15)
@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    by_slice=st.booleans(),
    masked=st.booleans(),
)
def test_it_equals_the_steps_of_prediction(
    batch: int, height: int, width: int, by_slice: bool, masked: bool
) -> None:
    batch_of = slices(batch, height, width, by_slice=by_slice, masked=masked)
    probabilities = DEPLOYED(*batch_of)
    assert probabilities.shape == (batch, 3, height, width)
    torch.testing.assert_close(probabilities, by_parts(DEPLOYED, *batch_of), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.int16, torch.uint8, torch.float64, torch.float16])
def test_intensities_are_of_any_type(dtype: torch.dtype) -> None:
    image, mean, std, mask = slices(2, 30, 34)
    image = image.clamp(0, 250).round()
    assert torch.equal(DEPLOYED(image.to(dtype), mean, std, mask), DEPLOYED(image, mean, std, mask))


def test_a_foreground_may_have_a_channel_and_any_type() -> None:
    image, mean, std, mask = slices(2, 30, 34)
    assert mask is not None
    expected = DEPLOYED(image, mean, std, mask)
    for other in (mask[:, None], mask.float() * 3, mask.to(torch.uint8)):
        assert torch.equal(DEPLOYED(image, mean, std, other), expected)


def test_outside_the_foreground_nothing_counts() -> None:
    image, mean, std, mask = slices(2, 30, 34)
    assert mask is not None
    expected = DEPLOYED(image, mean, std, mask)
    for value in (1e6, torch.nan, torch.inf):
        image = torch.where(mask[:, None], image, torch.full_like(image, value))
        assert torch.equal(DEPLOYED(image, mean, std, mask), expected)


def test_a_missing_modality_reads_zero() -> None:
    image, mean, std, _ = slices(1, 30, 34)
    image[:, 1], mean[1], std[1] = 0, 0, 1
    assert not DEPLOYED.unchecked.normalise(image, mean, std, None)[:, 1].any()


def test_it_is_for_inference_alone() -> None:
    assert not DEPLOYED.training
    assert not any(module.training for module in DEPLOYED.modules())
    assert not DEPLOYED(*slices(1, 30, 34)).requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: torch.rand(2, 1, 30, 34)}, r"image has shape \[2, 1, 30, 34\]; .*channels T1, FLAIR"),
        ({0: torch.rand(2, 30, 34)}, r"image has shape .*expected \[batch, 2, height, width\]"),
        ({0: torch.rand(0, 2, 30, 34)}, "image has shape"),
        ({1: torch.ones(3)}, r"mean has shape \[3\]; expected \[2\] or \[2, 2\]"),
        ({1: torch.ones(3, 2)}, r"mean has shape \[3, 2\]"),
        ({2: torch.ones(2, 1)}, r"std has shape \[2, 1\]"),
        ({2: torch.tensor([1.0, -1.0])}, "std must be above 0; for a modality that is missing"),
        ({2: torch.tensor([1.0, torch.nan])}, "std must be above 0"),
        ({1: torch.tensor([torch.nan, 0.0])}, "NaN or infinity inside the foreground"),
        ({3: torch.ones(2, 34, 30)}, r"foreground has shape .*expected \[2, 30, 34\]"),
        ({3: torch.ones(2, 2, 30, 34)}, r"or \[2, 1, 30, 34\]"),
        ({3: torch.ones(1, 30, 34)}, "foreground has shape"),
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[int, Tensor], message: str) -> None:
    batch = list(slices(2, 30, 34))
    for place, value in change.items():
        batch[place] = value
    with pytest.raises(ValueError, match=message):
        DEPLOYED(*batch)


def test_intensities_that_are_not_finite_are_refused() -> None:
    image, mean, std, mask = slices(2, 30, 34)
    assert mask is not None
    mask[1, 4, 5] = True
    for value in (torch.nan, -torch.inf):
        image[1, 0, 4, 5] = value
        with pytest.raises(ValueError, match="NaN or infinity"):
            DEPLOYED(image, mean, std, mask)


def test_the_module_of_other_formats_is_equal_up_to_rounding() -> None:
    module = Arithmetic(DEPLOYED.unchecked)
    for size in [(2, 30, 34), (1, 41, 65)]:
        given_ = slices(*size)
        torch.testing.assert_close(module(*given_), DEPLOYED(*given_), rtol=1e-4, atol=1e-5)
    # Its sigmoid keeps the digits of what is nearly 0, and does not overflow.
    logits = torch.tensor([-200.0, -80.0, -15.0, 0.0, 80.0])
    torch.testing.assert_close(module.probability(logits), torch.sigmoid(logits), rtol=1e-6, atol=0)


# What torch.export makes of the unchecked module.

# Inside the frame of (64, 96), as large as it in one axis or in both, across it and beyond it.
SIZES = [
    (3, 45, 70),
    (1, 64, 96),
    (2, 64, 20),
    (2, 33, 96),
    (2, 1, 1),
    (2, 65, 20),
    (1, 33, 97),
    (3, 20, 130),
    (5, 100, 97),
]


def exported(module: UncheckedDeployed) -> ExportedProgram:
    given = slices(3, 50, 60, by_slice=True)
    auto = Dim.AUTO
    free = {0: auto, 2: auto, 3: auto}, {0: auto}, {0: auto}, {0: auto, 1: auto, 2: auto}
    return export(module, given, dynamic_shapes=free)


class OneLevel(nn.Module):
    """In place of a SegNet, whose export takes many seconds: pools once, and un-pools."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(in_channels=2)
        generator = torch.Generator().manual_seed(0)
        self.first, self.head = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)
        for parameter in self.parameters():
            parameter.data.normal_(generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        plane = self.first(x)
        values, code = pure_pool(plane)
        logits: Tensor = self.head(pure_unpool(values, code, (plane.shape[2], plane.shape[3])))
        return logits


def test_torch_export_keeps_no_branch_of_its_example() -> None:
    module = UncheckedDeployed(cast("SegNet", OneLevel()), (64, 96))
    program = exported(module).module()
    for size in SIZES:
        given = slices(*size, by_slice=True)
        torch.testing.assert_close(program(*given), module(*given), rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_whole_exported_network_equals_the_steps_of_prediction() -> None:
    network = a_deployed(frame=(64, 96))
    program = exported(network.unchecked).module()
    for size in SIZES:
        given = slices(*size, by_slice=True)
        torch.testing.assert_close(program(*given), by_parts(network, *given), rtol=0, atol=1e-5)


def test_unchecked_it_is_the_same_and_gives_nan_for_nan() -> None:
    image, mean, std, mask = slices(2, 30, 34)
    assert mask is not None
    assert torch.equal(DEPLOYED.unchecked(image, mean, std, mask), DEPLOYED(image, mean, std, mask))
    image[1, 0, 4, 5], mask[1, 4, 5] = torch.nan, True
    probabilities = DEPLOYED.unchecked(image, mean, std, mask)
    assert probabilities[0].isfinite().all() and probabilities[1].isnan().any()
