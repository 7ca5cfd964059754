"""A model recognises the cases that it was trained on, with and without their names."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from mriseg.core.identity import Identity, hidden, known
from mriseg.core.sampling import CaseEntry
from mriseg.io.disk.schemas import as_json, checked

SEEN = (Identity("a", "pa", "ca", (("T1", "AA=="),)), Identity("b", "pb"))


def case(name: str, patient: str, content: str = "") -> CaseEntry:
    return CaseEntry(name, patient, (1, 1, 1), ("T1",), np.zeros((1, 1)), True, content)


@pytest.mark.parametrize("salt", ["", "salt"])
@pytest.mark.parametrize(
    ("other", "is_known"),
    [
        (case("a", "pa", "other"), True),
        (case("renamed", "x", "ca"), True),
        (case("a", "px", "other"), False),
        # "pa" was derived from the name "a": another case of that patient is recognised too ...
        (case("new", "pa"), True),
        # ... but where a patient is named like the case, other data sets may number theirs alike.
        (case("pa", "pa", "other"), False),
        # Two cases without a digest of their voxels have nothing in common.
        (case("z", "z"), False),
    ],
    ids=lambda value: value.name if isinstance(value, CaseEntry) else "",
)
def test_a_training_case_is_recognised_by_its_patient_or_its_voxels(
    other: CaseEntry, is_known: bool, salt: str
) -> None:
    seen = [item.without_names(salt) for item in SEEN] if salt else SEEN
    assert known([other], seen) == ({other.name: ""} if is_known else {})


def test_hidden_names_differ_by_salt_and_are_hidden_once() -> None:
    assert hidden("a", "one") == hidden("a", "one") != hidden("a", "two")
    identity = SEEN[0].without_names("one")
    assert (identity.name, identity.patient) == (hidden("a", "one"), hidden("pa", "one"))
    assert identity.without_names("two") == identity
    assert (identity.content, identity.fingerprint) == (SEEN[0].content, SEEN[0].fingerprint)


def test_similar_fingerprints_are_recognised_and_named_only_where_names_are_plain() -> None:
    bits = base64.b64encode(np.random.default_rng(0).bytes(256)).decode()
    seen = Identity("a", "pa", "", (("T1", bits),))
    other = replace(case("new", "p"), fingerprint=(("T1", bits),))
    assert known([other], [seen]) == {
        "new": "new looks like the same scan as a of the training (similarity 1.00)"
    }
    [reason] = known([other], [seen.without_names("salt")]).values()
    assert "as a case of the training" in reason


def test_json_round_trip() -> None:
    assert as_json(SEEN[0]) == {
        "name": "a",
        "patient": "pa",
        "content": "ca",
        "fingerprint": {"T1": "AA=="},
        "salt": "",
    }
    for identity in (*SEEN, SEEN[0].without_names("salt")):
        assert checked(Identity, as_json(identity)) == identity
    assert sorted([SEEN[1], SEEN[0]]) == list(SEEN)
