"""The files of a cross-validation; its plan is as in `mriseg.io.comparisons`, and who is held out.

::

    OUT/
        plan.json               what holds for all trainings, and the parts
        runs/PART/              one run folder per part, of a training that never saw it
        held/PART/result.json   which cases were predicted by it, with which modalities
        held/PART/*.npz         what it gave for each
        cross-validation.json   means with intervals, in all, by group and by subset
        cross-validation.csv    one row per case, subset and region
        calibration.json        thresholds and the like from all patients held out

The format is described in ``docs/formats.md``.
"""

from __future__ import annotations

import csv
import io
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mriseg.core.calibration import BINS, MINOR, Calibration
from mriseg.core.certainty import CertaintyMap
from mriseg.core.cross_validation import Grouping
from mriseg.core.pooled_calibration import Figure
from mriseg.core.volume import Number
from mriseg.errors import ConfigError, InputError, reason_of
from mriseg.io.comparisons import CROSS_FORMAT, FORMAT_VERSION, Kind, Plan, with_format
from mriseg.io.disk import documents
from mriseg.io.disk.atomic import replacing, staging
from mriseg.io.disk.documents import read_json, write_json
from mriseg.io.disk.schemas import Name, RegionTable, as_json, checked
from mriseg.io.disk.untrusted import read_text

T = TypeVar("T")

JSON, CSV = "cross-validation.json", "cross-validation.csv"
CALIBRATION = "calibration.json"
CALIBRATION_FORMAT = "mriseg-calibration"
RESULT = "result.json"
_KIND: Kind = "cross-validation"

STEPS = 32
"""Steps of a stored logit in one."""
LIMIT = 16
"""The largest stored logit; the lowest stands for all below, and for what was not computed."""


@dataclass(frozen=True)
class PlannedPart:
    """A part of the patients that one training never sees.

    Attributes:
        name: its own.
        cases: names of its cases.
    """

    name: Name
    cases: tuple[Name, ...]


@dataclass(frozen=True)
class CrossPlan(Plan):
    """What must stay the same while a cross-validation is stopped; subsets may be added.

    Attributes:
        parts: who is held out of which training.
    """

    parts: tuple[PlannedPart, ...]


@dataclass(frozen=True)
class HeldMask:
    """What a run gave for a case that it never saw, refined, before any calibration.

    Attributes:
        logits: of the network as trained [r, z, y, x] int16, in steps of 1 / `STEPS`.
        tallies: voxels by logit and truth [r, 2, BINS].
        dice_by_share: Dice without small components [r, len(MINOR)].
        agreement: of mirrored copies [r], see `mriseg.core.evidence.Evidence`; nan: there are none.
        unmoved: likewise, by the refinement [r].
    """

    logits: NDArray[np.int16]
    tallies: NDArray[np.int64]
    dice_by_share: NDArray[np.float64]
    agreement: NDArray[np.float64]
    unmoved: NDArray[np.float64]


@dataclass(frozen=True)
class PredictedCase:
    """A case that was predicted by a run that never saw it.

    Attributes:
        case: its name.
        used: the modalities that were used.
        file: beside the list, a `HeldMask`.
        dice: region -> the Dice with the threshold that the loss gives, for progress alone.
    """

    case: Name
    used: tuple[Name, ...]
    file: Name
    dice: dict[Name, Number]


@dataclass(frozen=True)
class Predicted:
    """All that one run predicted.

    Attributes:
        seconds: that its training took.
        cases: in any order.
    """

    seconds: Number
    cases: tuple[PredictedCase, ...]


@dataclass(frozen=True)
class GivenCalibration:
    """A calibration that was measured by cross-validation, and what it is of.

    Attributes:
        modalities: that the network reads, in order.
        regions: name -> labels.
        width: of the network.
        config: of each training, as JSON.
        calibrations: region -> its calibration.
        patients: how many were held out.
        groups: where they are from.
        subsets: of the modalities, in which each counted the same.
        certainty: region -> how sure a mask is of itself, from cases with all their modalities.
    """

    modalities: tuple[Name, ...]
    regions: RegionTable
    width: Annotated[int, Field(ge=1)]
    config: dict[str, Any]
    calibrations: dict[Name, Calibration]
    patients: int
    groups: tuple[Name, ...]
    subsets: tuple[Name, ...]
    certainty: dict[Name, CertaintyMap] = field(default_factory=dict)


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation measured.

    Attributes:
        store: the store's name.
        source: the name of the run that each training started from; None: from scratch.
        modalities: that the networks read.
        regions: name -> labels.
        width: of the networks.
        config: of each training, as JSON.
        leaves_out: whether the parts are groups, left out whole; else folds of patients.
        parts: name -> how many patients it holds.
        trained: part -> how many patients trained without it.
        groups: of the cases, where they are known.
        subsets: of the modalities.
        nested: part -> region -> the calibration of the other parts, by which it was measured.
        figures: means with intervals.
    """

    store: Name
    source: Name | None
    modalities: tuple[Name, ...]
    regions: RegionTable
    width: int
    config: dict[str, Any]
    leaves_out: bool
    parts: dict[Name, int]
    trained: dict[Name, int]
    groups: tuple[Name, ...]
    subsets: tuple[Name, ...]
    nested: dict[Name, dict[Name, Calibration]]
    figures: tuple[Figure, ...]


def steps_of(logits: NDArray[np.floating]) -> NDArray[np.int16]:
    """Logits as they are stored; minus infinity, where nothing was computed, is the lowest."""
    return np.asarray(np.rint(np.clip(logits, -LIMIT, LIMIT) * STEPS), dtype=np.int16)


def write_held(path: Path, mask: HeldMask) -> None:
    """Write what a run gave for a case.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **{item.name: getattr(mask, item.name) for item in fields(mask)})


