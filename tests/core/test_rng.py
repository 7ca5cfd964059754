"""Generators are named by a seed and a path, and by nothing else."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.rng import derive, generator


@given(st.integers(0, 2**32), st.lists(st.one_of(st.text(), st.integers()), max_size=3))
def test_a_seed_and_a_path_give_one_stream(seed: int, path: list[str | int]) -> None:
    assert 0 <= derive(seed, *path) < 2**63
    first = torch.rand(3, generator=generator(seed, *path))
    torch.rand(5)  # what others draw does not matter
    assert torch.equal(first, torch.rand(3, generator=generator(seed, *path)))


def test_other_paths_give_other_streams() -> None:
    names = [derive(seed, kind, n) for seed in range(3) for kind in "ab" for n in range(20)]
    assert len(set(names)) == len(names)


def test_the_streams_stay_what_they_were() -> None:
    # A run that is resumed under a later version must draw what it would have drawn.
    assert derive(0, "augment", 7) == 935863886475054563
