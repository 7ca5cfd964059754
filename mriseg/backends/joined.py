"""Processes that train together, on one machine or several, by ``torch.distributed``."""

from __future__ import annotations

import atexit
import json
import os
import platform
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.elastic.multiprocessing.errors import ErrorHandler
from torch.distributed.rendezvous import rendezvous

from mriseg import __version__
from mriseg.backends.base import Backend, type_name
from mriseg.backends.machine import ran_out
from mriseg.backends.parting import Keys, Parting
from mriseg.backends.ranks import Launch, Ranks
from mriseg.core.packing import pack, unpack
from mriseg.core.wording import counted
from mriseg.errors import (
    BackendError,
    ConfigError,
    MrisegError,
    OutputError,
    RankError,
    first_line,
    reason_of,
)

T = TypeVar("T")

# To find one another: they are started at once, but machines load Python at their own speed.
_JOINING = timedelta(minutes=10)
# For one to do what the others wait for. That one has died shows at once, and not by this.
_WORKING = timedelta(days=7)
# Seconds in which the first process shows what ended all, where it ends by the same reason. One
# that fails alone then speaks and ends: only that wakes the others, whose sockets Gloo keeps open.
_SPEAKING = 3.0
# Seconds in which they hear of it.
_LINGERING = 1.0
# Bytes of a message that most values fit into.
_HEAD = 64


class _LostError(Exception):
    """Another process did not answer."""


class _Here:
    """What this process has joined, and whether it tried to in vain."""

    ranks: Joined | None = None
    apart: bool = False


def join(launch: Launch) -> Joined:
    """Join the processes of ``launch``; the same ones whenever it is called.

    Raises:
        ConfigError: this program has already joined a group of its own.
        BackendError: the processes do not find one another, or are of different versions.
    """
    if _Here.ranks is None:
        if dist.is_initialized():
            raise ConfigError(
                "this program has called torch.distributed.init_process_group: leave that to "
                "mriseg, which joins the processes of torchrun by itself"
            )
        if torch.cuda.is_available():
            torch.cuda.set_device(launch.local % torch.cuda.device_count())
        _Here.ranks = Joined(launch)
        atexit.register(leave)
        with _Here.ranks.explaining():
            _Here.ranks.introduce()
    return _Here.ranks


def speaks() -> bool:
    """Whether this process says what it has to say; see `Ranks`."""
    return _Here.ranks.speaks if _Here.ranks is not None else _Here.apart


def leave() -> None:
    """Leave them: all that they had to do together is done."""
    if _Here.ranks is not None:
        _Here.ranks.leave()
        _Here.ranks = None


