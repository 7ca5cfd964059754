"""SegNet: the encoder of VGG16 with batch normalisation, and a decoder that mirrors it.

Badrinarayanan, Kendall and Cipolla 2015 (arXiv 1511.00561), with these differences: the width is
free, the head gives one logit per region (regions overlap, so there is no softmax), and each level
keeps its size, so that any slice of at least 32 x 32 works (240 -> 120 -> 60 -> 30 -> 15 -> 7).

A block is named like its module: ``encoder.1`` is the prefix of its parameters, and
``model.get_submodule("encoder.1")`` is the block. Functions whose names end in ``_`` change a model
in place and return it, as in PyTorch.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mriseg.core.config import Config, Count
from mriseg.core.ops import Ops
from mriseg.core.settings import MULTIPLE
from mriseg.errors import ConfigError, InputError

ENCODER = tuple(f"encoder.{level}" for level in range(1, 6))
DECODER = tuple(f"decoder.{level}" for level in range(5, 0, -1))
HEAD = "head"
BLOCKS = (*ENCODER, *DECODER, HEAD)
"""Every block, in the order in which a slice passes them."""

FIRST_CONV = "encoder.1.0.conv.weight"
"""The only parameter whose shape depends on the number of input channels."""

# Channels of each convolution's output, in units of the width (VGG16's configuration D).
_ENCODER_WIDTHS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
# The mirror: a block ends at the width that the block above it begins with. The last block's
# second convolution, the classifier, is the head.
_DECODER_WIDTHS = ((8, 8, 8), (8, 8, 4), (4, 4, 2), (2, 1), (1,))


class SegNetConfig(Config):
    """The settings that determine a network's shape.

    Attributes:
        in_channels: number of modalities.
        classes: number of regions, one logit each.
        width: channels of the first convolution; 64 in the paper, and required by ImageNet weights.
        dropout: the probability with which each value is dropped in training after pooling and
            after decoding on levels 3 to 5, as in Bayesian SegNet (Kendall et al. 2015, arXiv
            1511.02680). It draws from the device's global generator, which the caller must seed.
    """

    in_channels: Count
    classes: Count
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ConvBeforeNorm(nn.Conv2d):
    """A convolution whose result batch normalisation takes; in training its bias has no gradient.

    Normalisation by the batch's mean takes away whatever a bias adds, so its gradient is 0. What is
    computed of it is rounding alone, which AdamW scales up to steps like any others, and on a CPU
    it takes another pass over the gradient (Ioffe and Szegedy 2015, arXiv 1502.03167, section 3.2).
    The bias itself stays: pretrained weights have one, and folding needs one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[b, in_channels, h, w] -> [b, out_channels, h, w]."""
        bias = self.bias
        if self.training and bias is not None:
            bias = bias.detach()
        # Not by `_conv_forward`, which is private; the padding is of zeros.
        return F.conv2d(x, self.weight, bias, self.stride, self.padding, self.dilation, self.groups)


class ConvNormReLU(nn.Sequential):
    """A 3x3 convolution, batch normalisation and ReLU; keeps height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            OrderedDict(
                conv=ConvBeforeNorm(in_channels, out_channels, 3, padding=1),
                norm=nn.BatchNorm2d(out_channels),
                relu=nn.ReLU(inplace=True),
            )
        )


class SegNet(nn.Module):
    """The network; `build` creates it.

    It compiles with ``torch.jit.script`` for any ops, and with ``torch.jit.trace`` where the ops
    do; image sizes and batch size stay free either way.

    Attributes:
        config: its shape.
        ops: the form of pooling and un-pooling, exchanged by `set_ops`.
        frozen: names of the blocks frozen by `freeze_`.
    """

    def __init__(self, config: SegNetConfig, ops: Ops) -> None:
        super().__init__()
        self.config = config
        self.frozen: frozenset[str] = frozenset()
        self.set_ops(ops)

        channels = config.in_channels
        self.encoder = nn.ModuleDict()
        for level, widths in zip(range(1, 6), _ENCODER_WIDTHS, strict=True):
            self.encoder[str(level)] = _block(channels, [w * config.width for w in widths])
            channels = widths[-1] * config.width
        self.decoder = nn.ModuleDict()
        for level, widths in zip(range(5, 0, -1), _DECODER_WIDTHS, strict=True):
            self.decoder[str(level)] = _block(channels, [w * config.width for w in widths])
            channels = widths[-1] * config.width
        self.head = nn.Conv2d(channels, config.classes, 3, padding=1)
        self.dropout = nn.Dropout(config.dropout)

    def set_ops(self, ops: Ops) -> None:
        """Exchange the form of pooling and un-pooling; weights and results stay the same."""
        self.ops = ops
        # Plain functions, because torch.jit.script compiles those and not a dataclass of them.
        self._pool = ops.pool
        self._unpool = ops.unpool

    def forward(self, x: Tensor) -> Tensor:
        """Logits [b, classes, h, w] of slices [b, in_channels, h, w].

        Raises:
            InputError: a slice is smaller than 32 x 32, which halved five times is 1 x 1.
        """
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            _check_size(x)
        x, codes, sizes = self.encode(x)
        for depth, block in enumerate(self.decoder.values()):
            x = block(self._unpool(x, codes.pop(), sizes.pop()))
            if 5 - depth >= 3:
                x = self.dropout(x)
        logits: Tensor = self.head(x)
        return logits

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[tuple[int, int]]]:
        """Encode slices [b, in_channels, h, w].

        Returns:
            Features [b, c, h // 32, w // 32]; and for each level, from the first to the last, the
            positions of its maxima, and the height and width before its pooling.
        """
        codes: list[Tensor] = []
        sizes: list[tuple[int, int]] = []
        for level, block in enumerate(self.encoder.values(), 1):
            x = block(x)
            sizes.append((x.shape[2], x.shape[3]))
            x, code = self._pool(x)
            codes.append(code)
            if level >= 3:
                x = self.dropout(x)
        return x, codes, sizes

    def train(self, mode: bool = True) -> SegNet:
        """Training or evaluation mode; a frozen block stays in evaluation mode.

        Otherwise its batch normalisation would keep updating its running statistics and normalise
        by the batch's, so that a block with fixed weights would still compute something else.
        """
        super().train(mode)
        for block in self.frozen:
            self.get_submodule(block).eval()
        return self


