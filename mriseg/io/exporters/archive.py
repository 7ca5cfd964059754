"""Zip files that carry their own digest, in the comment at their end.

Whoever reads a zip file skips the comment, so a format that is a zip file stays what it was.
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


def seal_archive(path: Path) -> None:
    """Put its digest into a zip file that is otherwise finished."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = json.dumps({"digest": BLANK}).encode()
    seal(path)


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
    faults, found = [], {}
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
            if broken is not None:
                faults.append(f"{broken}: is not what was written (CRC-32)")
            for record in archive.infolist():
                if record.filename.endswith(metadata) and record.file_size <= _LARGEST:
                    found = parse_json(archive.read(record))
    # OSError: an offset in it leads to before its beginning.
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError) as error:
        faults.append(f"{path.name}: is damaged ({error})")
    # How zipfile tells of an encrypted record, and of a way of packing that it lacks.
    except RuntimeError as error:
        faults.append(f"{path.name}: is no exported file ({error})")
    if not isinstance(found, dict):
        found = {}
    return ExportInspection(found, whole, tuple(faults))
