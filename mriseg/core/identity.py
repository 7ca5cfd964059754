"""How a model remembers the cases that it was trained on, with or without their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from mriseg.core.fingerprint import Fingerprint, alike
from mriseg.core.sampling import CaseEntry

_DIGITS = 24

_Text = Annotated[str, Field(max_length=4096)]


def _from_table(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


@dataclass(frozen=True, order=True)
class Identity:
    """What a model keeps of a case that it was trained on.

    Attributes:
        name: the case's, or its digest (`hidden`).
        patient: the patient's, or its digest.
        content: `mriseg.core.prepare.content_digest` of its voxels; may be empty.
        fingerprint: `mriseg.core.fingerprint.fingerprint` of its image; may be empty. In JSON an
            object, modality -> bits.
        salt: with which name and patient are hidden; empty where they are plain.
    """

    name: _Text
    patient: _Text
    content: _Text = ""
    fingerprint: Annotated[Fingerprint, BeforeValidator(_from_table), PlainSerializer(dict)] = ()
    salt: _Text = ""

    @classmethod
    def of(cls, case: CaseEntry) -> Identity:
        """The identity of a case in a store."""
        return cls(case.name, case.patient, case.content, case.fingerprint)

    def without_names(self, salt: str) -> Identity:
        """The same case with its names hidden, unless they already are."""
        if self.salt:
            return self
        return replace(
            self, name=hidden(self.name, salt), patient=hidden(self.patient, salt), salt=salt
        )


# The same few names are looked up for every case of a model.
@lru_cache(maxsize=1 << 16)
def hidden(name: str, salt: str) -> str:
    """A digest of ``name``, from which the name can only be guessed.

    Another salt gives another digest, so the cases of two models cannot be matched by theirs.
    """
    return hashlib.sha256(f"{salt}/{name}".encode()).hexdigest()[:_DIGITS]


def known(cases: Sequence[CaseEntry], seen: Sequence[Identity]) -> dict[str, str]:
    """Which of ``cases`` are among ``seen``, and how that shows.

    The same voxels are the same scan, and so are similar fingerprints. A patient's name counts
    alone where the layout derives it from the case's, as BraTS's and LGG's do (another time point).
    Elsewhere it is the case's own name, and data sets number their cases alike.

    Args:
        cases: of a store.
        seen: the cases that a model was trained on.

    Returns:
        The names of those cases -> "" if name, patient or voxels are the same; else how similar
        the fingerprints are, in words.
    """
    reasons = {case.name: "" for case in cases if any(_same(case, other) for other in seen)}
    rest = [case for case in cases if case.name not in reasons]
    pairs = alike([case.fingerprint for case in rest], [other.fingerprint for other in seen])
    for pair in pairs:
        other = "a case" if seen[pair.second].salt else seen[pair.second].name
        reasons[rest[pair.first].name] = (
            f"{rest[pair.first].name} looks like the same scan as {other} of the training "
            f"(similarity {pair.similarity:.2f})"
        )
    return {case.name: reasons[case.name] for case in cases if case.name in reasons}


def _same(case: CaseEntry, other: Identity) -> bool:
    if other.content and other.content == case.content:
        return True
    name, patient = case.name, case.patient
    if other.salt:
        name, patient = hidden(name, other.salt), hidden(patient, other.salt)
    if other.patient != patient:
        return False
    return other.name == name or name != patient != other.name