def _block(channels: int, widths: list[int]) -> nn.Sequential:
    layers = []
    for width in widths:
        layers.append(ConvNormReLU(channels, width))
        channels = width
    return nn.Sequential(*layers)


def _check_size(x: Tensor) -> None:
    if torch.jit.is_tracing() or torch.compiler.is_exporting():  # type: ignore[attr-defined, no-untyped-call]
        return  # It would keep its own slice's answer for every slice.
    h, w = x.shape[2:]
    if min(h, w) < MULTIPLE:
        raise InputError(
            f"a slice of {h} x {w} is too small for SegNet, which halves it five times; "
            f"pad it to at least {MULTIPLE} x {MULTIPLE}"
        )


def build(config: SegNetConfig, ops: Ops) -> SegNet:
    """A SegNet on the CPU, without using any random generator.

    Convolutions are all zero until `init_weights_` or ``load_state_dict`` gives them values; batch
    normalisation is the identity.
    """
    # PyTorch's layers draw initial weights from the global generator; on the meta device there are
    # no values to draw.
    with torch.device("meta"):
        model = SegNet(config, ops)
    model.to_empty(device="cpu")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d):
            for parameter in module.parameters():
                nn.init.zeros_(parameter)
    return model


def init_weights_(model: SegNet, generator: torch.Generator, prior: float | None = None) -> SegNet:
    """Initialise the weights of ``model`` in place, and return it.

    Convolutions are normal with variance 2 / fan-in, biases 0 (He et al. 2015, arXiv 1502.01852);
    the head, which no ReLU follows, has variance 1 / fan-in. Batch normalisation is the identity.

    Args:
        model: on the CPU.
        generator: a CPU generator; the same state gives the same weights.
        prior: the fraction of voxels that are positive, in ]0, 1[. The head's bias is set so that
            every voxel starts with that probability; for a rare class this saves the first epochs
            (Lin et al. 2017, arXiv 1708.02002, section 3.3). None: 0.5.

    Raises:
        ConfigError: the prior is not between 0 and 1.
    """
    if prior is not None and not 0 < prior < 1:
        raise ConfigError(
            f"the prior is the fraction of positive voxels, above 0 and below 1, not {prior}"
        )
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(
                module.weight,
                nonlinearity="linear" if module is model.head else "relu",
                generator=generator,
            )
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    if prior is not None and model.head.bias is not None:
        nn.init.constant_(model.head.bias, math.log(prior / (1 - prior)))
    return model


def block_modules(model: SegNet) -> dict[str, nn.Module]:
    """The module of each block, in the order of `BLOCKS`."""
    return {block: model.get_submodule(block) for block in BLOCKS}


def block_of(name: str) -> str:
    """The block that a parameter or buffer belongs to, from its name in the state dict.

    Raises:
        ConfigError: it belongs to no block.
    """
    for block in BLOCKS:
        if name.startswith(f"{block}."):
            return block
    raise ConfigError(f"{name!r} is in no block of a SegNet; its blocks are {', '.join(BLOCKS)}")


def freeze_(model: SegNet, blocks: Collection[str]) -> SegNet:
    """Freeze ``blocks`` and no others, in place; return ``model``, as PyTorch's ``x_()`` do.

    Their parameters get no gradient, and their batch normalisation keeps its statistics, even
    after ``model.train()``.

    Raises:
        ConfigError: there is no such block.
    """
    unknown = [block for block in blocks if block not in BLOCKS]
    if unknown:
        raise ConfigError(
            f"a SegNet has no block {', '.join(map(repr, unknown))}; "
            f"its blocks are {', '.join(BLOCKS)}"
        )
    model.frozen = frozenset(blocks)
    for block, module in block_modules(model).items():
        module.requires_grad_(block not in model.frozen)
    return model.train(model.training)
