"""SegNet: the encoder of VGG16 with batch normalisation, and a decoder that mirrors it.

Badrinarayanan, Kendall and Cipolla 2015 (arXiv 1511.00561), with these differences: the width is
free, the head gives one logit per region (regions overlap, so there is no softmax), and each level
keeps its size, so that any slice of at least 32 x 32 works (240 -> 120 -> 60 -> 30 -> 15 -> 7).

The names of the stages are the names of the modules, so that ``encoder.1`` is the prefix of its
parameters and ``model.get_submodule("encoder.1")`` is the stage.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mriseg.core.config import MULTIPLE, Config, Count
from mriseg.core.ops import Ops
from mriseg.errors import ConfigError, InputError

ENCODER = tuple(f"encoder.{level}" for level in range(1, 6))
DECODER = tuple(f"decoder.{level}" for level in range(5, 0, -1))
HEAD = "head"
STAGES = (*ENCODER, *DECODER, HEAD)
"""Every stage, in the order in which a slice passes them."""

FIRST_CONV = "encoder.1.0.conv.weight"
"""The only parameter whose shape depends on the number of input channels."""

# Channels of each convolution's output, in units of the width (VGG16's configuration D).
_ENCODER_WIDTHS = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
# The mirror: a stage ends at the width that the stage above it begins with. The last stage's
# second convolution, the classifier, is the head.
_DECODER_WIDTHS = ((8, 8, 8), (8, 8, 4), (4, 4, 2), (2, 1), (1,))


class SegNetConfig(Config):
    """What decides a network's shape.

    Attributes:
        in_channels: modalities.
        classes: regions, one logit each.
        width: channels of the first convolution; 64 is the paper's, and what ImageNet weights fit.
        dropout: the probability with which each value is dropped in training after pooling and
            after decoding on levels 3 to 5, as in Bayesian SegNet (Kendall et al. 2015, arXiv
            1511.02680). It draws from the device's global generator, which is the caller's to seed.
    """

    in_channels: Count
    classes: Count
    width: Annotated[int, Field(ge=8, multiple_of=8)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class ConvNormReLU(nn.Sequential):
    """A 3x3 convolution, batch normalisation and ReLU; keeps height and width."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            OrderedDict(
                conv=nn.Conv2d(in_channels, out_channels, 3, padding=1),
                norm=nn.BatchNorm2d(out_channels),
                relu=nn.ReLU(inplace=True),
            )
        )


class SegNet(nn.Module):
    """The network; made by `build`.

    It compiles with ``torch.jit.script`` on any ops, and with ``torch.jit.trace`` where the ops
    do; sizes and batch stay free either way.

    Attributes:
        config: its shape.
        ops: the form of pooling and un-pooling, exchanged by `set_ops`.
        frozen: the stages that `freeze` holds fixed.
    """

    def __init__(self, config: SegNetConfig, ops: Ops) -> None:
        super().__init__()
        self.config = config
        self.frozen: frozenset[str] = frozenset()
        self.set_ops(ops)

        channels = config.in_channels
        self.encoder = nn.ModuleDict()
        for level, widths in zip(range(1, 6), _ENCODER_WIDTHS, strict=True):
            self.encoder[str(level)] = _stage(channels, [w * config.width for w in widths])
            channels = widths[-1] * config.width
        self.decoder = nn.ModuleDict()
        for level, widths in zip(range(5, 0, -1), _DECODER_WIDTHS, strict=True):
            self.decoder[str(level)] = _stage(channels, [w * config.width for w in widths])
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
        for depth, stage in enumerate(self.decoder.values()):
            x = stage(self._unpool(x, codes.pop(), sizes.pop()))
            if 5 - depth >= 3:
                x = self.dropout(x)
        logits: Tensor = self.head(x)
        return logits

    def encode(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[tuple[int, int]]]:
        """What the encoder makes of slices [b, in_channels, h, w].

        Returns:
            Features [b, c, h / 32, w / 32]; and of each level, the first one first, where its
            maxima were, and the height and width that its pooling halved.
        """
        codes: list[Tensor] = []
        sizes: list[tuple[int, int]] = []
        for level, stage in enumerate(self.encoder.values(), 1):
            x = stage(x)
            sizes.append((x.shape[2], x.shape[3]))
            x, code = self._pool(x)
            codes.append(code)
            if level >= 3:
                x = self.dropout(x)
        return x, codes, sizes

    def train(self, mode: bool = True) -> SegNet:
        """Training or evaluation mode; a frozen stage stays in evaluation mode.

        Its batch normalisation would otherwise go on moving its running statistics, and normalise
        by the batch's, so that a stage whose weights stand still would not compute the same.
        """
        super().train(mode)
        for stage in self.frozen:
            self.get_submodule(stage).eval()
        return self


