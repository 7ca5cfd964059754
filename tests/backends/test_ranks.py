"""One process alone answers itself, and costs nothing."""

from __future__ import annotations

import subprocess
import sys

import torch
from hypothesis import given
from hypothesis import strategies as st

from mriseg.backends.ranks import ALONE, Ranks


def test_one_process_is_all_there_are() -> None:
    tensor = torch.arange(3.0)
    assert ALONE.first and ALONE.speaks and not ALONE.several
    assert ALONE.own([1, 2, 3]) == [1, 2, 3] == ALONE.woven([1, 2, 3])
    assert ALONE.agree("a") == "a" and ALONE.gather("a") == ["a"]
    assert torch.equal(ALONE.stacked(tensor), tensor[None])
    ALONE.sum_([tensor])
    ALONE.same_([tensor])
    assert torch.equal(tensor, torch.arange(3.0))
    with ALONE.explaining():
        pass


@given(st.lists(st.none() | st.integers()), st.integers(1, 5))
def test_shares_are_woven_into_the_order_that_they_had(items: list[int | None], world: int) -> None:
    class One(Ranks):
        def gather(self, value, *kinds):  # type: ignore[no-untyped-def]
            return [items[rank::world] for rank in range(world)]

    ranks = One()
    ranks.rank, ranks.world = world - 1, world
    own = ranks.own(items)
    assert list(own) == items[world - 1 :: world]
    assert ranks.woven(own) == items


def test_one_process_imports_nothing_for_others() -> None:
    code = (
        "import sys, mriseg\n"
        "from mriseg.cli.app import app\n"
        "from mriseg.api import train\n"
        "from mriseg.backends import launch\n"
        "assert not launch.ranks().several\n"
        "print([name for name in sys.modules if name.startswith('mriseg.backends.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "launch" in done.stdout
    assert "joined" not in done.stdout and "parting" not in done.stdout
