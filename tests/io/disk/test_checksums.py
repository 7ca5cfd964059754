"""Sources are recognised, and a sealed file notices any changed bit."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from mriseg.errors import InputError
from mriseg.io.disk.checksums import (
    BLANK,
    as_written,
    digest,
    digest_of,
    seal,
    sealed_json,
    sha256,
    write_sealed_json,
)


def test_it_is_the_sha_256_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"abc" * 100_000)
    assert sha256(path) == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="x.nii cannot be read"):
        sha256(tmp_path / "x.nii")


def test_the_sum_of_an_open_file_is_taken_in_pieces() -> None:
    content = bytes(range(256)) * 10_000
    assert digest(io.BytesIO(content)) == hashlib.sha256(content).hexdigest()


def test_a_sealed_document_is_json_with_its_digest_in_front(tmp_path: Path) -> None:
    write_sealed_json(tmp_path / "x.json", {"a": 1, "digest of": "b"})
    content = (tmp_path / "x.json").read_bytes()
    document = json.loads(content)
    assert list(document) == ["digest", "a", "digest of"]
    # As the page on formats says: the sum of the file with zeros in place of the digest.
    blank = content.replace(document["digest"].encode(), BLANK.encode())
    assert document["digest"] == hashlib.sha256(blank).hexdigest()
    assert as_written(io.BytesIO(content))


def test_every_flipped_bit_of_a_document_is_noticed() -> None:
    content = bytearray(sealed_json({"a": [1, 2.5], "name": "Kopf", "digest": BLANK}))
    for bit in range(8 * len(content)):
        content[bit // 8] ^= 1 << bit % 8
        assert as_written(io.BytesIO(content)) is False, bit
        content[bit // 8] ^= 1 << bit % 8
    assert as_written(io.BytesIO(content))


def test_a_file_of_tensors_is_sealed_in_place(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    state = json.dumps({"digest": BLANK, "epoch": 3})
    save_file({"a": torch.arange(200.0)}, path, metadata={"state": state})
    size = path.stat().st_size
    seal(path)
    content = bytearray(path.read_bytes())
    assert len(content) == size and as_written(io.BytesIO(content))
    for bit in range(0, 8 * size, 7):
        content[bit // 8] ^= 1 << bit % 8
        assert as_written(io.BytesIO(content)) is False, bit
        content[bit // 8] ^= 1 << bit % 8


@given(st.binary(max_size=2000))
def test_what_carries_no_digest_says_so(content: bytes) -> None:
    assert as_written(io.BytesIO(content)) is None
    with pytest.raises(ValueError, match="no place"):
        digest_of(content)


@given(st.text(), st.text())
def test_names_within_a_document_are_not_taken_for_its_digest(name: str, value: str) -> None:
    fake = {name: value, "x": f'"digest": "{BLANK}"', "y": {"digest": "0" * 64}}
    assert as_written(io.BytesIO(sealed_json({"a": fake})))


def test_a_file_without_a_place_is_not_sealed(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"{}")
    with pytest.raises(ValueError, match="no place"):
        seal(tmp_path / "x")
