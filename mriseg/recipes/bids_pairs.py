"""Masks and truths of BIDS whose names are not the same: they go by subject and session."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from mriseg.core.bids import content_of, read_bids
from mriseg.core.modalities import MODALITIES, SEGMENTATION
from mriseg.io import images
from mriseg.io.readers import folders

_MAPS = ("dseg", "seg")


def by_session(files: Mapping[str, list[Path]], others: Collection[str]) -> dict[str, list[Path]]:
    """``files`` by name, of which segmentations that BIDS names are called by their session.

    A map of all labels precedes masks of one label each. Probability maps and brain masks are left
    out.

    Args:
        files: by their own names.
        others: names that the other files have; a file that shares one of them keeps it.
    """
    renamed: dict[str, list[Path]] = {}
    sessions: dict[str, list[Path]] = {}
    for own, paths in files.items():
        for path in paths:
            stem = folders.text(images.stem(path))
            name = None if own in others else read_bids(stem)
            role = "" if name is None else content_of(name, stem).role
            if name is None or role in MODALITIES:
                renamed.setdefault(own, []).append(path)
            elif role == SEGMENTATION:
                sub, ses = name.session
                session = f"sub-{sub}" + (f"_ses-{ses}" if ses else "")
                sessions.setdefault(session, []).append(path)
    for session, paths in sessions.items():
        maps = [path for path in paths if images.stem(path).rpartition("_")[2] in _MAPS]
        renamed.setdefault(session, []).extend(maps or paths)
    return renamed
