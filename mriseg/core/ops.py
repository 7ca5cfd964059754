"""Max-pooling that remembers, and the un-pooling that it feeds, in interchangeable forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Ops:
    """The pair of operations that a SegNet is built on; a backend chooses the form.

    ``pool(x [b, c, h, w]) -> (values [b, c, h//2, w//2], code)`` and
    ``unpool(values, code, (h, w)) -> [b, c, h, w]``; the code's form is the pair's own business.
    """

    name: str
    pool: Callable[[Tensor], tuple[Tensor, Tensor]]
    unpool: Callable[[Tensor, Tensor, tuple[int, int]], Tensor]
