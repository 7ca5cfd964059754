"""The regions that a store is made for, and whether a case's labels give them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mriseg.core.label_account import WHITE, white_label
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, parse_regions
from mriseg.core.tumour_labels import renumbered
from mriseg.errors import ConfigError, InputError
from mriseg.io.readers import Listing, RawCase

# Of the brain. The largest tumours of BraTS take up a fifth.
_MOST_OF_A_LESION = 0.6
# BraTS has numbered these differently over the years.
_HIGH = {"3", "4", "5"}


def means_own_labels(regions: str | None) -> bool:
    """Whether regions are given by numbers alone, which are the files' own labels."""
    named, numbers = _named_and_numbered(regions or "")
    return bool(numbers) and not named


def wanted_regions(regions: str | None, listing: Listing) -> Regions:
    """The regions to segment, with labels as the store will have them.

    Args:
        regions: as `mriseg.core.regions.parse_regions` takes them; None: the layout's default.
            Numbers in it are the files' own labels.
        listing: of a reader that keeps the files' own labels where the numbers mean them.

    Raises:
        ConfigError: a region is not known, or numbers and names are mixed.
    """
    if regions is None:
        if not listing.regions:
            raise ConfigError("name the regions by their labels, as in --regions lesion=1")
        return dict(list(listing.regions.items())[:1])
    named, numbers = _named_and_numbered(regions)
    doubtful = [text for text in numbers if listing.numbering == "tumour" and _HIGH & _digits(text)]
    if named and doubtful:
        raise ConfigError(
            f"{', '.join(named)} is by mriseg's own numbering of BraTS, and {', '.join(doubtful)} "
            f"by the files', which differ from label 3 on: give all by numbers, as in "
            f"WT=1+2+4,ET=4, or all by name"
        )
    return parse_regions(regions, listing.regions)


def checked_labels(loaded: RawCase, regions: Regions, *, own_labels: bool) -> RawCase:
    """A case whose labels give the regions, with 255 as what it stands for.

    Args:
        loaded: the case.
        regions: that the store is made for.
        own_labels: whether those are of the files' own labels.

    Raises:
        InputError: they do not.
    """
    if loaded.labels is None:
        return loaded
    unknown = [name for name in regions if name not in (loaded.regions or regions)]
    if unknown and loaded.why_not:
        raise InputError(f"its labels do not tell {', '.join(unknown)}: {loaded.why_not}")
    if unknown and not own_labels:
        raise InputError(
            f"its labels do not tell {', '.join(unknown)}: paediatric labels changed their meaning "
            f"from 2023 to 2024; give the files' own labels, as in --regions ET=1"
        )
    label = white_label(loaded.values, regions)
    if label is None:
        return loaded
    notice = f"its segmentation is of 0 and 255; 255 is taken as {next(iter(regions))}"
    return replace(
        loaded,
        labels=renumbered(loaded.labels, {WHITE: label}),
        renamed={**loaded.renamed, WHITE: label},
        notices=(*loaded.notices, notice),
    )


def refuse_brain_mask(prepared: PreparedCase, loaded: RawCase) -> None:
    """Refuse a segmentation of one value that covers most of the brain: it is the brain's mask.

    Args:
        prepared: the case, as a network sees it.
        loaded: as it was read.

    Raises:
        InputError: it is.
    """
    if prepared.labels is None or len(loaded.values) != 1:
        return
    brain = prepared.image.any(axis=0)
    size = int(np.count_nonzero(brain))
    share = int(np.count_nonzero(prepared.labels[brain])) / max(1, size)
    if share > _MOST_OF_A_LESION:
        raise InputError(
            f"its segmentation covers {share:.0%} of the brain, as a mask of the brain does and no "
            f"lesion; take it out of the folder, or name it as a region, as with "
            f"--regions brain={next(iter(loaded.values))}"
        )


def _named_and_numbered(regions: str) -> tuple[list[str], list[str]]:
    parts = [part.strip() for part in regions.split(",") if part.strip()]
    return [p for p in parts if "=" not in p], [p for p in parts if "=" in p]


def _digits(definition: str) -> set[str]:
    return {label.strip() for label in definition.partition("=")[2].split("+")}
