"""Who a case is, as a model remembers those that it was trained on, with or without their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from mriseg.core.fingerprint import Fingerprint, alike
from mriseg.core.sampling import CaseEntry

_DIGITS = 24


class Identity(NamedTuple):
    """What is left of a case in a model that it shaped.

    Attributes:
        name: the case's, or `hidden`.
        patient: whose scan it is, or `hidden`.
        content: `mriseg.core.prepare.content_digest` of its voxels; may be empty.
        fingerprint: what it looks like; empty where it was not taken.
    """

    name: str
    patient: str
    content: str = ""
    fingerprint: Fingerprint = ()

    @classmethod
    def of(cls, case: CaseEntry) -> Identity:
        """The identity of a case in a store."""
        return cls(case.name, case.patient, case.content, case.fingerprint)

    def without_names(self, salt: str) -> Identity:
        """The same case, its names hidden."""
        return self._replace(name=hidden(self.name, salt), patient=hidden(self.patient, salt))

    def to_json(self) -> list[Any]:
        """This identity as JSON types."""
        return [self.name, self.patient, self.content, dict(self.fingerprint)]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Identity:
        """The inverse of `to_json`; also of the three texts of older runs."""
        name, patient, content, *more = data
        looks = dict(more[0]) if more else {}
        return cls(name, patient, content, tuple(sorted(looks.items())))


def hidden(name: str, salt: str) -> str:
    """A digest of ``name`` that says nothing of it, but to who guesses the name; "" without one.

    With another salt it is another one, so that two models' cases cannot be matched by theirs.
    """
    if not name:
        return ""
    return hashlib.sha256(f"{salt}/{name}".encode()).hexdigest()[:_DIGITS]


def known(cases: Sequence[CaseEntry], seen: Sequence[Identity], salt: str = "") -> dict[str, str]:
    """Which of ``cases`` are among ``seen``, and how that shows.

    The same voxels are the same scan, and so are like fingerprints. A patient's name counts alone
    where the layout has taken it out of the case's, as BraTS's and LGG's allow (another time
    point). Elsewhere it is the case's own, and data sets number theirs alike.

    Args:
        cases: of a store.
        seen: what a model was trained on.
        salt: that the names in ``seen`` are hidden with; empty: they are plain.

    Returns:
        The names of those cases -> "" if name, patient or voxels are the same; else how alike
        the fingerprints are, in words.
    """
    found = {case.name: "" for case in cases if any(_same(case, other, salt) for other in seen)}
    rest = [case for case in cases if case.name not in found]
    pairs = alike([case.fingerprint for case in rest], [other.fingerprint for other in seen])
    for pair in pairs:
        other = "a case" if salt else seen[pair.second].name
        found[rest[pair.first].name] = (
            f"{rest[pair.first].name} looks like the same scan as {other} of the training "
            f"(similarity {pair.similarity:.2f})"
        )
    return {case.name: found[case.name] for case in cases if case.name in found}


def _same(case: CaseEntry, other: Identity, salt: str) -> bool:
    if other.content and other.content == case.content:
        return True
    name, patient = case.name, case.patient
    if salt:
        name, patient = hidden(name, salt), hidden(patient, salt)
    if other.patient != patient:
        return False
    return other.name == name or name != patient != other.name