class Joined(Ranks):
    """Several processes; see `Ranks`.

    Attributes:
        hosts: the machine of each.
    """

    def __init__(self, launch: Launch) -> None:
        self.rank, self.world, self.speaks = launch.rank, launch.world, launch.rank == 0
        self.hosts = [platform.node()] * self.world
        self._by_gpu = torch.cuda.is_available() and dist.is_nccl_available()
        self._ended: BaseException | None = None
        try:
            store, *_ = next(rendezvous("env://", timeout=_JOINING))
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if self._by_gpu else "gloo",
                store=dist.PrefixStore("group", store),  # type: ignore[attr-defined]
                rank=self.rank,
                world_size=self.world,
                timeout=_WORKING,
            )
        except (RuntimeError, ValueError, OSError) as error:
            _Here.apart = True
            where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
            raise BackendError(
                f"rank {self.rank} of {self.world} does not reach the others at {where} "
                f"({first_line(error)}); start all of them together, with MASTER_ADDR a machine "
                f"that each of them reaches"
            ) from None
        parting = dist.PrefixStore("parting", store)  # type: ignore[attr-defined]
        self._parting = Parting(cast("Keys", parting), self.rank, self._names())

    def introduce(self) -> None:
        """Learn who the others are.

        Raises:
            BackendError: they are of other versions.
        """
        self.hosts = self.gather(platform.node())
        self._parting.names = self._names()
        mine = f"mriseg {__version__} and PyTorch {torch.__version__}"
        self.check_alike(mine, BackendError, "install the same on every machine")

    def check_alike(self, mine: str, error: type[MrisegError], remedy: str) -> None:
        """Raise ``error`` if another process has something else than ``mine``."""
        every = self.gather(mine)
        for rank, theirs in enumerate(every):
            if theirs != every[0]:
                names = self._names()
                raise error(f"{names[rank]} has {theirs}, and {names[0]} {every[0]}: {remedy}")

    def _names(self) -> list[str]:
        far = len(set(self.hosts)) > 1
        return [
            f"rank {rank} of {self.world}{f' on {host}' * far}"
            for rank, host in enumerate(self.hosts)
        ]

    # What they tell one another

    def agree(self, value: T, *kinds: type) -> T:
        """See `Ranks.agree`."""
        data = pack(value) if self.first else b""
        head = _bytes(len(data).to_bytes(8, "big") + data[: _HEAD - 8], _HEAD)
        self._call(dist.broadcast, head, 0)
        size = int.from_bytes(head[:8].numpy().tobytes(), "big")
        whole = head[8:]
        if size > len(whole):
            whole = _bytes(data, size)
            self._call(dist.broadcast, whole, 0)
        sent: T = value if self.first else unpack(whole[:size].numpy().tobytes(), kinds)
        return sent

    def gather(self, value: T, *kinds: type) -> list[T]:
        """See `Ranks.gather`."""
        data = pack(value)
        sizes = self.stacked(torch.tensor([len(data)])).flatten().tolist()
        rows = self.stacked(_bytes(data, max(sizes)))
        pairs = zip(rows, sizes, strict=True)
        return [unpack(row[:size].numpy().tobytes(), kinds) for row, size in pairs]

    def same_(self, tensors: Iterable[Tensor]) -> None:
        """See `Ranks.same_`."""
        with torch.no_grad():
            for tensor in tensors:
                whole = tensor.contiguous()
                self._call(dist.broadcast, whole, 0)
                tensor.copy_(whole)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """See `Ranks.sum_`; all of them in one message."""
        with torch.no_grad():
            whole = torch.cat([tensor.reshape(-1) for tensor in tensors])
            self._call(dist.all_reduce, whole)
            parts = whole.split([tensor.numel() for tensor in tensors])  # type: ignore[no-untyped-call]
            for tensor, part in zip(tensors, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def stacked(self, tensor: Tensor) -> Tensor:
        """See `Ranks.stacked`."""
        own = tensor.detach().contiguous()
        every = own.new_empty((self.world, *own.shape))
        self._call(dist.all_gather, list(every.unbind()), own)
        return every

    def _call(self, function: Callable[..., object], *given: Any) -> None:
        try:
            function(*given)
        except RuntimeError as error:
            raise _LostError(first_line(error)) from error

    # How they end

    @contextmanager
    def explaining(self) -> Iterator[None]:
        """See `Ranks.explaining`."""
        try:
            yield
        except (GeneratorExit, SystemExit):
            raise
        except BaseException as error:
            # Once, however many of these contexts it passes through.
            if self._ended is error or getattr(error, "exit_code", 1) == 0:
                raise
            self._end(error)

    def _end(self, error: BaseException) -> NoReturn:
        """Raise what ``error`` means for this process, once the others have heard of it."""
        _ignore_signals()  # torchrun sends one as soon as any process has ended
        if isinstance(error, KeyboardInterrupt):
            self._parting.stopped()
            self._raise(self._parting.why(stopping=True) or error)
        if isinstance(error, _LostError | dist.DistError):
            self._parting.lost()
            lost = RankError(f"{self._names()[self.rank]} has lost the others ({error})")
            self._raise(self._parting.why(stopping=False) or lost)
        said = str(error) if isinstance(error, MrisegError) else first_line(error)
        code = BackendError.exit_code if ran_out(error) else getattr(error, "exit_code", 1)
        if isinstance(error, OSError):
            said, code = reason_of(error), OutputError.exit_code
        self._parting.failed(said, code)
        if not self.first and not isinstance(error, MrisegError | OSError) and not ran_out(error):
            self.speaks = True  # a mistake of mriseg's, with its traceback
        own = RankError(f"{self._names()[self.rank]}: {said}")
        own.exit_code = code
        _Reason().record_exception(own)
        self._raise(error, instead=own)

    def _raise(self, error: BaseException, *, instead: RankError | None = None) -> NoReturn:
        """Raise ``error``, which the first process shows, or else this one, as ``instead``."""
        self._ended = error
        if self.first:
            self._parting.spoke()
            # Without torchrun the store is this process's, and the others have still to read that.
            time.sleep(_LINGERING)
        elif not self.speaks and not isinstance(error, KeyboardInterrupt):
            self._hang_up()  # whoever waits for this process learns that it is gone
            if not self._parting.wait_for_words(_SPEAKING):
                self._parting.spoke()
                self.speaks = True
                self._ended = error = instead or error
        raise error from None

    def leave(self) -> None:
        """Say that nothing more is to come."""
        self._parting.done()
        self._hang_up()

    def _hang_up(self) -> None:
        # NCCL would wait for what the GPU has still to do; its connections end with the process.
        if dist.is_initialized() and not self._by_gpu:
            with suppress(RuntimeError):
                dist.destroy_process_group()


def described(ranks: Ranks, backend: Backend) -> str:
    """How many train together, and by what, in a sentence."""
    assert isinstance(ranks, Joined)
    machines = len(set(ranks.hosts))
    where = f" on {counted(machines, 'machine')}" if machines > 1 else ""
    by = "NCCL" if backend.device.type == "cuda" else "Gloo"
    return f"{ranks.world} processes{where} train together, by {by}"


def check_devices(ranks: Ranks, backend: Backend) -> None:
    """Make sure that all compute alike, and each on a GPU of its own.

    Raises:
        BackendError: they do not.
    """
    assert isinstance(ranks, Joined)
    how = f"the backend {backend.name} in {type_name(backend.dtype)}"
    how += " with --deterministic" * backend.deterministic
    ranks.check_alike(
        how, BackendError, "choose one for all, with --backend and --precision, that each has"
    )
    if backend.device.type != "cuda":
        return
    gpus = ranks.gather((platform.node(), str(torch.cuda.get_device_properties(None).uuid)))
    for rank, gpu in enumerate(gpus):
        if (first := gpus.index(gpu)) < rank:
            raise BackendError(
                f"ranks {first} and {rank} share one GPU of {gpu[0]}: start as many processes "
                f"there as it has GPUs, with --nproc-per-node, or use --backend cpu"
            )


def _bytes(data: bytes, size: int) -> Tensor:
    """``data`` as a tensor of ``size``, filled up with zeros."""
    return torch.frombuffer(bytearray(data.ljust(size, b"\0")), dtype=torch.uint8)


def _ignore_signals() -> None:
    """From here on this process ends by itself, within seconds, with its message."""
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)


class _Reason(ErrorHandler):
    """Leaves a reason where torchrun's report of a failure looks for it; without a traceback."""

    def record_exception(self, e: BaseException) -> None:
        file = self._get_error_file_path()
        if file:
            text = json.dumps({"message": str(e), "timestamp": int(time.time())})
            self._write_error_file(file, text)
