"""NIfTI in two files: the header in ``.hdr``, the voxels in ``.img``; either may be gzipped.

Analyze 7.5, from which the form comes, looks the same but for a word that says that it is NIfTI. It
states no orientation, and programs differ in which side they take to be the left one.
"""

from __future__ import annotations

import re
from pathlib import Path

from mriseg.errors import InputError
from mriseg.io import gunzip, nifti
from mriseg.io.disk.untrusted import is_regular
from mriseg.io.nifti_header import HEADER_BYTES, parse_header
from mriseg.io.voxels import ImageHeader

SUFFIXES = (".hdr", ".hdr.gz")
VOXELS = (".img", ".img.gz")
"""Endings of the other half."""

_ENDING = re.compile(r"\.hdr(\.gz)?$", re.IGNORECASE)
_ANALYZE = (b"\x5c\x01\0\0", b"\0\0\x01\x5c")
_NIFTI = (b"ni1\0", b"n+1\0")


def describe(path: Path) -> ImageHeader:
    """What the header of a pair states; reads no voxel.

    Raises:
        InputError: what is wrong with it, in one sentence that begins with its name.
    """
    name = path.name
    with gunzip.opened(path) as file:
        block = file.read(HEADER_BYTES)
    if block[:4] in _ANALYZE and block[344:348] not in _NIFTI:
        raise InputError(
            f"{name} is Analyze 7.5, which does not say which side is the left one; convert it to "
            f"NIfTI with a program that knows how it was made (SPM, FSL), and look at the result"
        )
    header = parse_header(name, block, pair=True)
    data = voxels_of(path)
    described = nifti.described(path, header, data, "raw")
    # The first voxels could look like gzip: a file of exactly the right size is not one.
    if data.stat().st_size == described.offset + described.size:
        return described
    return nifti.described(path, header, data, gunzip.packing_of(data))


def voxels_of(path: Path) -> Path:
    """The ``.img`` of a ``.hdr``.

    Raises:
        InputError: there is none, or there are two.
    """
    stem = _ENDING.sub("", path.name)
    names = [f"{stem}{ending}" for suffix in VOXELS for ending in (suffix, suffix.upper())]
    # On some file systems, names that differ only in case are one file.
    files = {file.name.lower(): file for name in names if is_regular(file := path.with_name(name))}
    if not files:
        raise InputError(f"{path.name} is half of a pair, and there is no {stem}.img beside it")
    if len(files) > 1:
        listed = " and ".join(file.name for file in files.values())
        raise InputError(f"{path.name} has two files of voxels, {listed}; leave one beside it")
    return next(iter(files.values()))
