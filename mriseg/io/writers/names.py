"""What a case's files are called, so that none is another case's."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable

from mriseg.errors import InputError

ON_SERIES = "_on_series_"
"""What the names of such masks have in them."""

# File systems take names of 255 bytes, and an ending and a digest come on top.
_MAX_NAME_BYTES = 100


def file_stems(
    cases: Iterable[str], regions: Iterable[str] = (), series: Iterable[str] = ()
) -> dict[str, str]:
    """For each case, the stem of its files.

    The case's name, where a file can have it; or else what is left of it, and a digest of the
    name. Names that differ in nothing but upper and lower case are one on some systems, and a
    probability map may be called as another case's mask: these get a digest too.

    Args:
        cases: their names.
        regions: names of those that get a file of their own for each case.
        series: modalities whose scans get a mask of their own.

    Raises:
        InputError: names were chosen so that they share a file all the same.
    """
    cases = sorted(cases)
    endings = ["", *map(probability_ending, regions), *map(series_ending, series)]
    plain = {name: _in_file(name) for name in cases}
    taken = Counter((plain[name] + ending).casefold() for name in cases for ending in endings)
    stems = {
        name: stem
        if all(taken[(stem + ending).casefold()] == 1 for ending in endings)
        else _with_digest(stem, name)
        for name, stem in plain.items()
    }
    if len({stem.casefold() for stem in stems.values()}) < len(stems):
        raise InputError(
            f"the names of these cases would share a file: {', '.join(cases[:5])}, ...; rename one"
        )
    return stems


def probability_ending(region: str) -> str:
    """What follows the stem in the name of a region's probability map."""
    return f"_prob_{_in_file(region)}"


def series_ending(modality: str) -> str:
    """What follows the stem in the name of a mask on the grid of one scan of its session."""
    return f"{ON_SERIES}{_in_file(modality)}"


def _in_file(name: str) -> str:
    """``name`` as a part of a file's name: never a path, never hidden, and no other name's."""
    plain = re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]|^\.', "_", name)
    if plain == name and len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    return _with_digest(plain, name)


def _with_digest(stem: str, name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    short = stem.encode("utf-8", "replace")[:_MAX_NAME_BYTES].decode("utf-8", "ignore")
    return f"{short}-{digest}"
