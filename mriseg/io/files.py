"""Writing whole files or none, and finding the one a user left unnamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mriseg.errors import InputError, OutputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well.

    Raises:
        OutputError: the folder cannot be written, or the disk is full; ``path`` is untouched.
    """
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The suffix stays, since writers choose the format by it.
        handle, name = tempfile.mkstemp(
            prefix=".part-", suffix="".join(path.suffixes), dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        # Renamed only once it is on the disk: after a power cut it is the old file or the new.
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _umask() -> int:
    # There is no way to read the mask but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for what nobody wants to keep; gone when the block ends."""
    # Some systems refuse to remove a file that is still mapped; theirs is then to tidy up.
    with tempfile.TemporaryDirectory(prefix="mriseg-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def write_json(path: Path, value: Any) -> None:
    """``value`` as JSON, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file that mriseg wrote.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged or cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} is damaged: it holds no JSON object")
    return value


def is_free(path: Path) -> bool:
    """Whether a folder can be made there: nothing is, or an empty one."""
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def only_store(folder: Path) -> Path:
    """The only zarr store in ``folder``.

    Raises:
        InputError: there is none, or more than one; the message lists them.
    """
    found = sorted(path for path in folder.glob("*.zarr") if path.is_dir())
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"no store was named and there is none in {folder.resolve()}; "
            f"make one with: mriseg preprocess SRC out.zarr"
        )
    raise InputError(
        f"no store was named and there are {len(found)} here: "
        f"{', '.join(path.name for path in found)}; name one"
    )
