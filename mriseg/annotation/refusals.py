"""How a request of the page is refused: a status, one sentence, and what the page needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mriseg.errors import BusyError, CaseError, InputError, MrisegError, OutputError


class RefusedError(InputError):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        facts: further values of the answer.
    """

    def __init__(self, status: int, message: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.facts = status, facts or {}


def refusal_of(error: MrisegError) -> RefusedError:
    """An error of mriseg's as the answer to a request."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, BusyError):
        return RefusedError(503, str(error))
    if isinstance(error, OutputError):
        return RefusedError(507, str(error))
    if isinstance(error, CaseError):
        return RefusedError(422, error.reason)
    return RefusedError(422 if isinstance(error, InputError) else 500, str(error))