def _stage(channels: int, widths: list[int]) -> nn.Sequential:
    blocks = []
    for width in widths:
        blocks.append(ConvNormReLU(channels, width))
        channels = width
    return nn.Sequential(*blocks)


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
    """A SegNet on the CPU, without a draw from any random generator.

    Convolutions are all zero until `init_weights` or ``load_state_dict`` gives them values; batch
    normalisation is the identity.
    """
    # PyTorch's layers draw their weights when made, from the global generator; on the meta device
    # there is nothing to draw.
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


def init_weights(model: SegNet, generator: torch.Generator, prior: float | None = None) -> SegNet:
    """Give ``model`` fresh weights, in place, and return it.

    Convolutions are normal with variance 2 / fan-in, biases 0 (He et al. 2015, arXiv 1502.01852);
    the head, which no ReLU follows, has variance 1 / fan-in. Batch normalisation is the identity.

    Args:
        model: on the CPU.
        generator: of the CPU; the same one gives the same weights.
        prior: the fraction of voxels that is positive, in ]0, 1[. The head's bias is set so that
            every voxel starts with that probability, which spares a rare class the first epochs
            (Lin et al. 2017, arXiv 1708.02002, section 3.3). None: 0.5.

    Raises:
        ConfigError: the prior is not between 0 and 1.
    """
    if prior is not None and not 0 < prior < 1:
        raise ConfigError(
            f"a prior of {prior} was given; it is the fraction of positive voxels, above 0 and "
            f"below 1"
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


def stage_modules(model: SegNet) -> dict[str, nn.Module]:
    """The module of each stage, in the order of `STAGES`."""
    return {stage: model.get_submodule(stage) for stage in STAGES}


def stage_of(name: str) -> str:
    """The stage that a parameter or buffer belongs to, from its name in the state dict.

    Raises:
        ConfigError: it belongs to none.
    """
    for stage in STAGES:
        if name.startswith(f"{stage}."):
            return stage
    raise ConfigError(f"{name!r} is in no stage of a SegNet; those are {', '.join(STAGES)}")


def freeze(model: SegNet, stages: Collection[str]) -> SegNet:
    """Hold ``stages`` fixed, and no others, in place; return the model.

    Their parameters get no gradient, and their batch normalisation keeps its statistics, also
    after ``model.train()``.

    Raises:
        ConfigError: there is no such stage.
    """
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown:
        raise ConfigError(
            f"a SegNet has no stage {', '.join(map(repr, unknown))}; those are {', '.join(STAGES)}"
        )
    model.frozen = frozenset(stages)
    for stage, module in stage_modules(model).items():
        module.requires_grad_(stage not in model.frozen)
    return model.train(model.training)


@dataclass(frozen=True)
class Summary:
    """How large a network is.

    Attributes:
        parameters: numbers that training could change.
        trainable: those of them that are not frozen.
        stages: parameters by stage, in the order of `STAGES`.
    """

    parameters: int
    trainable: int
    stages: dict[str, int]


def summary(model: SegNet) -> Summary:
    """Count the parameters of ``model``."""
    stages = {
        stage: sum(p.numel() for p in module.parameters())
        for stage, module in stage_modules(model).items()
    }
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return Summary(sum(stages.values()), trainable, stages)
