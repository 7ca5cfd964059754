"""The kinds that ship have what a kind has."""

from __future__ import annotations

import inspect

import pytest

from mriseg.errors import ConfigError
from mriseg.executors import EXECUTORS, base, chosen
from mriseg.executors.given import GivenPool
from mriseg.executors.processes import ProcessPool


@pytest.mark.parametrize("name", EXECUTORS)
def test_each_kind_is_whole(name: str) -> None:
    kind = EXECUTORS[name]
    assert kind.name == name and kind.summary and isinstance(kind.elsewhere, bool)
    assert list(inspect.signature(kind.pool).parameters) == ["address", "workers"]


@pytest.mark.parametrize("pool", [ProcessPool, GivenPool])
def test_each_pool_is_whole(pool: type) -> None:
    promised = {name for name in vars(base.Pool) if not name.startswith("_")}
    assert promised - {"place", "advice", "packages"} <= set(dir(pool))


def test_a_name_is_needed() -> None:
    with pytest.raises(ConfigError, match="expected NAME or NAME:ADDRESS"):
        chosen(":tcp://host:1")
