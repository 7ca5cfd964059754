"""What a run's folder remembers of trackers, ``trackers.json``: so that a resumed run goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from mriseg.errors import RunError, reason_of
from mriseg.io.disk.checksums import read_sealed_json, write_sealed_json
from mriseg.io.disk.schemas import Name, checked

FILE = "trackers.json"


@dataclass(frozen=True)
class Entry:
    """What is known of one tracker.

    Attributes:
        id: the tracker's own, of the training.
        epoch: the last epoch that it has.
    """

    id: Name
    epoch: int


class _Document(BaseModel):
    trackers: dict[Name, Entry]


def read_record(folder: Path) -> dict[str, Entry]:
    """Tracker -> what is known of it; empty where there were none.

    Raises:
        RunError: the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        return dict(checked(_Document, read_sealed_json(path)).trackers)
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path} is damaged ({reason_of(error)}); without it the training goes on, but "
            f"trackers begin another run"
        ) from None


def write_record(folder: Path, entries: dict[str, Entry]) -> None:
    """Replace the record in one atomic step.

    Raises:
        OutputError: it cannot be written.
    """
    trackers = {name: {"id": entry.id, "epoch": entry.epoch} for name, entry in entries.items()}
    write_sealed_json(folder / FILE, {"trackers": trackers}, make_folder=False)
