"""The convolutions of VGG16-BN, as torchvision and timm name them, as SegNet's encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from mriseg.core.ops import PURE
from mriseg.core.segnet import FIRST_CONV, SegNet, SegNetConfig
from mriseg.errors import ConfigError

WIDTH = 64
"""The width of VGG16, and of a SegNet that can take its weights."""

_CONVOLUTIONS = (2, 2, 3, 3, 3)
_CONV_KEYS = ("weight", "bias")
_NORM_KEYS = ("weight", "bias", "running_mean", "running_var")
# Number of batches, which only a momentum of None uses; files from before PyTorch 0.4.1 lack it.
_COUNTER = "num_batches_tracked"


def _pairs() -> Iterator[tuple[str, str]]:
    """Each name in VGG16-BN's state dict, and the encoder's name for the same tensor."""
    position = 0
    for level, count in enumerate(_CONVOLUTIONS, 1):
        for layer in range(count):
            prefix = f"encoder.{level}.{layer}"
            yield from ((f"features.{position}.{k}", f"{prefix}.conv.{k}") for k in _CONV_KEYS)
            yield from ((f"features.{position + 1}.{k}", f"{prefix}.norm.{k}") for k in _NORM_KEYS)
            position += 3  # convolution, normalisation, ReLU
        position += 1  # pooling


def encoder_from_vgg16_bn(
    state: Mapping[str, Tensor], config: SegNetConfig, modalities: Sequence[str]
) -> dict[str, Tensor]:
    """The encoder's part of a SegNet's state dict, from VGG16-BN's.

    Colour channels have no counterpart among modalities, so each modality gets the mean of the
    three filters, scaled by 3 / in_channels, so that similar inputs give activations of the scale
    that the following layers expect.

    Args:
        state: of torchvision's or timm's ``vgg16_bn`` (Simonyan and Zisserman 2014, arXiv
            1409.1556), any floating type; the classifier is ignored.
        config: of the SegNet that gets the weights.
        modalities: the names of its input channels.

    Returns:
        New tensors by their names in the SegNet, for ``load_state_dict`` with strict=False.

    Raises:
        ConfigError: the width is not 64, the number of modalities is not that of the input
            channels, or the state is not VGG16-BN's.
    """
    if config.width != WIDTH:
        raise ConfigError(
            f"ImageNet weights need a network of width {WIDTH}, not {config.width}; train at width "
            f"{WIDTH}, or leave the encoder weights out"
        )
    if len(modalities) != config.in_channels:
        raise ConfigError(
            f"the network has {config.in_channels} input channels, but {len(modalities)} "
            f"modalities were given: {', '.join(modalities)}"
        )
    pairs = dict(_pairs())
    missing = [name for name in pairs if name not in state]
    if missing:
        shown = ", ".join(list(state)[:3]) or "nothing"
        raise ConfigError(
            f"these are not the weights of VGG16 with batch normalisation: {len(missing)} of "
            f"{len(pairs)} tensors are missing, the first is {missing[0]}; found {shown}, ... "
            f"Expected the state dict of vgg16_bn as torchvision or timm save it"
        )

    with torch.device("meta"):
        expected = SegNet(config.model_copy(update={"in_channels": 3}), PURE).state_dict()
    encoder: dict[str, Tensor] = {}
    for vgg_name, name in pairs.items():
        tensor, shape = state[vgg_name], tuple(expected[name].shape)
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise ConfigError(
                f"these are not the weights of VGG16 with batch normalisation: {vgg_name} is "
                f"{tensor.dtype} {tuple(tensor.shape)}, expected floating-point {shape}"
            )
        encoder[name] = tensor.detach().to("cpu", torch.float32, copy=True)
        if name.endswith("norm.running_var"):
            counter = name.replace("running_var", _COUNTER)
            encoder[counter] = torch.zeros((), dtype=torch.int64)

    mean = encoder[FIRST_CONV].mean(dim=1, keepdim=True)
    encoder[FIRST_CONV] = mean.repeat(1, config.in_channels, 1, 1) * (3 / config.in_channels)
    return encoder
