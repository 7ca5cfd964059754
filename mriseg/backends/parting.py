"""Why processes that train together ended: each says it to the others before it goes.

It is said in a store, a few keys that all of them see. A process that is killed says nothing, so
each also gives a sign of life now and then.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from mriseg.errors import RankError

# Seconds between two signs of life, and without any after which a process is dead.
_BEAT, _DEAD = 0.5, 2.5
_WAIT = 0.05


class Keys(Protocol):
    """A store as ``torch.distributed`` has them."""

    def set(self, key: str, value: str, /) -> None:
        """Give ``key`` a value, which all processes see."""

    def get(self, key: str, /) -> bytes:
        """The value of ``key``; it is waited for."""

    def check(self, keys: list[str], /) -> bool:
        """Whether all of ``keys`` have a value."""

    def clone(self) -> Keys:
        """Another connection to the same store."""


class Parting:
    """What processes say of their own end, and what each can say of the others'.

    Args:
        store: that all of them see.
        rank: number of this process.
        names: of all, for people; replaced once they are known.
    """

    def __init__(self, store: Keys, rank: int, names: Sequence[str]) -> None:
        self.names = names
        self._store, self._rank = store, rank
        self._over = threading.Event()
        # Whether the store is; it is torchrun's, or else the first process's.
        self._gone = False
        # A connection of its own: the other's may be waiting for an answer.
        beats = threading.Thread(target=self._live, args=(store.clone(),), daemon=True)
        beats.start()

    def _live(self, store: Keys) -> None:
        count = 0
        with suppress(RuntimeError):
            while not self._over.wait(_BEAT) and not self._gone:
                count += 1
                store.set(f"alive/{self._rank}", str(count))

    def failed(self, reason: str, exit_code: int) -> None:
        """This process has failed."""
        self._say(f"failed/{self._rank}", json.dumps([reason, exit_code]))

    def lost(self) -> None:
        """Another process did not answer this one."""
        self._say(f"lost/{self._rank}")

    def stopped(self) -> None:
        """This process was asked to stop."""
        self._say(f"stopped/{self._rank}")

    def done(self) -> None:
        """This process has ended; nothing is heard of it any more."""
        self._say(f"done/{self._rank}")
        self._over.set()

    def spoke(self) -> None:
        """What ended all was shown to the user."""
        self._say("spoken")

    def wait_for_words(self, seconds: float) -> bool:
        """Wait so long for another process to show what ended all; whether one has."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._heard("spoken") is None and not self._gone:
            time.sleep(_WAIT)
        return self._heard("spoken") is not None

    def why(self, *, stopping: bool) -> RankError | None:
        """What ended another process, as the error that this one ends with.

        Args:
            stopping: whether this process was asked to stop. Then the others were, too, as a rule,
                and nothing has gone wrong: None.
        """
        others = [rank for rank in range(len(self.names)) if rank != self._rank]
        before = {rank: self._heard(f"alive/{rank}") for rank in others}
        until = time.monotonic() + _DEAD
        while True:
            if (error := self._failure(others)) is not None:
                return error
            if self._gone:
                return self._killed([0] if self._rank else [])
            silent = [rank for rank in others if not self._has_parted(rank)]
            if time.monotonic() > until or (stopping and not silent):
                break
            time.sleep(_WAIT)
        dead = [rank for rank in silent if self._heard(f"alive/{rank}") == before[rank]]
        if dead:
            return self._killed(dead)
        signalled = [rank for rank in others if self._heard(f"stopped/{rank}") is not None]
        if signalled and not stopping:
            return RankError(f"{self.names[signalled[0]]} was stopped by a signal")
        return None

    def _killed(self, dead: Sequence[int]) -> RankError:
        named = " and ".join(self.names[rank] for rank in dead) or "torchrun"
        return RankError(
            f"{named} ended without a word: killed, for which too little memory is the usual "
            f"reason, or cut off from the others"
        )

    def _failure(self, others: Sequence[int]) -> RankError | None:
        for rank in others:
            if (failure := self._heard(f"failed/{rank}")) is not None:
                reason, exit_code = json.loads(failure)
                error = RankError(f"{self.names[rank]}: {reason}")
                error.exit_code = exit_code
                return error
        return None

    def _has_parted(self, rank: int) -> bool:
        return any(self._heard(f"{how}/{rank}") is not None for how in ("stopped", "lost", "done"))

    def _say(self, key: str, value: str = "yes") -> None:
        if not self._gone:
            try:
                self._store.set(key, value)
            except RuntimeError:
                self._gone = True

    def _heard(self, key: str) -> str | None:
        if not self._gone:
            try:
                if self._store.check([key]):
                    return self._store.get(key).decode()
            except RuntimeError:
                self._gone = True
        return None
