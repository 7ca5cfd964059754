"""Skull stripping: who tells the brain from the rest of a head.

- ``base``: what a stripper is, and what it was trained on
- ``heads``: from a scan to what a network wants, and back to a mask of that scan
- ``deepbet``, ``hd_bet``: those that ship with mriseg; their libraries are extras
- ``extra``: how these are asked for

A stripper is given an array and opens no file of the user's. Which cases are stripped, and what
becomes of the masks, is the business of recipes.
"""

from __future__ import annotations

from mriseg.registry import Registry
from mriseg.strippers.base import Stripper, Training, best_modality, unfamiliar

__all__ = ["NONE", "STRIPPERS", "Stripper", "Training", "best_modality", "chosen", "unfamiliar"]

NONE = "none"
"""The name that means: scans stay as they are."""

STRIPPERS: Registry[Stripper] = Registry(
    "stripper",
    {
        "deepbet": "mriseg.strippers.deepbet:STRIPPER",
        "hd-bet": "mriseg.strippers.hd_bet:STRIPPER",
    },
    group="mriseg.strippers",
)


def chosen(name: str) -> Stripper | None:
    """The stripper of that name, ready for work; None for ``none``.

    Raises:
        UnknownNameError: there is no such stripper.
        ConfigError: what it needs is not installed.
    """
    if name == NONE:
        return None
    stripper = STRIPPERS[name]
    stripper.ready()
    return stripper
