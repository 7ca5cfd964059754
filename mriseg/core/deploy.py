"""A network with its pre- and post-processing, as a module that other programs can run.

`UncheckedDeployed` repeats, as arithmetic alone, what `mriseg.core.intensity.normalise`, the
padding of prediction and `mriseg.core.steps.predict_step` do: ``torch.export.export`` takes it
with free batch, height and width. `Deployed` checks its input first, which ``torch.jit.script``
compiles and ``torch.export`` cannot. Exporters write either. An export is compared with prediction
before it is called done.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mriseg.core.folding import folded
from mriseg.core.ops import ARITHMETIC
from mriseg.core.padding import padded_size
from mriseg.core.segnet import SegNet
from mriseg.core.settings import MULTIPLE

# Both classes are compiled by torch.jit.script, which takes a subset of Python and has attributes'
# types from their values.


class UncheckedDeployed(nn.Module):
    """Raw slices in, probabilities out, without a look at what it is given.

    Nothing here branches on values or on sizes. Wrong shapes fail in some operation or other, and
    NaN or infinity inside the foreground give NaN: whatever calls it makes sure of its input.

    Args:
        network: taken over: it is put into evaluation mode and needs no gradients any more.
        frame: height and width that each axis of a slice is padded to if it fits, as in training.
    """

    def __init__(self, network: SegNet, frame: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.frame = frame
        self._channels = network.config.in_channels
        self._multiple = MULTIPLE
        self.requires_grad_(False).eval()

    def forward(
        self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None = None
    ) -> Tensor:
        """Probabilities float32 [b, r, h, w]; arguments as `Deployed.forward` has them."""
        return self.segment(self.normalise(image, mean, std, foreground))

    def normalise(
        self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None
    ) -> Tensor:
        """The z-scores [b, m, h, w] of ``image``, 0 outside the foreground."""
        # [m] and [b, m] alike become [1 or b, m, 1, 1].
        mean = mean.to(image.device).float().view(-1, self._channels, 1, 1)
        std = std.to(image.device).float().view(-1, self._channels, 1, 1)
        x = (image.float() - mean) / std
        if foreground is not None:
            inside = (foreground.to(image.device) != 0).view(x.shape[0], 1, x.shape[2], x.shape[3])
            # where, not a product: NaN outside the brain does not matter.
            x = torch.where(inside, x, torch.zeros_like(x))
        return x

    def segment(self, x: Tensor) -> Tensor:
        """Probabilities [b, r, h, w] of z-scores [b, m, h, w]."""
        h, w = x.shape[2], x.shape[3]
        height, width = padded_size((h, w), self.frame, self._multiple)
        top, left = (height - h) // 2, (width - w) // 2
        x = F.pad(x, [left, width - w - left, top, height - h - top])
        # The weights may have been halved by the program that loaded them.
        logits = self.network(x.to(self.network.head.weight.dtype)).float()
        # An empty slice holds no region, whatever the network makes of it.
        holds = (x != 0).flatten(1).any(dim=1).view(-1, 1, 1, 1)
        # Selected, not sliced: of a slice torch.export asks whether it is the whole plane, and
        # keeps the answer of its example's size.
        rows = torch.arange(h, device=x.device) + top
        columns = torch.arange(w, device=x.device) + left
        whole = self.probability(logits) * holds
        return whole.index_select(2, rows).index_select(3, columns)

    def probability(self, logits: Tensor) -> Tensor:
        """The sigmoid of ``logits``."""
        return torch.sigmoid(logits)


class Arithmetic(UncheckedDeployed):
    """A copy of a module for formats other than TorchScript, equal up to rounding.

    Batch normalisation is folded into the convolutions, and pooling has the form that every format
    and runtime takes; see `mriseg.core.ops.ARITHMETIC`.
    """

    def __init__(self, module: UncheckedDeployed) -> None:
        network = folded(module.network)
        network.set_ops(ARITHMETIC)
        super().__init__(network, module.frame)

    def probability(self, logits: Tensor) -> Tensor:
        """The sigmoid of ``logits``, by its formula.

        onnxruntime's own is right to 1e-7 and no further: of a probability of 1e-6, every tenth.
        """
        return 1 / (1 + torch.exp(-logits))


class Deployed(nn.Module):
    """`UncheckedDeployed` behind a check of its input; it knows its channels and its metadata.

    Attributes:
        unchecked: what computes.
        modalities: names of the input channels, in order.
        regions: names of the output channels, in order.
        frame: as `UncheckedDeployed` has it, for a loaded file's users.
    """

    def __init__(
        self,
        network: SegNet,
        modalities: list[str],
        regions: list[str],
        frame: tuple[int, int],
        metadata: str,
    ) -> None:
        super().__init__()
        self.unchecked = UncheckedDeployed(network, frame)
        self.modalities = modalities
        self.regions = regions
        self.frame = frame
        self._metadata = metadata
        self.eval()

    def forward(
        self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None = None
    ) -> Tensor:
        """Probabilities float32 [b, r, h, w] of slices of any number and size.

        Args:
            image: [b, m, h, w], raw intensities of any type.
            mean: [m], or [b, m] for slices of several scans: over the scan's foreground.
            std: likewise, above 0.
            foreground: [b, h, w] or [b, 1, h, w], not 0 in the brain; None: all is foreground.

        Raises:
            ValueError: the shapes do not fit, or what should be finite or above 0 is not. From a
                loaded file it is a ``torch.jit.Error`` with the same message.
        """
        self._check(image, mean, std, foreground)
        x = self.unchecked.normalise(image, mean, std, foreground)
        # A network gives NaN for NaN, and NaN is above no threshold: the mask would be empty.
        if not bool(torch.isfinite(x).all()):
            raise ValueError(
                "normalised, the slices hold NaN or infinity inside the foreground; give finite "
                "intensities, and the mean and std of these very scans"
            )
        return self.unchecked.segment(x)

    @torch.jit.export
    def metadata(self) -> str:
        """What a user of the file must know, as JSON."""
        return self._metadata

    def _check(self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> None:
        m = len(self.modalities)
        names = ", ".join(self.modalities)
        if image.dim() != 4 or image.shape[1] != m or image.numel() == 0:
            raise ValueError(
                f"image has shape {list(image.shape)}; expected [batch, {m}, height, width] with "
                f"the channels {names}"
            )
        b, h, w = image.shape[0], image.shape[2], image.shape[3]
        if list(mean.shape) != [m] and list(mean.shape) != [b, m]:
            raise ValueError(
                f"mean has shape {list(mean.shape)}; expected [{m}] or [{b}, {m}], a number for "
                f"each of {names}"
            )
        if list(std.shape) != [m] and list(std.shape) != [b, m]:
            raise ValueError(
                f"std has shape {list(std.shape)}; expected [{m}] or [{b}, {m}], a number for "
                f"each of {names}"
            )
        if not bool((std > 0).all()):
            raise ValueError(
                "std must be above 0; for a modality that is missing give an image of 0, mean 0 "
                "and std 1"
            )
        if foreground is not None:
            shape = list(foreground.shape)
            if shape != [b, h, w] and shape != [b, 1, h, w]:
                raise ValueError(
                    f"foreground has shape {shape}; expected [{b}, {h}, {w}] or "
                    f"[{b}, 1, {h}, {w}], as the image has"
                )
