"""Images in containers other than NIfTI, and slices in HDF5: good ones, and damage to them."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from random import Random

import h5py
import nibabel as nib
import numpy as np
import SimpleITK

from mriseg.io import images
from tests.fuzz.bytes_ import damaged
from tests.fuzz.nifti_ import damaged_nifti, packed

Files = dict[str, bytes]

# What takes the place of a number or a word in a header that is text.
_WORDS = (
    b"0", b"-1", b"1", b"2", b"7", b"65536", b"2147483648", b"99999999999999999999", b"1e308",
    b"nan", b"-inf", b"", b"none", b"x", b"\xff\xfe", b"True", b"LOCAL", b"LIST",
    b"../outside/secret.txt", b"/etc/passwd", b"/dev/zero", b"slice%03d.raw", b"MET_DOUBLE",
    b"MET_UCHAR_ARRAY", b"double", b"block", b"gzip", b"raw", b"hex", b"big", b"(0,0,0)",
    b"(1,2,3,4,5)", b"left-anterior-superior",
)  # fmt: skip
_LINES = (
    b"ElementNumberOfChannels = 3", b"HeaderSize = -1", b"HeaderSize = 1000000",
    b"BinaryData = False", b"CompressedData = True", b"DistanceUnits = um", b"NDims = 4",
    b"byte skip: -1", b"byte skip: 64", b"line skip: 1", b"dimension: 4", b"spacings: 1 1 1",
    b"space: RAS", b"data file: LIST", b'space units: "um" "um" "um"',
    b"kinds: vector domain domain", b"DimSize = 3 3", b"sizes: 900000 900000 900000",
    b"ElementDataFile = x.hdr", b"data file: x.nhdr", b"\n",
)  # fmt: skip
_ITK = (".mha", ".mhd", ".nrrd", ".nhdr", ".hdr")


def plant_containers(root: Path) -> dict[str, Files]:
    """Name -> the files of one good image: each container, packed and plain."""
    array = (np.arange(12 * 10 * 8) % 97).reshape(8, 10, 12)
    seeds: dict[str, Files] = {}
    for suffix in _ITK:
        for dtype, is_packed in ((np.int16, False), (np.float32, True)):
            image = SimpleITK.GetImageFromArray(array.astype(dtype))
            image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
            name = f"{suffix} {dtype.__name__}"
            seeds[name] = _made(root / name, suffix, image, is_packed)
    several = SimpleITK.GetImageFromArray(array.reshape(2, 4, 10, 12).astype(np.uint8), False)
    for suffix in (".mha", ".nrrd"):
        seeds[f"{suffix} 4-D"] = _made(root / f"{suffix} 4-D", suffix, several, True)
    for suffix in (".mgh", ".mgz"):
        volume = nib.MGHImage(array.T.astype(np.float32), np.diag([-1.0, -1, 1, 1]))
        nib.save(volume, root / f"x{suffix}")
        seeds[suffix] = {f"x{suffix}": (root / f"x{suffix}").read_bytes()}
    return seeds


def _made(folder: Path, suffix: str, image: SimpleITK.Image, is_packed: bool) -> Files:
    folder.mkdir(parents=True)
    SimpleITK.WriteImage(image, str(folder / f"x{suffix}"), is_packed)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def plant_h5(root: Path, slices: int) -> None:
    """One volume in BraTS 2020's slices."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(slices):
        brain = np.zeros((34, 32, 4))
        brain[6:-6, 6:-6] = rng.normal(5, 1, (22, 20, 4))
        mask = np.zeros((34, 32, 3), np.uint8)
        mask[12:16, 12:16, number % 3] = 1
        with h5py.File(root / f"volume_1_slice_{number}.h5", "w") as file:
            file.create_dataset("image", data=brain, compression="gzip" if number else None)
            file["mask"] = mask


def damaged_container(rng: Random, files: Files) -> Files:
    """One of an image's files damaged, or lost."""
    name = rng.choice(list(files))
    data, changed = files[name], dict(files)
    way = rng.random()
    if way < 0.05 and len(files) > 1:
        del changed[name]
    elif way < 0.15:
        changed[name] = damaged(rng, data)
    elif name.endswith(".hdr"):
        changed[name] = damaged_nifti(rng, data)
    elif name.endswith(".mgz"):
        changed[name] = packed(rng, _numbers(rng, gzip.decompress(data)))
    elif name.endswith(".mgh"):
        changed[name] = _numbers(rng, data)
    elif name.endswith((".mha", ".mhd", ".nrrd", ".nhdr")):
        changed[name] = _text(rng, data)
    else:
        changed[name] = packed(rng, data) if rng.random() < 0.3 else damaged(rng, data)
    return changed


def _numbers(rng: Random, data: bytes) -> bytes:
    """A FreeSurfer header with numbers at the edge of their types."""
    header = damaged(rng, data[:284].ljust(284, b"\0"))
    return header + data[284:]


def _text(rng: Random, data: bytes) -> bytes:
    """A header in text with words, lines or bytes changed, and the voxels behind it."""
    end = re.search(rb"\n\n|ElementDataFile[^\n]*\n", data)
    head, rest = (data[: end.end()], data[end.end() :]) if end else (data, b"")
    for _ in range(rng.choice((1, 1, 2, 4))):
        head = rng.choice((_reworded, _reworded, _reworded, _relined, damaged))(rng, head)
    return head + (damaged(rng, rest) if rng.random() < 0.15 else rest)


def _reworded(rng: Random, head: bytes) -> bytes:
    words = list(re.finditer(rb"[^\s=:,()]+", head))
    if not words:
        return head
    word = rng.choice(words)
    return head[: word.start()] + rng.choice(_WORDS) + head[word.end() :]


def _relined(rng: Random, head: bytes) -> bytes:
    lines = head.split(b"\n")
    place = rng.randrange(len(lines))
    way = rng.random()
    if way < 0.3:
        del lines[place]
    elif way < 0.5:
        lines.insert(place, rng.choice(lines))
    else:
        lines.insert(place, rng.choice(_LINES))
    return b"\n".join(lines)


def image_of(folder: Path) -> Path:
    """The one image of a folder; its files are nowhere else."""
    named = [path for path in sorted(folder.iterdir()) if images.is_image(path)]
    path = named[0] if named else folder / "x.mha"
    assert all(file.parent == folder for file in images.files_of(path))
    return path
