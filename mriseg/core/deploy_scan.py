"""A network that takes whole scans, for programs that hand over volumes rather than slices."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mriseg.core.deploy import Deployed

# Compiled by torch.jit.script, which takes a subset of Python and has attributes' types from their
# values.


class DeployedScan(nn.Module):
    """`Deployed` with what comes before it: the brain, its box, and each modality's statistics.

    It does what `mriseg.core.prepare.prepare` does for a scan without its skull; a head with skull
    and air it refuses, since finding the head takes more than arithmetic.

    Args:
        network: of the slices; it is used, not copied.
        batch: slices that the network takes at a time.
    """

    def __init__(self, network: Deployed, batch: int = 8) -> None:
        super().__init__()
        self.deployed = network
        self.modalities = network.modalities
        self.regions = network.regions
        self._batch = batch
        # As in `mriseg.core.intensity`.
        self._masked_share = 0.55
        self.eval()

    def forward(self, scans: Tensor) -> Tensor:
        """Probabilities [b, r, x, y, z] of scans.

        Args:
            scans: [b, m, x, y, z], raw intensities, along axes that run to the left, posterior and
                superior. A missing modality holds one value everywhere.

        Raises:
            ValueError: the shape does not fit, a scan is empty, or is not skull-stripped. From a
                loaded file it is a ``torch.jit.Error`` with the same message.
        """
        m = len(self.modalities)
        if scans.dim() != 5 or scans.shape[1] != m:
            names = ", ".join(self.modalities)
            raise ValueError(
                f"scans have shape {list(scans.shape)}; expected [batch, {m}, x, y, z] with the "
                f"channels {names}"
            )
        each = [self.scan(scan.permute(0, 3, 2, 1)) for scan in scans]
        return torch.stack(each).permute(0, 1, 4, 3, 2)

    @torch.jit.export
    def scan(self, volume: Tensor) -> Tensor:
        """Probabilities [r, z, y, x] of one scan [m, z, y, x]."""
        volume = volume.float()
        brain = self._brain(volume)
        out = torch.zeros(
            [len(self.regions), volume.shape[1], volume.shape[2], volume.shape[3]],
            device=volume.device,
        )
        places = brain.nonzero()
        first, last = places.amin(0), places.amax(0)
        z0, y0, x0 = int(first[0]), int(first[1]), int(first[2])
        z1, y1, x1 = int(last[0]) + 1, int(last[1]) + 1, int(last[2]) + 1
        mean, std = self._statistics(volume, brain)
        box, inside = volume[:, z0:z1, y0:y1, x0:x1], brain[z0:z1, y0:y1, x0:x1]
        for start in range(0, z1 - z0, self._batch):
            end = min(start + self._batch, z1 - z0)
            slices = box[:, start:end].permute(1, 0, 2, 3).contiguous()
            given = self.deployed(slices, mean, std, inside[start:end].contiguous())
            out[:, z0 + start : z0 + end, y0:y1, x0:x1] = given.permute(1, 0, 2, 3)
        return out

    @torch.jit.export
    def slices(
        self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None = None
    ) -> Tensor:
        """Probabilities of slices, as `Deployed.forward` gives them."""
        probabilities: Tensor = self.deployed(image, mean, std, foreground)
        return probabilities

    @torch.jit.export
    def metadata(self) -> str:
        """What a user of the file must know, as JSON."""
        return self.deployed.metadata()

    def _brain(self, volume: Tensor) -> Tensor:
        """Where any modality differs from its background, which all eight corners must show."""
        outside = torch.ones_like(volume[0], dtype=torch.bool)
        equal, count = 0, 0
        for image in volume:
            background = image[0, 0, 0]
            if bool((image == background).all()):
                continue  # it is missing
            for z in (0, -1):
                for y in (0, -1):
                    for x in (0, -1):
                        if bool(image[z, y, x] != background):
                            raise ValueError(
                                "a scan has no even background: remove the skull first, or use "
                                "mriseg predict, which finds the head"
                            )
            same = image == background
            outside = outside & same
            equal, count = equal + int(same.sum()), count + same.numel()
        if count == 0:
            raise ValueError("a scan is empty: every modality holds one value")
        if equal < self._masked_share * count:
            raise ValueError(
                "a scan is mostly brain: give the whole volume with its background, of a head "
                "without its skull"
            )
        return ~outside

    def _statistics(self, volume: Tensor, brain: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each modality over the brain; 0 and 1 of a missing one."""
        means: list[float] = []
        stds: list[float] = []
        for image in volume:
            values = image[brain].double()
            mean, std = float(values.mean()), float(values.std(correction=0))
            is_missing = bool((image == image[0, 0, 0]).all())
            means.append(float(image[0, 0, 0]) if is_missing else mean)
            stds.append(1.0 if is_missing else std)
        return (
            torch.tensor(means, dtype=torch.float64, device=volume.device),
            torch.tensor(stds, dtype=torch.float64, device=volume.device),
        )
