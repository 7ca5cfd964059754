"""VGG16-BN's weights in SegNet's encoder: the same activations, and clear refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mriseg.core.ops import NATIVE
from mriseg.core.pretrained import encoder_from_vgg16_bn
from mriseg.core.segnet import ENCODER, FIRST_CONV, SegNetConfig, block_of, build
from mriseg.errors import ConfigError
from tests.vgg import vgg16_bn, vgg16_bn_state

RGB = SegNetConfig(in_channels=3, classes=1)


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return vgg16_bn_state()


@pytest.mark.parametrize("modalities", [("FLAIR",), ("T1", "T2"), ("T1", "T1CE", "T2", "FLAIR")])
def test_alike_channels_give_vggs_own_activations(
    state: dict[str, Tensor], modalities: tuple[str, ...]
) -> None:
    config = SegNetConfig(in_channels=len(modalities), classes=1)
    model = build(config, NATIVE).eval()
    loaded = model.load_state_dict(encoder_from_vgg16_bn(state, config, modalities), strict=False)
    assert not loaded.unexpected_keys
    assert {block_of(name) for name in loaded.missing_keys}.isdisjoint(ENCODER)

    vgg = vgg16_bn().eval()
    vgg.load_state_dict(state, strict=False)
    grey = torch.rand(1, 1, 40, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = vgg.features(grey.expand(-1, 3, -1, -1))
        activations = grey.expand(-1, len(modalities), -1, -1)
        for block in ENCODER:
            activations = nn.functional.max_pool2d(model.get_submodule(block)(activations), 2)
    assert expected.std() > 0.1
    torch.testing.assert_close(activations, expected, rtol=1e-3, atol=1e-4)


def test_every_tensor_is_a_copy_and_float32(state: dict[str, Tensor]) -> None:
    half = {name: tensor.half() for name, tensor in state.items() if tensor.is_floating_point()}
    encoder = encoder_from_vgg16_bn(half, RGB, ("T1", "T2", "FLAIR"))
    counters = {name for name in encoder if name.endswith("num_batches_tracked")}
    assert len(counters) == 13 and not any(encoder[name] for name in counters)
    assert {t.dtype for n, t in encoder.items() if n not in counters} == {torch.float32}

    encoder = encoder_from_vgg16_bn(state, RGB, ("T1", "T2", "FLAIR"))
    before = state["features.1.weight"].clone()
    encoder["encoder.1.0.norm.weight"].zero_()
    encoder[FIRST_CONV].zero_()
    assert torch.equal(state["features.1.weight"], before) and state["features.0.weight"].any()


def test_another_width_is_refused(state: dict[str, Tensor]) -> None:
    narrow = RGB.model_copy(update={"width": 32})
    with pytest.raises(ConfigError, match="network of width 64, not 32"):
        encoder_from_vgg16_bn(state, narrow, ("T1", "T2", "FLAIR"))


def test_modalities_must_be_the_channels(state: dict[str, Tensor]) -> None:
    with pytest.raises(ConfigError, match="3 input channels, but 2 modalities were given: T1, T2"):
        encoder_from_vgg16_bn(state, RGB, ("T1", "T2"))


def test_plain_vgg16_is_refused(state: dict[str, Tensor]) -> None:
    # Without normalisation the second convolution is features.2, not features.3.
    plain = {"features.0.weight": state["features.0.weight"], "features.2.weight": torch.zeros(1)}
    with pytest.raises(
        ConfigError, match=r"not the weights of VGG16 with batch.*features\.0\.bias"
    ):
        encoder_from_vgg16_bn(plain, RGB, ("T1", "T2", "FLAIR"))
    with pytest.raises(ConfigError, match="found nothing"):
        encoder_from_vgg16_bn({}, RGB, ("T1", "T2", "FLAIR"))


@pytest.mark.parametrize(
    "wrong", [torch.zeros(64, 1, 3, 3), torch.zeros(64, 3, 3, 3, dtype=torch.int8)], ids=str
)
def test_a_tensor_that_does_not_fit_is_named(state: dict[str, Tensor], wrong: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"features\.0\.weight is .*expected floating-point \(64"):
        encoder_from_vgg16_bn(state | {"features.0.weight": wrong}, RGB, ("T1", "T2", "FLAIR"))
