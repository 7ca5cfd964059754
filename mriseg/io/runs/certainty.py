"""What a run knows of its own certainty, ``certainty.json``: of which weights, and how calibrated.

A file of its own, since the weights of a shared model keep their digest. It names the weights that
it belongs to: beside others, which a training went on to, it counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriseg.core.certainty import CertaintyMap
from mriseg.core.familiarity import TrainingScans
from mriseg.errors import RunError, reason_of
from mriseg.io.disk.checksums import read_sealed_json, write_sealed_json
from mriseg.io.disk.schemas import Name, as_json, checked
from mriseg.io.disk.versions import reading

FORMAT = "mriseg-certainty"
FORMAT_VERSION = 1
FILE = "certainty.json"


@dataclass(frozen=True)
class Certainty:
    """What ``certainty.json`` holds.

    Attributes:
        weights: digest of the checkpoint that it was measured with.
        regions: region -> its calibration; a region of too few validation cases is left out.
        scans: what the training cases were like; None where they are not known.
    """

    weights: Name
    regions: dict[Name, CertaintyMap] = field(default_factory=dict)
    scans: TrainingScans | None = None


def write_certainty(folder: Path, certainty: Certainty) -> None:
    """Write ``certainty.json`` in one atomic step.

    Raises:
        OutputError: it cannot be written.
    """
    document = {"format": FORMAT, "version": FORMAT_VERSION, **as_json(certainty)}
    write_sealed_json(folder / FILE, document, make_folder=False)


def read_certainty(folder: Path) -> Certainty | None:
    """Read ``certainty.json``; None where there is none, as in runs of an earlier mriseg.

    Raises:
        RunError: it is damaged, or of a version that this mriseg cannot read.
    """
    path = folder / FILE
    try:
        data = read_sealed_json(path)
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise ValueError("it is of another format")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    read = reading(
        {1: _read_version_1},
        data.get("version"),
        what=f"{path} has format",
        remedy="train again",
        error=RunError,
    )
    try:
        return read(data)
    except (TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def _read_version_1(data: Mapping[str, Any]) -> Certainty:
    return checked(Certainty, dict(data))


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(
        f"{path} is damaged ({reason_of(error)}); restore it from a copy, or remove it: masks are "
        f"then made as before, without a predicted Dice"
    )
