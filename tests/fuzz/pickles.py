"""Pickles that do something when they are read, in the files that PyTorch and numpy write."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch


class Bomb:
    """Unpickled, it calls a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def bombs(planted: Path) -> list[Bomb]:
    """Each would make the file ``planted``, in another way."""
    return [
        Bomb(os.system, f"touch {planted}"),
        Bomb(Path.touch, planted),
        Bomb(builtins.exec, f"open({str(planted)!r}, 'w').close()"),
        Bomb(builtins.eval, f"open({str(planted)!r}, 'w').close()"),
        Bomb(torch.save, {}, str(planted)),
        Bomb(np.save, str(planted), 0),
        Bomb(builtins.open, str(planted), "w"),
    ]


def files(value: Any) -> list[bytes]:
    """``value`` as a plain pickle, as PyTorch's two formats, and as numpy's two."""
    contents = [pickle.dumps(value, protocol=2)]
    for modern in (True, False):
        buffer = io.BytesIO()
        torch.save(value, buffer, _use_new_zipfile_serialization=modern)
        contents.append(buffer.getvalue())
    array = np.array([value], dtype=object)
    for save in (np.save, np.savez):
        buffer = io.BytesIO()
        save(buffer, array)  # type: ignore[operator]
        contents.append(buffer.getvalue())
    return contents


def script() -> bytes:
    """A TorchScript archive: a program, where weights are expected."""
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def inflated(size: int = 2**28) -> bytes:
    """PyTorch's archive of a tensor of zeros, packed as PyTorch never does: a zip bomb."""
    plain, buffer = io.BytesIO(), io.BytesIO()
    torch.save({"features.0.weight": torch.zeros(size // 4)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for record in source.infolist():
            target.writestr(record.filename, source.read(record))
    return buffer.getvalue()


def pickled(rng: Random, outside: str) -> bytes:
    """A file that would do something, or holds what is no weights."""
    values: list[Any] = [
        rng.choice(bombs(Path(outside) / "planted")),
        {"features.0.weight": rng.choice(bombs(Path(outside) / "planted"))},
        {"features.0.weight": 1},
        {1: torch.zeros(2)},
        [torch.zeros(2)],
        torch.zeros(2),
        None,
        {},
        {"a": {"b": torch.zeros(1)}},
        {"features.0.weight": torch.zeros(64, 3, 3, 3).to_sparse()},
        {"features.0.weight": torch.zeros(4, dtype=torch.complex64)},
    ]
    return rng.choice([*files(rng.choice(values)), script()])
