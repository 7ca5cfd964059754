"""Who is held out of which training: folds of patients, or institutions left out whole.

A pure function of the cases. Patients are grouped as in `mriseg.core.sampling.patients` (by name,
by voxels and by appearance), and none is ever on both sides.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mriseg.core.modalities import canonical_modality, modalities_among
from mriseg.core.sampling import CaseEntry, folds, patients
from mriseg.core.train_settings import names
from mriseg.core.trials import ALL, Trial
from mriseg.core.wording import counted
from mriseg.errors import ConfigError

# A part is a folder as well.
_NAME = re.compile(r"[A-Za-z0-9][\w.+-]{0,60}")

Subset = tuple[str, ...]
"""Modalities that are used of a case; none named: all that it has and the model reads."""


@dataclass(frozen=True)
class Grouping:
    """Where cases are from.

    Attributes:
        pairs: (group, pattern of case names as of a shell).
        exact: whether the patterns are names, in which no character means another.
    """

    pairs: tuple[tuple[str, str], ...]
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.pairs:
            raise ConfigError("no group is named; name two or more, as in DU=TCGA_DU_*,HT=*_HT_*")
        for group, _ in self.pairs:
            if not _NAME.fullmatch(group):
                raise ConfigError(
                    f"{group!r} cannot name a group: expected letters, digits, - + . and _, as in "
                    f"DU=TCGA_DU_*"
                )

    @property
    def groups(self) -> tuple[str, ...]:
        """Their names, in order."""
        return tuple(dict.fromkeys(group for group, _ in self.pairs))

    def of(self, cases: Sequence[CaseEntry], *, parted: bool = False) -> dict[str, str]:
        """Case -> its group, for all cases of the patients of whom a case matches a pattern.

        Args:
            cases: of all patients.
            parted: a patient's cases may be in several groups, such as scans as they are and
                stripped ones: to report by, not to leave out.

        Raises:
            ConfigError: a pattern matches nothing, or a patient (or case) would be in two groups.
        """
        matched: dict[str, set[str]] = {}
        unused = set(self.pairs)
        by_name = {case.name: case.name for case in cases}
        for pair in self.pairs:
            group, pattern = pair
            hits = (
                [by_name[pattern]]
                if self.exact and pattern in by_name
                else [name for name in by_name if not self.exact and fnmatchcase(name, pattern)]
            )
            for name in hits:
                matched.setdefault(name, set()).add(group)
                unused.discard(pair)
        # A table may list more than a store holds; a pattern for nothing is a mistake.
        idle = sorted(pattern for _, pattern in unused)
        if (idle and not self.exact) or not matched:
            raise ConfigError(
                f"no case matches {', '.join(idle[:5])}; the store has "
                f"{', '.join(sorted(by_name)[:5])}{', ...' if len(by_name) > 5 else ''}"
            )
        grouped: dict[str, str] = {}
        for patient in patients(cases):
            each = [[case] for case in patient if case.name in matched] if parted else [patient]
            for some in each:
                own = sorted({group for case in some for group in matched.get(case.name, ())})
                if len(own) > 1:
                    who = "case" if parted else "patient"
                    raise ConfigError(
                        f"{', '.join(case.name for case in some)} (one {who}) would be in the "
                        f"groups {' and '.join(own)}; put each {who} in one group"
                    )
                grouped |= {case.name: own[0] for case in some if own}
        return grouped


def parse_groups(text: str) -> Grouping:
    """The groups in "DU=TCGA_DU_*,HT=TCGA_HT_*"; a group may have several patterns.

    Raises:
        ConfigError: it is not of this form.
    """
    pairs = []
    for piece in names(text):
        group, _, pattern = (part.strip() for part in piece.partition("="))
        if not group or not pattern:
            raise ConfigError(
                f"{piece!r}: expected GROUP=PATTERN, as in DU=TCGA_DU_*,HT=TCGA_HT_*, or a CSV "
                f"file with the columns case and group"
            )
        pairs.append((group, pattern))
    return Grouping(tuple(pairs))


@dataclass(frozen=True)
class PartTrial(Trial):
    """A training of a cross-validation, and the part of the patients that it never sees.

    Attributes:
        part: the name of the part.
    """

    part: str = ""

    @property
    def place(self) -> str:
        """Its folder, relative to that of all runs."""
        return self.part

    def __str__(self) -> str:
        return f"{self.part} held out, {self.patients} patients train"


@dataclass(frozen=True)
class Division:
    """Who is held out of what.

    Attributes:
        trials: the trainings, one for each part, in order.
        groups: case -> its group, for each case that is held out; "" where there are none.
        patients: case -> a name for all cases of its patient, likewise.
        always: cases that train in all, and are measured in none.
    """

    trials: tuple[PartTrial, ...]
    groups: Mapping[str, str]
    patients: Mapping[str, str]
    always: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Who is held out of what, a training at a time."""
        lines = [
            f"{trial.part}: {_people(self.patients, trial.held)} held out, "
            f"{counted(trial.patients, 'patient')} of {counted(len(trial.train), 'case')} train"
            for trial in self.trials
        ]
        if self.always:
            count = counted(len(self.always), "case")
            lines.append(
                f"{count} in no group: in every training, and not measured: {_few(self.always)}"
            )
        return tuple(lines)


