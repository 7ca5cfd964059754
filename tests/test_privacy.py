"""What mriseg writes says nothing of a patient but what the names of files and folders say.

Each header field and extension of the scans, and each tag of a TIFF, holds a text of its own; then
the whole chain runs, and all that it wrote is searched for them: as it lies there, and unpacked.
"""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import zarr
from nibabel.nifti1 import Nifti1Extension
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from mriseg.backends import select
from mriseg.core.config import TrainConfig
from mriseg.events import Event, finish
from mriseg.io.runs import open_run
from mriseg.io.store import open_store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.export import export
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.share import share
from mriseg.recipes.train import train
from mriseg.recipes.verify import verify
from mriseg.testing import phantoms

MARK = b"SECRET"
# Every field of a NIfTI-1 header that holds text, and how long it is.
FIELDS = {"data_type": 10, "db_name": 18, "descrip": 80, "aux_file": 24, "intent_name": 16}
# Comment, DICOM, AFNI, plain, JIM, Caret, and one that nobody registered.
EXTENSIONS = (6, 2, 4, 0, 8, 30, 999)
# Document's name, description, make, model, page's name, software, time, artist, host, copyright.
TAGS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 33432)


def plant_in_nifti(path: Path) -> None:
    """Write a NIfTI file again with a mark in each field and extension."""
    scan: Any = nib.load(path)
    data = np.asanyarray(scan.dataobj)
    image: Any = nib.Nifti1Image(data, scan.affine, scan.header)
    for code in EXTENSIONS:
        text = MARK + b"-extension-%d" % code
        image.header.extensions.append(Nifti1Extension(code, text))
    content = bytearray(image.to_bytes())
    for field, length in FIELDS.items():
        start = nib.Nifti1Header.template_dtype.fields[field][1]
        content[start : start + length] = (MARK + b"-" + field.encode()).ljust(length, b"!")[
            :length
        ]
    # Between the last extension and the end of the file there may be anything, too.
    content += MARK + b"-trailer"
    path.write_bytes(gzip.compress(bytes(content), mtime=0))


def plant_in_tiff(path: Path) -> None:
    """Write a TIFF again with a mark in each tag of text."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    tags = ImageFileDirectory_v2()
    for tag in TAGS:
        tags[tag] = f"{MARK.decode()}-tag-{tag}"
    Image.fromarray(pixels).save(path, tiffinfo=tags)
    assert MARK in path.read_bytes()


def forms(path: Path) -> Iterator[bytes]:
    """A file's bytes as they lie there, and what is packed in them."""
    content = path.read_bytes()
    yield content
    if content.startswith(b"\x1f\x8b"):
        yield gzip.decompress(content)
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for record in archive.infolist():
                yield record.filename.encode() + b" " + record.comment
                yield archive.read(record)
    if content.startswith(b"\x89PNG"):
        place = 8
        while place < len(content):
            length, kind = (
                int.from_bytes(content[place : place + 4]),
                content[place + 4 : place + 8],
            )
            data = content[place + 8 : place + 8 + length]
            if kind in (b"zTXt", b"iCCP"):
                yield zlib.decompress(data.partition(b"\0")[2][1:])
            place += 12 + length
        with Image.open(path) as picture:
            yield picture.tobytes()
            yield repr(picture.info).encode()


def arrays(folder: Path) -> Iterator[bytes]:
    """The unpacked voxels of every zarr array below a folder."""
    for path in folder.rglob("zarr.json"):
        if json.loads(path.read_text())["node_type"] == "array":
            yield np.asarray(zarr.open_array(str(path.parent), mode="r")[...]).tobytes()


def where_marked(folder: Path) -> list[str]:
    """Every file below a folder that holds a mark, in its bytes or its name."""
    marked = [
        str(path)
        for path in folder.rglob("*")
        if path.is_file() and any(MARK in form for form in forms(path))
    ]
    marked += [str(path) for path in folder.rglob("*") if MARK.decode() in path.name]
    return marked + [str(folder)] * any(MARK in voxels for voxels in arrays(folder))


@pytest.fixture(scope="module", params=["brats", "lgg"])
def chain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """``out/``, with all that the chain writes, the events it sends, and its scans."""
    folder = tmp_path_factory.mktemp(request.param)
    scans, out = folder / "scans", folder / "out"
    if request.param == "brats":
        phantoms.write_brats(scans, 3, shape=(6, 32, 32), modalities=("flair", "t1"))
    else:
        phantoms.write_lgg(scans, 3, shape=(6, 32, 32))
    for path in scans.rglob("*"):
        if path.name.endswith(".nii.gz"):
            plant_in_nifti(path)
        elif path.suffix == ".tif":
            plant_in_tiff(path)
    out.mkdir()
    events: list[Event] = []
    finish(preprocess(scans, out / "out.zarr", workers=1), events.append)
    store, backend = open_store(out / "out.zarr"), select("cpu", precision="fp32")
    assert len(store.cases()) == 3
    config = TrainConfig(width=8, batch_size=2, epochs=1, slices_per_epoch=2)
    finish(train(store, config, backend, out=out / "run"), events.append)
    run = open_run(out / "run")
    options = PredictOptions(probabilities=True)
    finish(predict(scans, out / "masks", run, backend, options), events.append)
    finish(evaluate(store, run, backend, include_seen=True, out=out / "evaluation"), events.append)
    finish(export(run), events.append)
    finish(share(run, out / "handed"), events.append)
    finish(verify(out / "out.zarr", sources=[scans]), events.append)
    return scans, out, events


def test_nothing_of_a_header_is_written_or_reported(chain: tuple[Path, Path, list[Event]]) -> None:
    scans, out, events = chain
    assert where_marked(scans), "the marks are not where they are looked for"
    written = {path.suffix for path in out.rglob("*") if path.is_file()}
    assert {".safetensors", ".json", ".gz", ".png", ".pt", ".csv", ".md", ".jsonl"} <= written
    assert where_marked(out) == []
    assert MARK.decode() not in repr(events)


def test_every_planted_field_is_detected(tmp_path: Path) -> None:
    """The search itself: each mark alone, in each of the packings."""
    (case,) = phantoms.write_brats(tmp_path / "scans", 1, shape=(6, 32, 32), modalities=("t1",))
    path = next(case.glob("*_t1.nii.gz"))
    plant_in_nifti(path)
    content = gzip.decompress(path.read_bytes())
    for field, length in FIELDS.items():
        assert (MARK + b"-" + field.encode())[:length] in content
    for code in EXTENSIONS:
        assert MARK + b"-extension-%d" % code in content
    assert where_marked(tmp_path / "scans") == [str(path)]
    out = tmp_path / "out"
    out.mkdir()
    with zipfile.ZipFile(out / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b", MARK * 50)
    group = zarr.create_group(str(out / "x.zarr"))
    voxels = np.frombuffer((MARK * 400)[:2400], dtype=np.uint8)
    group.create_array("a", data=voxels, compressors=zarr.codecs.GzipCodec())
    marked = where_marked(out)
    assert str(out / "x.pt") in marked and str(out) in marked


def test_a_shared_model_names_no_case(chain: tuple[Path, Path, list[Event]]) -> None:
    _, out, _ = chain
    names = [name.encode() for name in open_store(out / "out.zarr").cases()]
    for path in [*(out / "handed").iterdir(), out / "run" / "model.torchscript.pt"]:
        for form in forms(path):
            assert not any(name in form for name in names), path
            assert str(out).encode() not in form, path
