"""What the environment says of other processes is read, or refused with what is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mriseg.backends import Backend
from mriseg.backends.launch import launched, ranks, together
from mriseg.backends.ranks import ALONE, Launch, Ranks
from mriseg.errors import BackendError, ConfigError
from tests.ranks import environment


@pytest.mark.parametrize(
    "given",
    [{}, {"WORLD_SIZE": "1"}, {**environment(0, 1, 29500)}, {"RANK": "7"}, {"MASTER_ADDR": "a"}],
)
def test_one_process_is_alone(given: dict[str, str]) -> None:
    assert launched(given) is None


def test_one_of_several_knows_its_place() -> None:
    assert launched(environment(2, 3, 29500)) == Launch(rank=2, world=3, local=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": ""}, "RANK is not set"),
        ({"WORLD_SIZE": ""}, "WORLD_SIZE is not set"),
        ({"MASTER_ADDR": "", "LOCAL_RANK": ""}, "LOCAL_RANK is not set and MASTER_ADDR is not set"),
        ({"MASTER_PORT": "http"}, "MASTER_PORT is 'http', which is not a number"),
        ({"RANK": "3"}, "RANK is 3 and WORLD_SIZE 3"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2'"),
    ],
)
def test_half_an_environment_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        launched({**environment(1, 3, 29500), **change})


def test_without_others_a_backend_is_what_it_was(
    cpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in environment(0, 1, 1):
        monkeypatch.delenv(name, raising=False)
    assert ranks() is ALONE and together(cpu, ALONE) is cpu


def test_what_several_processes_cannot_do_is_refused(cpu: Backend) -> None:
    several = Ranks()
    several.world = 2
    with pytest.raises(BackendError, match="--compile always does not go with several"):
        together(replace(cpu, compile="always"), several)
    with pytest.raises(BackendError, match="several processes cannot train on mps"):
        together(replace(cpu, name="mps", device=torch.device("mps")), several)
