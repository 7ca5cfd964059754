"""Who a case is, as a model remembers those that it was trained on, with or without their names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
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
        salt: what name and patient are hidden with; empty where they are plain.
    """

    name: str
    patient: str
    content: str = ""
    fingerprint: Fingerprint = ()
    salt: str = ""

    @classmethod
    def of(cls, case: CaseEntry) -> Identity:
        """The identity of a case in a store."""
        return cls(case.name, case.patient, case.content, case.fingerprint)

    def without_names(self, salt: str) -> Identity:
        """The same case, its names hidden, if they are not already."""
        if self.salt:
            return self
        name, patient = hidden(self.name, salt), hidden(self.patient, salt)
        return self._replace(name=name, patient=patient, salt=salt)

    def to_json(self) -> list[Any]:
        """This identity as JSON types."""
        texts = [self.name, self.patient, self.content]
        return [*texts, dict(self.fingerprint), *([self.salt] if self.salt else [])]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Identity:
        """The inverse of `to_json`; also of the three texts of older runs."""
        name, patient, content, *more = data
        looks = dict(more.pop(0)) if more else {}
        return cls(name, patient, content, tuple(sorted(looks.items())), *more)


# A model's cases are asked for the same few names.
@lru_cache(maxsize=1 << 16)
def hidden(name: str, salt: str) -> str:
    """A digest of ``name``, which says nothing of it but to who guesses the name.

    With another salt it is another one, so that two models' cases cannot be matched by theirs.
    """
    return hashlib.sha256(f"{salt}/{name}".encode()).hexdigest()[:_DIGITS]


def known(cases: Sequence[CaseEntry], seen: Sequence[Identity]) -> dict[str, str]:
    """Which of ``cases`` are among ``seen``, and how that shows.

    The same voxels are the same scan, and so are like fingerprints. A patient's name counts alone
    where the layout has taken it out of the case's, as BraTS's and LGG's allow (another time
    point). Elsewhere it is the case's own, and data sets number theirs alike.

    Args:
        cases: of a store.
        seen: what a model was trained on.

    Returns:
        The names of those cases -> "" if name, patient or voxels are the same; else how alike
        the fingerprints are, in words.
    """
    found = {case.name: "" for case in cases if any(_same(case, other) for other in seen)}
    rest = [case for case in cases if case.name not in found]
    pairs = alike([case.fingerprint for case in rest], [other.fingerprint for other in seen])
    for pair in pairs:
        other = "a case" if seen[pair.second].salt else seen[pair.second].name
        found[rest[pair.first].name] = (
            f"{rest[pair.first].name} looks like the same scan as {other} of the training "
            f"(similarity {pair.similarity:.2f})"
        )
    return {case.name: found[case.name] for case in cases if case.name in found}


def _same(case: CaseEntry, other: Identity) -> bool:
    if other.content and other.content == case.content:
        return True
    name, patient = case.name, case.patient
    if other.salt:
        name, patient = hidden(name, other.salt), hidden(patient, other.salt)
    if other.patient != patient:
        return False
    return other.name == name or name != patient != other.name
