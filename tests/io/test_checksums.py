from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io.checksums import sha256


def test_it_is_the_sha_256_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 100_000)
    assert sha256(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x.nii cannot be read"):
        sha256(tmp_path / "x.nii")
