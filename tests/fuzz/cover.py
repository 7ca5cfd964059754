"""``python -m tests.fuzz.cover KIND``: bytes that atheris finds by what code they reach.

Its coverage grows from the seeds' own files. Options after KIND are libFuzzer's
(``-max_total_time=600``, ``-runs=10000``, a folder to keep what it found in). A defect stops it,
and the bytes are left in a file. Needs atheris: ``pip install mriseg[fuzz]`` (Linux and macOS).
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["mriseg", "nibabel", "zipfile", "tomllib"]):
    from mriseg.errors import MrisegError
    from tests.fuzz.box import Box, boxed
    from tests.fuzz.seeds import Seeds, plant
    from tests.fuzz.targets import TARGETS

# Longer ones add little but time.
_LONGEST = 2**16


def _nifti(seeds: Seeds, box: Box) -> Path:
    return box.given / "scan.nii"


def _packed(seeds: Seeds, box: Box) -> Path:
    return box.given / "scan.nii.gz"


def _metaimage(seeds: Seeds, box: Box) -> Path:
    return box.given / "x.mha"


def _nrrd(seeds: Seeds, box: Box) -> Path:
    return box.given / "x.nrrd"


def _mgh(seeds: Seeds, box: Box) -> Path:
    return box.given / "x.mgh"


def _tiff(seeds: Seeds, box: Box) -> Path:
    shutil.copytree(seeds.folders["sample"], box.given, dirs_exist_ok=True)
    return sorted(box.given.rglob("*_mask.tif"))[0]


def _described(seeds: Seeds, box: Box) -> Path:
    shutil.copytree(seeds.folders["nnunet"], box.given, dirs_exist_ok=True)
    return box.given / "dataset.json"


def _store(seeds: Seeds, box: Box) -> Path:
    shutil.copytree(seeds.store, box.given, dirs_exist_ok=True)
    return sorted(box.given.glob("cases/*/zarr.json"))[0]


def _shard(seeds: Seeds, box: Box) -> Path:
    shutil.copytree(seeds.store, box.given, dirs_exist_ok=True)
    return sorted(box.given.glob("cases/*/image/c/0/0/0/0"))[0]


def _manifest(seeds: Seeds, box: Box) -> Path:
    shutil.copytree(seeds.run, box.out / "run")
    return box.out / "run" / "run.json"


def _settings(seeds: Seeds, box: Box) -> Path:
    return box.given / "settings.toml"


def _weights(seeds: Seeds, box: Box) -> Path:
    return box.given / "vgg.pth"


def _evaluation(seeds: Seeds, box: Box) -> Path:
    return box.given / "evaluation.json"


def _exported(seeds: Seeds, box: Box) -> Path:
    return box.given / "model.torchscript.pt"


# Kind -> the target that reads it, and where its bytes go.
KINDS: dict[str, tuple[str, Callable[[Seeds, Box], Path]]] = {
    "nifti": ("nifti", _nifti),
    "nifti.gz": ("nifti", _packed),
    "mha": ("containers", _metaimage),
    "nrrd": ("containers", _nrrd),
    "mgh": ("containers", _mgh),
    "tiff": ("tiff", _tiff),
    "dataset.json": ("folder", _described),
    "zarr.json": ("store", _store),
    "shard": ("store", _shard),
    "run.json": ("run", _manifest),
    "settings": ("settings", _settings),
    "weights": ("weights", _weights),
    "evaluation": ("evaluation", _evaluation),
    "exported": ("exported", _exported),
}


def seeded(kind: str, seeds: Seeds, under: Path) -> list[bytes]:
    """Good files of a kind, where the seeds hold some."""
    if kind == "nifti":
        return list(seeds.images)
    if KINDS[kind][0] == "containers":
        return [files[f"x.{kind}"] for files in seeds.containers.values() if f"x.{kind}" in files]
    known = {
        "settings": [b'epochs = 3\nmodalities = ["T1"]\n[augment]\nflip = 0.5\n'],
        "weights": [data for name, data in seeds.weights.items() if name.endswith(".pth")],
        "evaluation": [seeds.evaluation],
        "exported": [seeds.exported],
    }
    if kind in known:
        return known[kind]
    with boxed(under) as box:
        path = KINDS[kind][1](seeds, box)
        return [path.read_bytes()] if path.exists() else []


def main() -> None:
    """Fuzz until libFuzzer's options say to stop."""
    kind = sys.argv[1]
    target, place = KINDS[kind]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="mriseg-cover-") as root:
        seeds = plant(Path(root) / "seeds")
        corpus = Path(root) / "corpus"
        corpus.mkdir()
        for number, data in enumerate(seeded(kind, seeds, Path(root))):
            (corpus / str(number)).write_bytes(data)

        def run(data: bytes) -> None:
            with boxed(Path(root)) as box, redirect_stderr(io.StringIO()):
                place(seeds, box).write_bytes(data)
                with suppress(MrisegError):
                    TARGETS[target].read(Random(0), seeds, box)

        os.chdir(root)
        atheris.Setup([sys.argv[0], f"-max_len={_LONGEST}", *sys.argv[2:], str(corpus)], run)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
