"""Each error of mriseg's becomes the status that a page can act on."""

from __future__ import annotations

import pytest

from mriseg.annotation.refusals import RefusedError, refusal_of
from mriseg.errors import BusyError, CaseError, ConfigError, InputError, MrisegError, OutputError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (RefusedError(409, "too late", {"who": "ann"}), 409, "too late"),
        (CaseError("a", "it is cut"), 422, "it is cut"),
        (InputError("not NIfTI"), 422, "not NIfTI"),
        (BusyError("held"), 503, "held"),
        (OutputError("the disk is full"), 507, "the disk is full"),
        (ConfigError("no"), 500, "no"),
    ],
)
def test_errors_have_a_status_and_their_own_words(
    error: MrisegError, status: int, said: str
) -> None:
    refusal = refusal_of(error)
    assert (refusal.status, str(refusal)) == (status, said)
    assert refusal.facts == ({"who": "ann"} if status == 409 else {})
