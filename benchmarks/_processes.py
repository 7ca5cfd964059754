"""Contenders in processes of their own, so that no library's settings or caches meet another's."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

Actions = Mapping[str, Callable[[], Any]]


class Process:
    """A process in which ``make(*arguments)`` made some actions, to be called by name.

    ``make`` is a function of a module, since the new process imports it.
    """

    def __init__(self, make: Callable[..., Actions], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._end, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self, action: str) -> Any:
        """The result of an action there.

        Raises:
            RuntimeError: it failed there, or the process is gone (mostly because memory ran out).
        """
        self._end.send(action)
        try:
            ok, value = self._end.recv()
        except EOFError:
            self._process.join()
            raise RuntimeError(
                f"the process of {action!r} ended with code {self._process.exitcode}; "
                f"-9 is most often for want of memory"
            ) from None
        if not ok:
            raise RuntimeError(value)
        return value

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._end.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """``function(*arguments)`` in a new process, gone afterwards."""
    with Process(_one, function, arguments) as process:
        return process("call")


def _one(function: Callable[..., Any], arguments: tuple[object, ...]) -> Actions:
    return {"call": lambda: function(*arguments)}


def _serve(end: Connection, make: Callable[..., Actions], arguments: tuple[object, ...]) -> None:
    actions: Actions | None = None
    while True:
        try:
            name = end.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            actions = make(*arguments) if actions is None else actions
            end.send((True, actions[name]()))
        except Exception:
            end.send((False, traceback.format_exc()))
