"""Zip files that carry their own digest, in the comment at their end.

Programs that read a zip file skip the comment, so a format that is a zip file stays what it was.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

from mriseg.io.disk.checksums import BLANK, as_written, seal
from mriseg.io.disk.untrusted import open_regular, parse_json
from mriseg.io.exporters.base import ExportInspection

# Metadata is a page of text; more is not read into memory.
_LARGEST = 2**24
# What the records of an archive hold, unpacked, beside the archive: none of ours is packed, and one
# that holds more was made to keep its reader busy.
_FOLD, _FREE = 10, 2**24


def seal_archive(path: Path) -> None:
    """Put its digest into a zip file that is otherwise finished."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = json.dumps({"digest": BLANK}).encode()
    seal(path)


def holds(path: Path, *endings: str) -> bool:
    """Whether a file is a zip file with a record of each of these endings.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        # All that zipfile makes of a file which is none, or is damaged.
        except (zipfile.BadZipFile, ValueError, EOFError, RuntimeError, NotImplementedError):
            return False
    return all(any(name.endswith(ending) for name in names) for ending in endings)


def inspect_archive(path: Path, metadata: str) -> ExportInspection:
    """Check a zip file and take its metadata out of it.

    Args:
        path: the file.
        metadata: the end of the name of the record that holds it, as JSON.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        whole = as_written(file)
    faults: list[str] = []
    content: object = {}
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(record.file_size for record in archive.infolist())
            if unpacked > _FREE + _FOLD * path.stat().st_size:
                raise ValueError(f"its records would hold {unpacked} bytes")
            corrupt = archive.testzip()
            if corrupt is not None:
                faults.append(f"{corrupt}: is not what was written (CRC-32)")
            for record in archive.infolist():
                if record.filename.endswith(metadata) and record.file_size <= _LARGEST:
                    content = parse_json(archive.read(record))
    # OSError: an offset in it leads to before its beginning.
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        faults.append(f"{path.name}: is damaged ({error})")
    # What zipfile raises for an encrypted record and for a compression that it lacks.
    except RuntimeError as error:
        faults.append(f"{path.name}: is not an exported file ({error})")
    return ExportInspection(content if isinstance(content, dict) else {}, whole, tuple(faults))
