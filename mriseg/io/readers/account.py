"""An account of every image-like file: which case it is in, or why it is in none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mriseg.core.drafts import Row
from mriseg.core.wording import counted
from mriseg.io import images as containers
from mriseg.io.readers import folders
from mriseg.io.readers.base import Listing

_MAX_NAMED = 5
# Rows that would settle one case, in a message.
_MAX_ROWS = 3


def accounted(listing: Listing, root: Path, layout: str) -> Listing:
    """``listing`` with every image-like file under ``root`` that no case is read from."""
    if not root.is_dir():
        return listing
    used = {path for case in listing.cases for path in case.files}
    unused = {path: why for path, why in listing.unused.items() if path not in used}
    left_out: dict[Path, str] = {}
    for _, _, files in folders.walk(root, left_out):
        for path in files:
            if path not in used and path not in unused and (why := _why(path, layout)):
                unused[path] = why
    for path, why in left_out.items():
        if path not in used and (path.is_symlink() or containers.is_image(path)):
            unused.setdefault(path, why)
    return replace(listing, unused=dict(sorted(unused.items())))


def with_rows(listing: Listing, root: Path) -> Listing:
    """``listing`` whose refusals show the rows of a table of cases that would settle them."""
    skipped = tuple(
        (name, _settled_by(why, listing.proposals.get(name, ()), root))
        for name, why in listing.skipped
    )
    return replace(listing, skipped=skipped)


def _settled_by(why: str, rows: Sequence[Row], root: Path) -> str:
    if not rows:
        return why
    shown = " or ".join(
        ", ".join(
            [f"case {row.name.case}"]
            + [f"{role} {_relative(Path(path), root)}" for role, path in row.files.items()]
        )
        for row in rows[:_MAX_ROWS]
    )
    more = f" (and {len(rows) - _MAX_ROWS} more)" if len(rows) > _MAX_ROWS else ""
    return (
        f"{why}; a row in a table of cases settles it: {shown}{more}; mriseg inspect "
        f"{folders.text(str(root))} --csv cases.csv writes such rows"
    )


def short_account(unused: Mapping[Path, str], root: Path) -> list[str]:
    """What is not used, in a sentence for each reason, with the first few names."""
    by_reason: dict[str, list[Path]] = {}
    for path, why in unused.items():
        by_reason.setdefault(why, []).append(path)
    lines = []
    for why, paths in by_reason.items():
        shown = ", ".join(_relative(path, root) for path in paths[:_MAX_NAMED])
        more = f" and {len(paths) - _MAX_NAMED} more" if len(paths) > _MAX_NAMED else ""
        lines.append(f"{counted(len(paths), 'file')} not used, {why}: {shown}{more}")
    return lines


def what_else(root: Path) -> str:
    """What a folder without a single case holds instead, as the end of a message."""
    kinds: Counter[str] = Counter()
    for _, _, files in folders.walk(root):
        kinds.update(kind for path in files if (kind := containers.kind_of(path)))
    if not kinds:
        return ""
    kind, number = kinds.most_common(1)[0]
    return f"; it holds {counted(number, 'file')} of another kind, {kind}"


def _why(path: Path, layout: str) -> str:
    """Why an image-like file is not used; empty for a file that is none."""
    if containers.is_image(path):
        return f"not part of the layout {layout}"
    return containers.kind_of(path) or ""


def _relative(path: Path, root: Path) -> str:
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return folders.text(str(shown))


def data_sets(root: Path, listings: Mapping[str, Listing]) -> dict[str, tuple[str, int]]:
    """The data sets under a folder: layout -> its outermost folder and how many cases it has.

    Args:
        root: the folder.
        listings: layout -> what its reader lists there.
    """
    places = {}
    for layout, listing in listings.items():
        tops = Counter(
            path.relative_to(root).parts[0]
            for case in listing.cases
            for path in case.files[:1]
            if path.is_relative_to(root)
        )
        if tops:
            top = ", ".join(sorted(tops)[:3]) + (", ..." if len(tops) > 3 else "")
            places[layout] = (top, len(listing.cases))
    return places
