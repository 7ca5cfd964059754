"""Which scans a store's case is of: whether it is kept, written again, or another's name."""

from __future__ import annotations

from mriseg.io.disk.known_files import KnownFile, same_files
from mriseg.io.readers import Case
from mriseg.io.store import CaseAttributes


def is_same(stored: CaseAttributes, case: Case) -> bool:
    """Whether a stored case was read from these files, as they are now, under these names."""
    if not set(stored.modalities) <= set(case.modalities):
        return False
    return same_files(stored.sources, case.files)


def other_scan(
    stored: CaseAttributes | None, case: Case, content: str, sources: tuple[KnownFile, ...]
) -> str:
    """Why a case may not be written, since it would take the place of another scan's; or nothing.

    It may take the place of an earlier state of the same scan: with another segmentation, or with
    some of its images. The same scan has the same voxels, or an image file of the same bytes; a
    segmentation alone does not tell, since two may be equal, such as empty ones.

    Args:
        stored: the case of that name in the store, if there is one.
        case: that would be written.
        content: `mriseg.core.prepare.content_digest` of its raw images.
        sources: its files as they are now, in their order.
    """
    if stored is None or stored.content == content:
        return ""
    before = {source.sha256 for source in stored.sources}
    now = zip(sources, case.files, strict=True)
    if any(source.sha256 in before for source, path in now if path in case.images):
        return ""
    return (
        f"a case of that name from other scans is in the store already "
        f"({_named(stored.sources)}; here {_named(sources)}); rename one of them, or replace the "
        f"stored one with --overwrite"
    )


def _named(sources: tuple[KnownFile, ...]) -> str:
    first = sources[0].name if sources else "files that are not known"
    return first if len(sources) < 2 else f"{first} and {len(sources) - 1} more"
