"""What a stripper is, what it was trained on, and which of a case's modalities it should see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mriseg.core.modalities import MODALITIES
from mriseg.core.volume import Geometry


@dataclass(frozen=True)
class Training:
    """What a stripper was trained on, as its authors state it.

    Attributes:
        modalities: canonical names, the most suitable first.
        heads: whose heads, as the end of a sentence: "healthy adults".
        tumours: whether brains with tumours were among them.
        source: where that is stated.
    """

    modalities: tuple[str, ...]
    heads: str
    tumours: bool
    source: str

    def __str__(self) -> str:
        return f"{', '.join(self.modalities)} of {self.heads}"


class Stripper(Protocol):
    """Tells the brain from the rest of a head; an object like it is registered in ``STRIPPERS``.

    Attributes:
        name: as in the registry.
        summary: what it is, in a line.
        extra: the extra of mriseg that installs what it needs; empty: it needs nothing more.
        training: what it was trained on.
    """

    name: str
    summary: str
    extra: str
    training: Training

    def ready(self) -> None:
        """Check, before any work, that what it needs is installed.

        Raises:
            ConfigError: something is missing; the message says how to get it.
        """

    def brain(self, image: NDArray[Any], geometry: Geometry, modality: str) -> NDArray[np.bool_]:
        """Where the brain is.

        The same for the same scan, whatever the orientation of its array. Nothing is printed,
        downloaded or drawn from a global generator, and ``image`` is left as it is.

        Args:
            image: [i, j, k] raw intensities, in the source's own axes.
            geometry: of ``image``.
            modality: the canonical name of its sequence.

        Returns:
            [i, j, k], on the grid of ``image``; never empty.

        Raises:
            InputError: that does not show a head, or no brain is visible in it.
            ConfigError: what the stripper needs is not installed.
        """


def best_modality(stripper: Stripper, modalities: Sequence[str]) -> str:
    """Which of a case's modalities a stripper should see.

    Args:
        stripper: sees one of them.
        modalities: of the case, at least one.

    Returns:
        The first of those it was trained on, or else of T1, T1CE, T2 and FLAIR, or else of all.
    """
    for name in (*stripper.training.modalities, *MODALITIES):
        if name in modalities:
            return name
    return modalities[0]


def unfamiliar(stripper: Stripper, modality: str, *, tumours: bool = True) -> str:
    """What to be careful about, as a sentence without a full stop; empty: nothing.

    Args:
        stripper: has segmented a brain.
        modality: in which it did so.
        tumours: whether tumours are expected in such scans.
    """
    training = stripper.training
    strange = modality not in training.modalities
    if not (strange or (tumours and not training.tumours)):
        return ""
    seen = f"{modality} with tumours" if tumours else modality
    return (
        f"{stripper.name} was trained on {training}, and this is {seen}: check the outline of the "
        "brain"
    )
