"""The checksum by which a source file is recognised later."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mriseg.errors import InputError


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {error.strerror or error}") from error
