from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.modalities import MODALITIES
from mriseg.io.runs import Run
from mriseg.recipes.channels import Channels, too_few, unfit

_SOME = st.lists(st.sampled_from([*MODALITIES, "ADC"]), unique=True, min_size=1)


@given(_SOME, _SOME, _SOME)
def test_every_modality_is_used_missing_or_said_not_to_be(
    scan: list[str], allowed: list[str], reads: list[str]
) -> None:
    chosen = [name for name in scan if name in allowed]
    channels = Channels.of(scan, chosen, reads)
    assert set(channels.used) == set(chosen) & set(reads)
    assert list(channels.used) == [name for name in reads if name in channels.used]
    assert set(channels.missing) == set(reads) - set(scan)
    assert set(channels.used) | set(channels.unused) == set(scan)
    text = " ".join(channels.notices)
    assert all(name in text for name in (*channels.missing, *channels.unused))
    assert bool(text) == bool(channels.missing or channels.unused)


def test_the_notice_is_one_line() -> None:
    channels = Channels.of(("T1", "T2", "FLAIR"), ("T1", "FLAIR"), ("T1", "T1CE", "T2", "FLAIR"))
    assert channels.notices == [
        "used T1, FLAIR; lacks T1CE: the channel reads 0, the brain's mean; not used: T2"
    ]


def test_what_a_model_never_saw_missing_must_be_there(trained: Run) -> None:
    reads = trained.manifest.modalities
    assert too_few(reads, trained.manifest, allow_missing=False) == ""
    lacking = reads[1:]
    assert "--allow-missing" in too_few(lacking, trained.manifest, allow_missing=False)
    assert too_few(lacking, trained.manifest, allow_missing=True) == ""
    tolerant = replace(trained.manifest, incomplete=True)
    assert too_few(lacking, tolerant, allow_missing=False) == ""
    assert "none fits" in too_few(("ADC",), tolerant, allow_missing=True)


@pytest.mark.parametrize(
    ("has", "allowed", "said"),
    [
        (None, None, ""),
        (("T1", "T2", "FLAIR"), None, ""),
        (("T1",), ("FLAIR",), "it has T1: nothing is left with FLAIR"),
        (("T1", "T2", "FLAIR"), ("FLAIR",), "lacks T1, T2"),
    ],
)
def test_what_names_alone_tell(
    trained: Run, has: tuple[str, ...] | None, allowed: tuple[str, ...] | None, said: str
) -> None:
    reason = unfit(has, trained.manifest, allowed, allow_missing=False)
    assert said in reason and bool(said) == bool(reason)
