"""A file that was sent is read like one on a disk, and what is wrong with it is said."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io.nifti_embed import embedded
from mriseg.io.nifti_received import received_labels

DATA = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
AFFINE = np.diag([2.0, 3.0, 1.5, 1.0])
PACKED = embedded(DATA, AFFINE, labels=True)
PLAIN = gzip.decompress(PACKED)


@pytest.mark.parametrize("content", [PACKED, PLAIN])
def test_packed_or_not_it_is_read(content: bytes) -> None:
    labels, geometry = received_labels(content, DATA.size)
    assert np.array_equal(labels, DATA.T) and labels.dtype == np.uint8
    assert np.allclose(geometry.affine, AFFINE)


def _with(place: int, form: str, value: float) -> bytes:
    content = bytearray(PLAIN)
    struct.pack_into(form, content, place, value)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "too short|empty|truncated|NIfTI"),
        (b"\x1f\x8b", "gzip|truncated|damaged|NIfTI"),
        (b"<!doctype html>" * 40, "NIfTI"),
        (PLAIN[:-1], "truncated"),
        (PACKED[:-4], "truncated|damaged"),
        (_with(112, "<f", 0.5), "whole numbers"),
        (_with(116, "<f", 300), "expected 0 to 255"),
        (_with(42, "<h", 30000), "claims|truncated"),
    ],
)
def test_what_is_wrong_is_said(content: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        received_labels(content, DATA.size)


def test_no_more_is_unpacked_than_is_expected() -> None:
    bomb = gzip.compress(_with(42, "<h", 25) + bytes(5 * DATA.size))
    with pytest.raises(InputError, match="at most 60 are read"):
        received_labels(bomb, DATA.size)
