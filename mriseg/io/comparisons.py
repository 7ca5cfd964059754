"""The files of a comparison: its plan, the result of each training, and the summary.

Those of a forecast are the same up to the summary, which is in `mriseg.io.forecasts`.

::

    OUT/
        plan.json           what holds for all trainings
        runs/patients-10/seed-0/fold-1/lp-ft/   one run folder per training, and in it
            result.json     Dice of each case of the fold's patients
        compare.json        means, differences and verdicts, once all are done
        compare.csv         one row per case and training, once all are done

The format is described in ``docs/formats.md``; ``FORMAT_VERSION`` changes when it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from mriseg.core.comparison import METHODS, Comparison, Score
from mriseg.core.volume import Number
from mriseg.errors import InputError
from mriseg.io.disk import documents
from mriseg.io.disk.documents import read_json, write_json
from mriseg.io.disk.schemas import Name, RegionTable, as_json, checked
from mriseg.io.disk.versions import reading

T = TypeVar("T")

FORMAT = "mriseg-compare"
FORECAST_FORMAT = "mriseg-forecast"
FORMAT_VERSION = 1
CROSS_FORMAT = "mriseg-cross-validation"
Kind = Literal["comparison", "forecast", "cross-validation"]
"""What trainings are planned for; one never goes on in the folder of the other."""
_FORMATS: Mapping[Kind, str] = {
    "comparison": FORMAT,
    "forecast": FORECAST_FORMAT,
    "cross-validation": CROSS_FORMAT,
}
PLAN = "plan.json"
RESULT = "result.json"


@dataclass(frozen=True)
class PlannedCase:
    """A case that takes part.

    Attributes:
        name: the case's.
        patient: a name for all cases of its patient.
        content: `mriseg.core.prepare.content_digest` of its voxels.
    """

    name: Name
    patient: Name
    content: Name


@dataclass(frozen=True)
class SourceRun:
    """The run that transfers start from.

    Attributes:
        run: its folder's name.
        created: local time, ISO 8601.
    """

    run: Name
    created: Name


@dataclass(frozen=True)
class Plan:
    """What must stay the same while a comparison is stopped; methods, sizes and seeds may be added.

    Attributes:
        source: the run that transfers start from; None where none transfers.
        store: the store's name.
        cases: those that take part.
        regions: that are measured: name -> labels.
        folds: number of folds.
        new_head: whether transfers initialise the head again.
        config: of each training (`mriseg.core.config.TrainConfig`), as JSON, without its transfer.
    """

    source: SourceRun | None
    store: Name
    cases: tuple[PlannedCase, ...]
    regions: RegionTable
    folds: int
    new_head: bool
    config: dict[str, Any]

    def differences(self, other: Plan) -> list[str]:
        """What differs in ``other``: names of attributes, and settings with both values."""
        names = [item.name for item in fields(self) if item.name != "config"]
        return [name for name in names if getattr(self, name) != getattr(other, name)] + [
            f"{key} ({self.config.get(key)} before, {other.config.get(key)} now)"
            for key in {**self.config, **other.config}
            if self.config.get(key) != other.config.get(key)
        ]


@dataclass(frozen=True)
class CaseResult:
    """A held-out case after one training.

    Attributes:
        case: its name.
        patient: as in `PlannedCase`.
        seconds: that the training took.
        regions: region -> 3-D Dice.
    """

    case: Name
    patient: Name
    seconds: Number
    regions: Annotated[dict[Name, Number], Field(min_length=1)]


def read_plan(out: Path, kind: Kind = "comparison", form: type[Plan] = Plan) -> Plan | None:
    """The plan of the comparison or forecast in a folder; None where there is none.

    Args:
        out: the folder.
        kind: what the trainings are planned for.
        form: of the plan.

    Raises:
        InputError: it is damaged, of the other kind, or of a version that this mriseg cannot read.
    """
    path = out / PLAN
    if not path.exists():
        return None
    return _parsed(form, _document(path, kind), path, "restore it, or choose another folder")


def write_plan(out: Path, plan: Plan, kind: Kind = "comparison") -> None:
    """Write ``plan.json``; ``out`` is made where there is none.

    Raises:
        OutputError: it cannot be written.
    """
    write_json(out / PLAN, with_format(as_json(plan), kind))


def read_result(run: Path) -> tuple[CaseResult, ...] | None:
    """The held-out cases after the training in a run folder; None before they were measured.

    Raises:
        InputError: the file is damaged, or of a version that this mriseg cannot read.
    """
    path = run / RESULT
    if not path.exists():
        return None
    rows = _document(path).get("cases")
    return _parsed(tuple[CaseResult, ...], rows, path, "remove it to measure again")


def write_result(run: Path, cases: Sequence[CaseResult]) -> None:
    """Write ``result.json`` into a run folder.

    Raises:
        OutputError: it cannot be written.
    """
    rows = [as_json(case) for case in cases]
    write_json(run / RESULT, with_format({"cases": rows}))


def write_summary(out: Path, plan: Plan, scores: Sequence[Score], comparison: Comparison) -> None:
    """Write ``compare.json`` and ``compare.csv``.

    Args:
        out: the comparison's folder.
        plan: of the comparison.
        scores: of each case after each training.
        comparison: their means, differences and verdicts.

    Raises:
        OutputError: they cannot be written.
    """
    content = as_json(plan)
    del content["cases"]
    methods = dict.fromkeys(score.method for score in scores)
    content["methods"] = {name: METHODS[name].what for name in methods}
    content["seeds"] = sorted({score.seed for score in scores})
    documents.write_csv(out / "compare.csv", [score.to_row() for score in scores])
    documents.write_json(
        out / "compare.json", with_format({**content, **documents.plain(comparison)})
    )


def with_format(content: Mapping[str, Any], kind: Kind = "comparison") -> dict[str, Any]:
    """A document with what says of its format and version."""
    return {"format": _FORMATS[kind], "version": FORMAT_VERSION, **content}


def _document(path: Path, kind: Kind = "comparison") -> dict[str, Any]:
    document = read_json(path)
    if document.get("format") != _FORMATS[kind]:
        raise InputError(f"{path} is not of a {kind}; choose another folder")
    reading(
        {FORMAT_VERSION: None},
        document.get("version"),
        what=f"{path} has comparison format",
        remedy="start again in another folder",
        error=InputError,
    )
    return document


def _parsed(kind: type[T], value: Any, path: Path, remedy: str) -> T:
    try:
        return checked(kind, value)
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); {remedy}") from None
