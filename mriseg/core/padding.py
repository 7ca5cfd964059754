"""The one rule for how large a slice is made before the network takes it.

Each axis follows it by itself, as arithmetic without a branch: ``torch.export`` keeps the branch
that its example took and forgets that there was another.
"""

from __future__ import annotations

import torch

from mriseg.core.settings import MULTIPLE

# The functions below are also compiled by torch.jit.script, which takes a subset of Python.


def padded_size(
    size: tuple[int, int], frame: tuple[int, int], multiple: int = MULTIPLE
) -> tuple[int, int]:
    """The height and width that a slice is padded to.

    Each axis is the frame's where the slice fits into it, and else the next multiple. The other
    axis has no say in it.

    Args:
        size: height and width of the slice, in pixels.
        frame: height and width of the training's slices; rounded up if they are no multiples.
        multiple: what both are multiples of.
    """
    return (
        _padded_length(size[0], frame[0], multiple),
        _padded_length(size[1], frame[1], multiple),
    )


def _padded_length(length: int, frame: int, multiple: int) -> int:
    # The multiple outside: so written, torch.export sees that the length can be halved.
    return multiple * _larger(
        (length + multiple - 1) // multiple, (frame + multiple - 1) // multiple
    )


def _larger(a: int, b: int) -> int:
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return max(a, b)
    # Python's max would compare, and torch.export keep the answer of its example's size.
    larger: int = torch.sym_max(a, b)  # type: ignore[no-untyped-call]
    return larger
