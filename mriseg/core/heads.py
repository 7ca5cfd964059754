"""Whether a scan shows the whole head, or the brain alone: from its raw images.

A network that has seen stripped brains takes skin and bone for something it knows, and the other
way round; so each scan's kind is kept with it, and a run knows which kinds it was trained on.

A stripper sets all but the brain to one value. So what is looked at is the air around the middle
slices: whether it is exactly one value, as in a stripped scan, or has a scanner's noise. A scanner
may blank its air as well, or a file be defaced or masked. Then what lies under the surface decides:
beneath the skin there is bone, which is dark in every sequence, and beneath a brain's surface there
is brain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[Any]
Head = Literal["stripped", "whole", "unclear"]
STRIPPED: Head = "stripped"
WHOLE: Head = "whole"
UNCLEAR: Head = "unclear"

# Slices that are looked at, from the middle third: further down there is a neck, further up little.
_SLICES = 5
# Pixels of the shorter side that are enough: of larger slices every second one, or third.
_PIXELS = 90
# Of the range from the air's value to the 99th percentile: darker is air, if it reaches the edge of
# the slice; and darker than the second, within the head, is bone or fluid.
_AIR, _BONE = 0.1, 0.15
# Of a slice's edge, and of the slices. With less air at their edges a scan is a crop.
_EDGE, _MEASURED = 0.5, 0.5
# The share of the air that is exactly one value, and the share of what lies under the surface that
# is dark (docs/results.md has what scans of several sources have).
_NOISE, _BLANK = 0.90, 0.97
_BRAIN, _SKULL = 0.08, 0.12
# Under the surface: from and to, as shares of the radius of a disc of the head's area.
_UNDER = (0.02, 0.25)
# Pixels of a slice within a head; fewer are specks.
_FEWEST = 100


def head_of(images: Sequence[Array]) -> Head:
    """Whether a case shows whole heads, or brains alone.

    Args:
        images: each modality [z, y, x] in canonical axes, raw intensities, all finite.

    Returns:
        "unclear" where there is no air around it, or its modalities differ too much.
    """
    measured = [pair for image in images for pair in _measured(image)]
    known = [pair for pair in measured if pair is not None]
    if not known or len(known) < _MEASURED * len(measured):
        return UNCLEAR
    blank, dark = np.median(np.asarray(known), axis=0)
    if blank < _NOISE or dark >= _SKULL:
        return WHOLE
    return STRIPPED if blank >= _BLANK and dark <= _BRAIN else UNCLEAR


def counted_heads(heads: Sequence[Head]) -> dict[Head, int]:
    """How many there are of each kind, without kinds of which there is none."""
    kinds = (STRIPPED, WHOLE, UNCLEAR)
    return {kind: heads.count(kind) for kind in kinds if kind in heads}


def described(heads: Mapping[Head, int]) -> str:
    """Kinds of heads and how many, as in "4 stripped, 32 whole"; empty where nothing is known."""
    if not set(heads) - {UNCLEAR}:
        return ""
    return ", ".join(f"{count} {kind}" for kind, count in heads.items())


def unseen(head: Head, trained: Mapping[Head, int]) -> str:
    """What to say of a head of a kind that training never had, in few words; empty: nothing.

    Args:
        head: of a scan.
        trained: kind -> training cases; empty where that is not known.
    """
    if head == UNCLEAR or head in trained or not set(trained) - {UNCLEAR}:
        return ""
    had = f"training had {described(trained)}"
    return f"a whole head, {had}" if head == WHOLE else f"a stripped brain, {had}"


def advice(head: Head, trained: Mapping[Head, int]) -> str:
    """What to do about a head that is `unseen`, as a sentence without a full stop; or nothing."""
    what = unseen(head, trained)
    if not what:
        return ""
    if head == WHOLE:
        return (
            f"it shows {what}: strip it, with --strip deepbet, or its mask may be of bone or skin"
        )
    return f"it shows {what}: give the scan as it was before it was stripped, if there is one"


def _measured(image: Array) -> list[tuple[float, float] | None]:
    """(share of the air that is one value, share under the surface that is dark), by slice.

    None where a slice shows no head in air.
    """
    n = image.shape[0]
    places = np.unique(np.linspace(n / 3, 2 * n / 3, _SLICES).astype(int).clip(0, n - 1))
    step = max(1, min(image.shape[1:]) // _PIXELS)
    slices = np.asarray(image[places, ::step, ::step], dtype=np.float32)
    rim = np.concatenate([slices[:, (0, -1)].reshape(-1), slices[:, :, (0, -1)].reshape(-1)])
    values, counts = np.unique(rim, return_counts=True)
    air = values[counts.argmax()]
    inside = slices[slices != air]
    reach = float(np.percentile(inside, 99)) - float(air) if inside.size else 0.0
    return [_in_slice(one - air, reach) if reach > 0 else None for one in slices]


def _in_slice(values: Array, reach: float) -> tuple[float, float] | None:
    """See `_measured`, of one slice whose air is 0."""
    dark = np.pad(np.abs(values) <= _AIR * reach, 1, constant_values=True)
    parts, _ = ndimage.label(dark)
    around = (parts == parts[0, 0])[1:-1, 1:-1]
    edges = (around[0], around[-1], around[:, 0], around[:, -1])
    if np.mean([edge.mean() for edge in edges]) < _EDGE:
        return None
    blank = float((values[around] == 0).mean())
    if blank < _NOISE:
        return blank, 0.0
    head = ndimage.binary_opening(~around)
    rows, columns = head.any(axis=1), head.any(axis=0)
    head, values = head[rows][:, columns], values[rows][:, columns]
    if head.sum() < _FEWEST:
        return None
    depth = ndimage.distance_transform_edt(np.pad(head, 1))[1:-1, 1:-1]
    depth /= np.sqrt(head.sum() / np.pi)
    under = values[(depth > _UNDER[0]) & (depth <= _UNDER[1])]
    return blank, float((under < _BONE * reach).mean())