def divided(
    cases: Sequence[CaseEntry],
    method: str,
    seed: int,
    *,
    count: int,
    leave_out: Grouping | None = None,
    groups: Grouping | None = None,
) -> Division:
    """Divide the patients into parts, each of which is held out of one training.

    Args:
        cases: of all patients who take part.
        method: how each training starts, in `mriseg.core.comparison.METHODS`.
        seed: of the trainings, and of the folds.
        count: number of folds; not looked at where groups are left out.
        leave_out: groups that are left out whole, one after the other; None: folds of patients.
        groups: of the cases, to report and calibrate by; None: the groups that are left out.

    Raises:
        ConfigError: the groups do not fit the cases, or too few patients are left to train.
    """
    people = patients(cases)
    of = {case.name: min(c.patient for c in group) for group in people for case in group}
    every = frozenset(of)
    named = groups.of(cases, parted=True) if groups is not None else {}
    grouped = {name: named.get(name, "other" if named else "") for name in every}
    if leave_out is not None:
        places = leave_out.of(cases)
        held = {
            group: sorted(name for name, own in places.items() if own == group)
            for group in leave_out.groups
            if group in places.values()
        }
        grouped = grouped if named else places
    else:
        splits = folds(cases, count, seed)
        held = {f"fold-{i}": list(each.validation) for i, each in enumerate(splits, start=1)}
    trials = []
    for number, (part, own) in enumerate(held.items(), start=1):
        train = tuple(sorted(every - set(own)))
        if not train:
            raise ConfigError(f"{part} holds every patient: nobody is left to train without it")
        trainers = len({of[name] for name in train})
        trials.append(PartTrial(method, ALL, trainers, seed, number, train, tuple(own), part))
    measured = [name for own in held.values() for name in own]
    return Division(
        tuple(trials),
        {name: grouped[name] for name in measured},
        {name: of[name] for name in measured},
        tuple(sorted(every - set(measured))),
    )


def parse_subsets(text: str | Sequence[str]) -> tuple[Subset, ...]:
    """The subsets in "all,T1+FLAIR,FLAIR", in any spelling of the modalities.

    Raises:
        ConfigError: there is none, or one names a modality twice.
    """
    pieces = names(text) if isinstance(text, str) else tuple(text)
    subsets = []
    for piece in pieces:
        parts = () if piece == ALL else tuple(canonical_modality(p) for p in piece.split("+"))
        if len(set(parts)) < len(parts) or "" in parts:
            raise ConfigError(f"subsets: {piece!r}: expected all, or modalities as in T1+FLAIR")
        subsets.append(parts)
    if not subsets:
        raise ConfigError("subsets: name at least one, such as all,T1+FLAIR,FLAIR")
    return tuple(dict.fromkeys(subsets))


def checked_subsets(wanted: Sequence[Subset], reads: Sequence[str]) -> tuple[Subset, ...]:
    """Subsets as the network reads them, each once.

    Raises:
        ConfigError: one names what the network does not read.
    """
    known = [modalities_among(each, reads, "the network reads") if each else () for each in wanted]
    return tuple(dict.fromkeys(tuple(m for m in reads if m in each) for each in known))


def usual_subsets(reads: Sequence[str], *, saw_gaps: bool) -> tuple[Subset, ...]:
    """What is measured unless something else is asked for.

    All that a case has; and where training saw cases without some modality, each one alone. A
    network that never saw one missing is no use without it, and its numbers would say no more.
    """
    alone = tuple((name,) for name in reads) if saw_gaps and len(reads) > 1 else ()
    return ((), *alone)


def subset_name(subset: Subset) -> str:
    """As in "T1+FLAIR"; all that a case has is "all"."""
    return "+".join(subset) or ALL


def used_of(has: Sequence[str], subset: Subset, reads: Sequence[str]) -> Subset | None:
    """The channels of a case that a subset uses; None where the case lacks one of them."""
    if set(subset) - set(has):
        return None
    return tuple(name for name in reads if name in has and (not subset or name in subset))


def _people(of: Mapping[str, str], cases: Sequence[str]) -> str:
    people = counted(len({of[name] for name in cases}), "patient")
    return f"{people} of {counted(len(cases), 'case')}"


def _few(cases: Sequence[str]) -> str:
    return ", ".join(cases[:5]) + (", ..." if len(cases) > 5 else "")
