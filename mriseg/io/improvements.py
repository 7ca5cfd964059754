"""What was learnt from corrections: the plan of one round, its result, and the model in use.

::

    CORRECTIONS/
        model.json      every round, and which model is in use
    OUT/                one round, a folder of its own
        plan.json       what must stay the same while it is stopped
        cases.zarr      the corrected cases, preprocessed
        model/          the new run
        improve.json    old against new, patient by patient, and the verdict
        improve.csv     the same pairs as a table
        report.html     a page of all that

The format is described in ``docs/formats.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.checksums import read_sealed_json, write_sealed_json
from mriseg.io.disk.locks import waiting
from mriseg.io.disk.schemas import Name, as_json, checked
from mriseg.io.disk.versions import reading
from mriseg.io.predictions import ModelName

FORMAT = "mriseg-improve"
FORMAT_VERSION = 1
PLAN, JSON, CSV = "plan.json", "improve.json", "improve.csv"
CASES, MODEL = "cases.zarr", "model"
CHAIN = "model.json"

_LOCK = ".mriseg.model.lock"
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """What must stay the same while a round is stopped.

    Attributes:
        source: the model to learn on from.
        masks: case -> SHA-256 of its corrected mask.
        config: of the training (`mriseg.core.config.TrainConfig`), as JSON.
    """

    source: ModelName
    masks: dict[Name, Name]
    config: dict[str, Any]

    def differences(self, other: Plan) -> list[str]:
        """Names of what differs in ``other``."""
        names = {"source": "model", "masks": "corrections", "config": "settings"}
        return [
            names[item.name]
            for item in fields(self)
            if getattr(self, item.name) != getattr(other, item.name)
        ]


@dataclass(frozen=True)
class Round:
    """One improvement.

    Attributes:
        old: the model that it began with.
        new: the model that it made.
        learnt: patients that trained.
        held_out: patients that measured both.
        better: whether the new model was shown to be better.
        verdict: in words.
        when: local time, ISO 8601.
    """

    old: ModelName
    new: ModelName
    learnt: tuple[Name, ...]
    held_out: tuple[Name, ...]
    better: bool
    verdict: str
    when: str


@dataclass(frozen=True)
class Chain:
    """The rounds of a folder of corrections, in order.

    Attributes:
        rounds: the latest last.
    """

    rounds: tuple[Round, ...] = ()

    @property
    def in_use(self) -> ModelName | None:
        """The new model of the latest round that was better; None: no round was."""
        return next((item.new for item in reversed(self.rounds) if item.better), None)

    @property
    def learnt(self) -> frozenset[str]:
        """Patients that any round trained on."""
        return frozenset(name for item in self.rounds for name in item.learnt)

    def with_round(self, one: Round) -> Chain:
        """With a round at the end, or in the place of the one that made the same model."""
        others = tuple(item for item in self.rounds if item.new.path != one.new.path)
        return replace(self, rounds=(*others, one))


def read_plan(out: Path) -> Plan | None:
    """The plan of the round in a folder; None where there is none.

    Raises:
        InputError: it is damaged or of something else.
    """
    path = out / PLAN
    return _read(path, Plan, "choose another --out") if path.exists() else None


def write_plan(out: Path, plan: Plan) -> None:
    """Write ``plan.json``; ``out`` is made where there is none.

    Raises:
        OutputError: it cannot be written.
    """
    _write(out / PLAN, as_json(plan))


def read_chain(corrections: Path) -> Chain:
    """The rounds of a folder of corrections; none where there is no record of any.

    Raises:
        InputError: the record is damaged or of something else.
    """
    path = corrections / CHAIN
    remedy = "restore it from a copy, since it says which model is in use"
    return _read(path, Chain, remedy) if path.exists() else Chain()


def update_chain(corrections: Path, change: Callable[[Chain], Chain]) -> Chain:
    """Write the record of rounds with a change of what it is now, in one atomic step.

    Raises:
        InputError: the record is damaged or of something else; it is untouched.
        OutputError: it cannot be written; what was there is untouched.
    """
    with waiting(corrections / _LOCK):
        after = change(read_chain(corrections))
        _write(corrections / CHAIN, as_json(after))
    return after


def write_result(out: Path, content: Mapping[str, Any]) -> None:
    """Write ``improve.json``.

    Raises:
        OutputError: it cannot be written.
    """
    _write(out / JSON, content)


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_sealed_json(path, {"format": FORMAT, "version": FORMAT_VERSION, **content})


def _read(path: Path, kind: type[T], remedy: str) -> T:
    try:
        document = read_sealed_json(path)
        if not isinstance(document, Mapping) or document.get("format") != FORMAT:
            raise ValueError("it is of something else")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be used ({reason_of(error)}); {remedy}") from None
    reading(
        {FORMAT_VERSION: None},
        document.get("version"),
        what=f"{path} has format",
        remedy=remedy,
        error=InputError,
    )
    try:
        return checked(kind, {k: v for k, v in document.items() if k in _names(kind)})
    except ValueError as error:
        raise InputError(f"{path} is damaged ({error}); {remedy}") from None


def _names(kind: type[Any]) -> set[str]:
    return {item.name for item in fields(kind)}
