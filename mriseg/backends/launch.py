"""How this process was started: alone, or as one of several by torchrun.

torchrun says so in the environment, and anything else that starts processes (srun) can do so:
``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from mriseg.backends.base import Backend, Decision
from mriseg.backends.ranks import ALONE, Launch, Ranks
from mriseg.errors import BackendError, ConfigError

_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")
_NAMES = (*_NUMBERS, "MASTER_ADDR")


def launched(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """How this process was started with others; None: it is alone.

    Raises:
        ConfigError: the environment says that there are others, but not all that it takes to find
            them.
    """
    given = {name: environment.get(name, "") for name in _NAMES}
    if given["WORLD_SIZE"].strip() in ("", "1") and not (given["RANK"] and given["MASTER_ADDR"]):
        return None
    if given["WORLD_SIZE"].strip() == "1":
        return None
    lacking = [name for name in _NAMES if not given[name]]
    wrong = [name for name in _NUMBERS if given[name] and not given[name].strip().isdecimal()]
    if lacking or wrong:
        what = [f"{name} is not set" for name in lacking]
        what += [f"{name} is {given[name]!r}, which is not a number" for name in wrong]
        raise ConfigError(
            f"the environment says that several processes train together, and {' and '.join(what)}:"
            f" start them with torchrun, or set {', '.join(_NAMES)}; to train with one process, "
            f"unset WORLD_SIZE and RANK"
        )
    rank, world, local, _ = (int(given[name]) for name in _NUMBERS)
    if rank >= world:
        raise ConfigError(f"RANK is {rank} and WORLD_SIZE {world}: ranks are numbered from 0")
    return Launch(rank, world, local)


def ranks() -> Ranks:
    """The processes that this one was started with, which it joins the first time.

    Raises:
        ConfigError: see `launched`.
        BackendError: they do not find one another, or do not fit together.
    """
    launch = launched()
    if launch is None:
        return ALONE
    # Late: it imports torch.distributed, which nobody else needs.
    from mriseg.backends import joined

    return joined.join(launch)


def together(backend: Backend, ranks: Ranks) -> Backend:
    """``backend`` as one of several that train together.

    Raises:
        BackendError: several processes cannot train on it.
    """
    if not ranks.several:
        return backend
    if backend.device.type not in ("cpu", "cuda"):
        raise BackendError(
            f"several processes cannot train on {backend.name}: use --backend cpu or cuda, or one "
            f"process"
        )
    if backend.compile == "always":
        raise BackendError(
            "--compile always does not go with several processes; leave it out, or use one process"
        )
    from mriseg.backends import joined

    joined.check_devices(ranks, backend)
    why = "batch normalisation waits for other processes within the network"
    notes = [joined.described(ranks, backend)]
    if backend.compile == "auto":
        notes.append("torch.compile is not tried where several processes train together")
    return replace(
        backend,
        ranks=ranks,
        compile="never",
        notes=(*backend.notes, *notes),
        decisions=(
            *(item for item in backend.decisions if item.what != "torch.compile"),
            Decision("torch.compile", "never", why),
        ),
    )
