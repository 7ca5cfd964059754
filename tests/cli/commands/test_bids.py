"""mriseg bids: typed as other BIDS Apps are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.cli.commands.bids import _one_by_one
from tests import bids
from tests.cli.conftest import Type

SESSIONS = "--session-label 1 --session-label 2"
MODEL = "--no-overlays --no-flips --backend cpu --precision fp32"


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("a b participant", "a b participant"),
        ("a --participant-label 1 2 -h", "a --participant-label 1 --participant-label 2 -h"),
        ("--participant_label=1 --session_label 1 2", "--participant-label=1 " + SESSIONS),
        ("--participant-label", "--participant-label"),
        ("--participant-label --model m", "--participant-label --model m"),
        ("--skip_bids_validation x", "--skip-bids-validation x"),
    ],
)  # fmt: skip
def test_lists_are_written_without_commas(typed: str, read: str) -> None:
    assert [*_one_by_one(typed.split())] == read.split()


def test_there_is_no_group_level(tmp_path: Path, type_in: Type) -> None:
    refused = type_in(tmp_path, "mriseg bids in out group --participant-label 1 2")
    assert refused.exit_code == 2 and "each participant is segmented alone" in refused.stderr


@pytest.mark.slow
def test_a_data_set_is_segmented(worked: Path, run: Path, type_in: Type) -> None:
    raw = worked / "raw"
    sessions = [("01", "1"), ("01", "2"), ("02", "1")]
    bids.write(raw, sessions, modalities=[*bids.SUFFIXES], shape=(12, 40, 36))
    out = "raw/derivatives/mriseg"
    line = f"mriseg bids raw {out} participant --model {run} {MODEL}"
    result = type_in(worked, f"{line} --participant_label 01 02 --session-label 1")
    assert result.exit_code == 0, result.output
    anat = worked / out / "sub-01" / "ses-1" / "anat"
    assert (anat / "sub-01_ses-1_label-WT_desc-mriseg_mask.nii.gz").is_file()
    assert len(list((worked / out).rglob("*_dseg.nii.gz"))) == 2
    again = type_in(worked, f"mriseg predict raw {out} --bids --model {run} {MODEL}")
    assert again.exit_code == 0 and again.stdout.count("(kept)") == 2
    # Predictions are no truth to be trained on or measured with.
    plan = type_in(worked, "mriseg inspect raw")
    assert plan.exit_code == 0 and "a prediction of mriseg" in plan.output

    group = type_in(worked, f"mriseg bids raw {out} group")
    assert group.exit_code == 2 and "each participant is segmented alone" in group.stderr
    nobody = type_in(worked, f"{line} --participant-label 09")
    assert nobody.exit_code == 3 and "there is no sub-09" in nobody.stderr
    onto = type_in(worked, f"mriseg bids raw raw participant --model {run} {MODEL}")
    assert onto.exit_code == 5 and "raw/derivatives/mriseg" in onto.stderr
