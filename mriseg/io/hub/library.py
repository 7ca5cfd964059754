"""huggingface_hub, which not everybody has installed, and what its errors mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mriseg.errors import MrisegError, first_line
from mriseg.extras import Extra

_HUB = Extra("hub", "a model on the Hub", ("huggingface_hub",))
LOGIN = "log in with: hf auth login, or set HF_TOKEN"


def library(part: str = "") -> Any:
    """The module huggingface_hub, or a part of it.

    Raises:
        ConfigError: it is not installed.
    """
    return _HUB.library(f"huggingface_hub{part and '.'}{part}")


def endpoint() -> str:
    """The address of the Hub: HF_ENDPOINT, or https://huggingface.co."""
    return str(library("constants").ENDPOINT)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids to ask the Hub."""
    return bool(library("constants").is_offline_mode())


class UnreachableError(Exception):
    """The Hub did not answer."""


@contextmanager
def explained(place: str, kind: type[MrisegError]) -> Iterator[None]:
    """Turn errors of the library and of the network into one message each.

    Args:
        place: what was asked for, such as "hf:USER/NAME@main".
        kind: of the error that is raised.

    Raises:
        MrisegError: of that kind: the Hub answered, and refused.
        UnreachableError: it did not answer.
    """
    errors = library("errors")
    # Of the library's HTTP client, whichever it is: the base of all that goes wrong on the way.
    transport: type[Exception] = errors.HfHubHTTPError.__bases__[0]
    try:
        yield
    except errors.RevisionNotFoundError:
        raise kind(
            f"{place}: the Hub has that model, but no such revision; a revision is a commit, a "
            f"tag or a branch, as the page of the model lists them"
        ) from None
    except errors.GatedRepoError:
        raise kind(
            f"{place}: its owner gives access on request alone; ask for it on its page "
            f"({endpoint()}), then {LOGIN}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise kind(
            f"{place}: there is no such model on {endpoint()}, or it is private and may not be "
            f"seen with the token in use; check the name, or {LOGIN}"
        ) from None
    except errors.HfHubHTTPError as error:
        raise kind(_refused(place, error)) from None
    except errors.OfflineModeIsEnabled as error:
        raise UnreachableError("HF_HUB_OFFLINE is set") from error
    except (transport, ConnectionError, TimeoutError) as error:
        raise UnreachableError(first_line(error)) from error


def _refused(place: str, error: Any) -> str:
    """The message for an answer that is no success."""
    status = error.response.status_code
    if status == 401:
        return f"{place}: {endpoint()} does not know the token in use; {LOGIN}"
    if status == 403:
        return f"{place}: the token in use has no right to do this; {LOGIN} with one that has"
    return f"{place}: {endpoint()} answered {status}; try again later ({first_line(error)})"