def read_held(path: Path, regions: int) -> HeldMask:
    """Read what `write_held` wrote.

    Args:
        path: the file.
        regions: how many there must be.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as arrays:
            mask = HeldMask(**{item.name: arrays[item.name] for item in fields(HeldMask)})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, reason_of(error)) from None
    shapes = (mask.tallies.shape, mask.dice_by_share.shape, mask.agreement.shape)
    if shapes != ((regions, 2, BINS), (regions, len(MINOR)), (regions,)) or mask.logits.ndim != 4:
        raise _damaged(path, "its arrays have other shapes")
    return mask


def read_predicted(folder: Path) -> Predicted | None:
    """What the run of a part predicted so far; None: nothing.

    Raises:
        InputError: the list is damaged.
    """
    path = folder / RESULT
    return _read(path, Predicted) if path.exists() else None


def write_predicted(folder: Path, predicted: Predicted) -> None:
    """Write the list of what the run of a part predicted.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(folder / RESULT, with_format(as_json(predicted), _KIND))


def copy_run(run: Path, place: Path) -> None:
    """Copy the folder of a finished run to where that of a part belongs, whole or not at all.

    Raises:
        OutputError: it cannot be copied; nothing is left of it.
    """
    with staging(place.parent) as part:
        ignored = shutil.ignore_patterns(".mriseg.*", ".part-*")
        shutil.copytree(run, part / place.name, ignore=ignored)
        (part / place.name).replace(place)


def write_cross_validation(
    out: Path, result: CrossValidation, rows: Sequence[Mapping[str, Any]]
) -> None:
    """Write ``cross-validation.json`` and ``cross-validation.csv``.

    Raises:
        OutputError: they cannot be written.
    """
    documents.write_csv(out / CSV, rows)
    content = as_json(result)
    content["figures"] = documents.plain(result.figures)
    write_json(out / JSON, with_format(content, _KIND))


def read_cross_validation(out: Path) -> CrossValidation:
    """What a cross-validation measured, from its folder or its file.

    Raises:
        InputError: it is not there, damaged, or not finished.
    """
    path = out / JSON if out.is_dir() else out
    if not path.exists():
        raise InputError(
            f"{path} does not exist: name the folder of a cross-validation that is finished"
        )
    return _read(path, CrossValidation)


def write_calibration(folder: Path, calibration: GivenCalibration) -> None:
    """Write ``calibration.json``.

    Raises:
        OutputError: it cannot be written.
    """
    content = {"format": CALIBRATION_FORMAT, "version": FORMAT_VERSION, **as_json(calibration)}
    write_json(folder / CALIBRATION, content)


def read_calibration(path: Path) -> GivenCalibration:
    """A calibration, from the folder that holds it or from its file.

    Raises:
        InputError: it is not there, or damaged.
    """
    file = path / CALIBRATION if path.is_dir() else path
    if not file.exists():
        raise InputError(
            f"{file} does not exist: name the folder of a finished mriseg cross-validate with at "
            f"least four patients"
        )
    return _read(file, GivenCalibration, CALIBRATION_FORMAT)


def read_groups(path: Path) -> Grouping:
    """The groups in a CSV file with the columns case and group.

    Raises:
        ConfigError: it cannot be read, or lacks a column or a value.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}") from None
    pairs = [((row.get("group") or "").strip(), (row.get("case") or "").strip()) for row in rows]
    if not pairs or not all(group and case for group, case in pairs):
        raise ConfigError(f"{path}: expected a CSV file with a case and a group in each row")
    return Grouping(tuple(pairs), exact=True)


def _read(path: Path, kind: type[T], form: str = CROSS_FORMAT) -> T:
    data = read_json(path)
    if (data.pop("format", None), data.pop("version", None)) != (form, FORMAT_VERSION):
        raise InputError(f"{path} is not of the format {form}, version {FORMAT_VERSION}")
    for row in data.get("figures") or []:  # JSON has no nan
        if isinstance(row, dict):
            row |= {
                k: float("nan") for k in ("mean", "median", "low", "high") if row.get(k) is None
            }
    try:
        return checked(kind, data)
    except ValueError as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path} is damaged ({why}); remove it to measure again")
