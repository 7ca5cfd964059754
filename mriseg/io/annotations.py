"""What `mriseg annotate` keeps in its folder besides corrections: ``annotation.json``.

Nothing in it is anyone's work: it saves looking at each scan again when the session goes on, and
is made again where it is damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.checksums import read_sealed_json, write_sealed_json
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.disk.schemas import Name, as_json, checked

FORMAT = "mriseg-annotation"
FORMAT_VERSION = 1
FILE = "annotation.json"

_Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Described:
    """What a case looks like with its predicted mask.

    Attributes:
        case: its name.
        mask: SHA-256 of the predicted mask.
        numbers: `mriseg.core.queue.describe`.
    """

    case: Name
    mask: str
    numbers: tuple[_Number, ...]


@dataclass(frozen=True)
class Annotation:
    """What is kept of a session.

    Attributes:
        source: the scans, as the user named them.
        described: by case.
        labels: case -> the segmentation made elsewhere that was taken over for it.
    """

    source: str = ""
    described: Mapping[str, Described] = field(default_factory=dict)
    labels: Mapping[str, KnownFile] = field(default_factory=dict)

    def with_described(self, item: Described) -> Annotation:
        """With a case described, or described again."""
        return replace(self, described={**self.described, item.case: item})

    def with_labels(self, case: str, file: KnownFile) -> Annotation:
        """With a segmentation that was taken over."""
        return replace(self, labels={**self.labels, case: file})


def read_annotation(folder: Path) -> Annotation:
    """What is kept in ``folder``; nothing where there is none, or none that can be read."""
    try:
        data = read_sealed_json(folder / FILE)
        if not isinstance(data, Mapping) or (data.get("format"), data.get("version")) != (
            FORMAT,
            FORMAT_VERSION,
        ):
            return Annotation()
        return _read(data)
    except (OSError, ValueError):
        return Annotation()


def write_annotation(folder: Path, annotation: Annotation) -> None:
    """Keep it, in one atomic step.

    Raises:
        OutputError: it cannot be written; what was there is untouched.
    """
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "source": annotation.source,
        "described": [as_json(item) for item in annotation.described.values()],
        "labels": {case: as_json(file) for case, file in annotation.labels.items()},
    }
    write_sealed_json(folder / FILE, document)


def known(path: Path) -> KnownFile:
    """A file that is about to be taken over, as it is now.

    Raises:
        InputError: it cannot be read.
    """
    try:
        return KnownFile.of(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from None


def _read(data: Mapping[str, Any]) -> Annotation:
    described = checked(tuple[Described, ...], data.get("described"))
    return Annotation(
        checked(str, data.get("source")),
        {item.case: item for item in described},
        checked(dict[str, KnownFile], data.get("labels")),
    )
