"""What to do about a case that cannot be read.

Only one whose files are not what was written has to be made again. That its files cannot be opened
is no damage: advice to remove them would destroy good data.
"""

from __future__ import annotations

from mriseg.errors import reason_of
from mriseg.io.store.attributes import CASES, case_in
from mriseg.io.store.storage import Tree

_AGAIN = "start the same mriseg preprocess again"


def removal(location: str, key: str) -> str:
    """What to do about a case that is damaged: ``preprocess`` keeps one whose files are complete.

    Args:
        location: of the store, as a message names it.
        key: the case's folder.
    """
    return (
        f"remove the folder {location.rstrip('/')}/{CASES}/{key} and {_AGAIN}, which writes the "
        f"cases that are missing"
    )


def remedy(tree: Tree, location: str, key: str) -> str:
    """What to do about a case that could not be read, after a look at each of its files.

    Args:
        tree: the store's files.
        location: of the store, as a message names it.
        key: the case's folder.
    """
    folder = f"{CASES}/{key}"
    try:
        case = case_in(tree.read(f"{folder}/zarr.json"))
        files = case.files if case else ()
        sizes = [(file, tree.size(f"{folder}/{file.name}")) for file in files]
        # preprocess sees this by itself.
        if any(size != file.size for file, size in sizes):
            return f"a file of it is missing or incomplete: {_AGAIN}, which writes the case again"
        damaged = any(tree.sha256(f"{folder}/{file.name}") != file.sha256 for file in files)
    except ValueError:
        damaged = True
    except OSError as error:
        return f"its files could not be looked at either: {reason_of(error)}"
    if damaged:
        return f"its files are not what was written, by their checksums: {removal(location, key)}"
    return (
        f"its files are all as they were written, so this is no damage; mriseg verify {location} "
        f"checks the others"
    )
