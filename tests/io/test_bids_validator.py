"""The validator of BIDS is found, asked and believed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io import bids_validator
from tests import bids


def test_it_is_of_another_opinion_than_nobody(tmp_path: Path) -> None:
    bids.write(tmp_path, [("01", "")])
    assert bids.problems(tmp_path) == []
    bids.image(bids.anat(tmp_path, "01") / "sub-01_mystery.nii.gz")
    (problem,) = bids.problems(tmp_path)
    assert problem.where == "/sub-01/anat/sub-01_mystery.nii.gz" and problem.code


def test_without_it_the_message_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bids_validator, "_PROGRAM", "bids-validator-that-is-not-there")
    assert bids_validator.program() is None
    with pytest.raises(InputError, match=r'pip install "mriseg\[bids\]"'):
        bids_validator.problems_of(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts with #! do not run there")
@pytest.mark.parametrize("script", ["exit 1", "echo '[]'", "echo 'no' >&2; echo '{'"])
def test_one_that_does_not_run_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    program = tmp_path / "validator"
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(bids_validator, "_PROGRAM", str(program))
    with pytest.raises(InputError, match="does not run here"):
        bids_validator.problems_of(tmp_path)
