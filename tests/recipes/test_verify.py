"""Damage is detected and named, wherever it is; intact files pass."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNetConfig, build, init_weights_
from mriseg.core.task import Task
from mriseg.core.volume import SliceRef
from mriseg.errors import DamagedError, InputError, RunError, StoreError
from mriseg.events import Event, Notice, finish
from mriseg.io.disk.checksums import BLANK, digest_of, seal
from mriseg.io.disk.faults import Fault
from mriseg.io.location import Location
from mriseg.io.runs import Checkpoint, Manifest, create_run, open_run
from mriseg.io.store import attributes_in, key_of, open_store, shard_name
from mriseg.io.store.arrays import open_array
from mriseg.recipes.export import export
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.share import share
from mriseg.recipes.verify import VerifyReport, check_whole, verify
from mriseg.testing import phantoms
from tests.fuzz.exports_ import plant_exports
from tests.stores import rewrite

SHAPE = (6, 32, 32)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``scans/``, ``out.zarr``, ``run/`` and, in it, ``model.torchscript.pt``."""
    folder = tmp_path_factory.mktemp("verify")
    phantoms.write_brats(folder / "scans", 2, shape=SHAPE, modalities=("flair", "t1"))
    finish(preprocess(folder / "scans", folder / "out.zarr", workers=1))
    manifest = Manifest(
        config={},
        model={"in_channels": 1, "classes": 1, "width": 8, "dropout": 0.5},
        modalities=("FLAIR",),
        regions={"WT": (1, 2, 4)},
        unit="mm",
        frame=(32, 32),
        incomplete=False,
        store="out.zarr",
        train=("a",),
        validation=("b",),
        seen=(),
        versions={"mriseg": "0"},
        created="2026-01-01T00:00:00",
    )
    run = create_run(folder / "run", manifest)
    network = build(SegNetConfig(in_channels=1, classes=1, width=8), PURE)
    weights = init_weights_(network, torch.Generator().manual_seed(1)).state_dict()
    run.save("best", Checkpoint(dict(weights), {}, {"epoch": 1, "step": 1, "dice": {}}))
    finish(export(run))
    return folder


@pytest.fixture
def folder(outputs: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(outputs, tmp_path / "outputs"))


def run_verify(path: str | Path, *sources: Path) -> VerifyReport:
    return finish(verify(path, sources=sources))


def faults(path: str | Path, *sources: Path) -> list[Fault]:
    return run_verify(path, *sources).faults


def flip(path: Path, bit: int) -> None:
    """Turn one bit of a file over."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_intact_outputs_pass(outputs: Path) -> None:
    report = run_verify(outputs / "out.zarr", outputs / "scans")
    assert (report.kind, report.faults) == ("store", [])
    # The root, the group of cases, the index, the report; of a case its attributes and two files
    # an array.
    assert report.checked == {"files": 4 + 2 * 5, "cases": 2, "sources": 6}
    check_whole(report)
    report = run_verify(outputs / "run")
    assert (report.kind, report.faults) == ("run", [])
    report = run_verify(outputs / "run" / "model.torchscript.pt")
    assert (report.kind, report.version, report.faults) == ("export", 1, [])
    assert json.dumps(report.to_json())


def test_the_shipped_model_is_intact() -> None:
    report = run_verify("base")
    assert (report.kind, report.faults) == ("run", [])


def test_paths_of_no_known_kind_are_refused(outputs: Path, tmp_path: Path) -> None:
    for path, said in (
        (outputs / "nothing", "does not exist"),
        (outputs / "scans", "neither a store"),
        (next((outputs / "scans").rglob("*.gz")), "not a file that mriseg export writes"),
    ):
        with pytest.raises(InputError, match=said):
            run_verify(path)
    with pytest.raises(InputError, match="sources are of a store"):
        run_verify(outputs / "run", outputs / "scans")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("x", "y")
    (fault,) = faults(tmp_path / "other.zip")
    assert "nothing that mriseg export wrote" in fault.what


def every_file(folder: Path) -> list[str]:
    """All that carries a checksum: everything but the log, and the page, which nothing reads."""
    return sorted(
        str(path.relative_to(folder))
        for part in ("out.zarr", "run")
        for path in (folder / part).rglob("*")
        if path.is_file() and path.name not in ("log.jsonl", "report.html")
    )


def target(file: str) -> str:
    return file if file.endswith(".pt") else file.partition("/")[0]


def check_flips(folder: Path, count: int, rng: np.random.Generator) -> int:
    """Turn over ``count`` random bits of each file, one at a time; how many that were."""
    tried = 0
    for file in every_file(folder):
        path = folder / file
        before = path.read_bytes()
        for bit in rng.choice(8 * len(before), min(count, 8 * len(before)), replace=False):
            flip(path, int(bit))
            wrong = faults(folder / target(file))
            assert wrong, f"{file}: bit {bit} was not noticed"
            named = file.removeprefix("out.zarr/").removeprefix("run/")
            assert {fault.file for fault in wrong} == {named}, f"{file}: bit {bit}"
            if "/cases/Bra" in file and not file.endswith(_ABOUT):
                assert {fault.case for fault in wrong} == {file.split("/")[2]}
            path.write_bytes(before)
            tried += 1
    assert not faults(folder / "out.zarr") and not faults(folder / "run")
    return tried


_ABOUT = ("001/zarr.json", "002/zarr.json")


def test_a_flipped_bit_is_found_and_named(folder: Path, rng: np.random.Generator) -> None:
    assert check_flips(folder, 2, rng) == 2 * len(every_file(folder))


@pytest.mark.slow
def test_many_flipped_bits_are_found_and_named(folder: Path, rng: np.random.Generator) -> None:
    assert check_flips(folder, 150, rng) >= 2000


def chunk_bytes(shard: Path, count: int) -> list[tuple[int, int]]:
    """Where each slice lies in a shard: the index at its end, and 4 bytes of CRC after it."""
    index = np.frombuffer(shard.read_bytes()[-(16 * count + 4) : -4], dtype="<u8")
    return [(int(start), int(length)) for start, length in index.reshape(count, 2)]


def test_the_slice_with_a_flipped_bit_is_named_and_not_read(folder: Path) -> None:
    store = open_store(folder / "out.zarr")
    name = "BraTS20_Training_002"
    case = Path(store.location) / "cases" / name
    count = store.read_case(name).box.shape[0]
    for kind in ("image", "label"):
        shard = case / kind / shard_name(kind)
        before = shard.read_bytes()
        for number, (start, length) in enumerate(chunk_bytes(shard, count)):
            # Anywhere in the chunk: its header, its voxels, its CRC.
            for byte in (0, length // 2, length - 1):
                flip(shard, 8 * (start + byte) + byte % 8)
                (fault,) = faults(store.location)
                assert (fault.case, fault.slices) == (name, (number,))
                assert fault.file == f"cases/{name}/{kind}/{shard_name(kind)}"
                task = Task(("FLAIR",), {"WT": (1,)}, (32, 32))
                fresh = open_store(store.location)
                with pytest.raises(StoreError, match=f"case {name} cannot be read"):
                    fresh.read([SliceRef(name, number)], task)
                fresh.read([SliceRef(name, (number + 1) % count)], task)
                shard.write_bytes(before)
        flip(shard, 8 * (len(before) - 10))
        (fault,) = faults(store.location)
        assert "none of its slices" in fault.what and fault.case == name
        shard.write_bytes(before)


@pytest.mark.parametrize("kind", ["image", "label"])
@pytest.mark.parametrize("scheme", ["", "local://"])
def test_a_lost_shard_is_found_and_never_reads_as_zeros(
    folder: Path, kind: str, scheme: str
) -> None:
    name, location = "BraTS20_Training_001", f"{scheme}{folder / 'out.zarr'}"
    file = f"cases/{name}/{kind}/{shard_name(kind)}"
    store = open_store(location)
    (folder / "out.zarr" / file).unlink()
    assert faults(location) == [Fault(file, "is missing", name)]
    for opened in (store, open_store(location)):
        with pytest.raises(StoreError, match=rf"case {name} cannot be read.*preprocess again"):
            opened.read_case(name)
    # preprocess notices it, too, and writes the case again.
    report = finish(preprocess(folder / "scans", folder / "out.zarr", workers=1))
    assert [case.status for case in report.cases] == ["written", "kept"]
    assert not faults(location)


def test_a_shard_that_is_lost_while_it_is_open_does_not_read_as_zeros(folder: Path) -> None:
    name, store = "BraTS20_Training_001", open_store(folder / "out.zarr")
    read = open_array(store.location, f"cases/{name}/image")
    assert read(1)().any() and store.read_case(name).image.any()
    (folder / "out.zarr/cases" / name / "image" / shard_name("image")).unlink()
    with pytest.raises(ValueError, match="missing"):
        read(1)()
    with pytest.raises(StoreError, match="missing"):
        store.read_case(name)


def lose_case(folder: Path) -> str:
    shutil.rmtree(folder / "out.zarr/cases/BraTS20_Training_001")
    return "cases/BraTS20_Training_001"


def lose_attributes(folder: Path) -> str:
    (folder / "out.zarr/cases/BraTS20_Training_001/zarr.json").unlink()
    return "cases/BraTS20_Training_001"


def swap_cases(folder: Path) -> str:
    one, two = (folder / f"out.zarr/cases/BraTS20_Training_00{n}" for n in (1, 2))
    shutil.rmtree(one)
    shutil.copytree(two, one)
    return "cases/BraTS20_Training_001/zarr.json"


def lose_root(folder: Path) -> str:
    (folder / "out.zarr/zarr.json").unlink()
    return "zarr.json"


def lose_digest(folder: Path) -> str:
    path = folder / "out.zarr/cases/BraTS20_Training_001/zarr.json"
    data = json.loads(path.read_text())
    del data["attributes"]["mriseg"]["digest"]
    path.write_text(json.dumps(data))
    return "cases/BraTS20_Training_001/zarr.json"


@pytest.mark.parametrize("harm", [lose_case, lose_attributes, swap_cases, lose_root, lose_digest])
def test_lost_and_misplaced_files_are_reported(folder: Path, harm: Callable[[Path], str]) -> None:
    file = harm(folder)
    report = run_verify(folder / "out.zarr")
    assert file in {fault.file for fault in report.faults}
    with pytest.raises(DamagedError, match=r"preprocess again") as raised:
        check_whole(report)
    assert raised.value.exit_code == 9


def test_an_unfinished_case_is_no_damage(folder: Path) -> None:
    other = folder / "out.zarr/cases/begun"
    other.mkdir()
    (other / "zarr.json").write_text('{"attributes": {}, "zarr_format": 3, "node_type": "group"}')
    events: list[Event] = []
    report = finish(verify(folder / "out.zarr"), events.append)
    assert not report.faults and report.unfinished == ["begun"]
    assert any(isinstance(event, Notice) and "begun" in event.text for event in events)


def test_sources_that_changed_went_or_came_are_named(folder: Path) -> None:
    case = folder / "scans/BraTS20_Training_001"
    flair = next(case.glob("*flair*"))
    flip(flair, 8 * 200)
    (fault,) = faults(folder / "out.zarr", folder / "scans")
    assert (fault.file, fault.case) == (flair.name, case.name) and "changed" in fault.what
    flip(flair, 8 * 200)
    flair.unlink()
    (fault,) = faults(folder / "out.zarr", folder / "scans")
    assert fault.file == flair.name and "no longer" in fault.what
    images, _ = phantoms.head(np.random.default_rng(4), SHAPE, modalities=("t2", "flair"))
    phantoms.write_brats_case(case, images, None)
    reasons = [fault.what for fault in faults(folder / "out.zarr", folder / "scans")]
    assert sorted(reasons) == ["has changed since it was read", "is new among the case's sources"]
    shutil.rmtree(case)
    report = run_verify(folder / "out.zarr", folder / "scans")
    assert {fault.case for fault in report.faults} == {case.name} and len(report.faults) == 3
    with pytest.raises(InputError, match="no folder"):
        run_verify(folder / "out.zarr", folder / "elsewhere")


def test_sources_that_moved_and_have_new_times_are_the_same(folder: Path) -> None:
    for path in (folder / "scans").rglob("*.gz"):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content)
    (folder / "scans").rename(folder / "moved")
    assert not faults(folder / "out.zarr", folder / "moved")


def test_damaged_weights_and_manifests_are_not_used(folder: Path) -> None:
    run = open_run(folder / "run")
    path = folder / "run/best.safetensors"
    flip(path, 8 * (path.stat().st_size // 2))
    with pytest.raises(RunError, match=r"best\.safetensors is damaged"):
        run.load("best")
    flip(path, 8 * (path.stat().st_size // 2))
    run.load("best")
    text = (folder / "run/run.json").read_text()
    (folder / "run/run.json").write_text(text.replace('"FLAIR"', '"FLAIS"'))
    with pytest.raises(RunError, match="does not match its digest"):
        open_run(folder / "run")
    # It cannot be edited by taking the digest out either.
    lines = text.replace('"FLAIR"', '"T1"').splitlines()
    (folder / "run/run.json").write_text("\n".join(x for x in lines if '"digest"' not in x))
    with pytest.raises(RunError, match="does not match its digest"):
        open_run(folder / "run")


def test_weights_of_another_network_are_faults(folder: Path) -> None:
    path = folder / "run/best.safetensors"
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, metadata={"state": "{}"})
    assert [fault.what for fault in faults(folder / "run")] == ["has lost its digest"]
    tensors["head.weight"] = tensors["head.weight"][:, :3].contiguous()
    save_file(tensors, path, metadata={"state": json.dumps({"digest": BLANK})})
    seal(path)
    (fault,) = faults(folder / "run")
    assert "does not fit run.json: head.weight has the shape" in fault.what


def test_what_lost_its_digest_is_a_fault(folder: Path) -> None:
    path = folder / "run/run.json"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if '"digest"' not in line))
    assert [fault.what for fault in faults(folder / "run")] == ["has lost its digest"]
    rewrite(folder / "out.zarr/zarr.json", lambda said: said.pop("digest"), sealed=False)
    assert [fault.file for fault in faults(folder / "out.zarr")] == ["zarr.json"]


def test_a_shared_model_is_sealed(folder: Path) -> None:
    finish(share(open_run(folder / "run"), folder / "handed"))
    report = run_verify(folder / "handed")
    assert not report.faults


def test_a_damaged_export_is_named_by_its_record(folder: Path) -> None:
    path = folder / "run/model.torchscript.pt"
    with zipfile.ZipFile(path) as archive:
        record = max(archive.infolist(), key=lambda info: info.file_size)
    flip(path, 8 * (record.header_offset + 200))
    (fault,) = faults(path)
    assert record.filename in fault.what
    (fault,) = faults(folder / "run")
    assert fault.file == path.name


def test_the_log_and_the_report_of_a_transfer_are_read(folder: Path) -> None:
    (folder / "run/log.jsonl").write_text('{"epoch": 1}\n{"epo')
    (folder / "run/transfer.json").write_text("{")
    assert [fault.file for fault in faults(folder / "run")] == ["log.jsonl", "transfer.json"]


def test_a_store_is_verified_by_url(folder: Path) -> None:
    url = (folder / "out.zarr").as_uri()
    assert not faults(url, folder / "scans")
    report = run_verify(url.replace("file://", "local://"), folder / "scans")
    assert not report.faults and report.checked["cases"] == 2
    shutil.rmtree(folder / "out.zarr")
    for gone in (url.replace("file://", "local://"), "memory://mriseg-verify-nothing"):
        with pytest.raises(StoreError, match="is not an mriseg store"):
            run_verify(gone)
    with pytest.raises(StoreError, match=r"^s3://bucket/x\.zarr cannot be read: "):
        run_verify("s3://bucket/x.zarr")


def test_an_index_is_compared_with_the_cases(folder: Path) -> None:
    where = Location.of(folder / "out.zarr")
    (segment,) = (where.path / "index").iterdir()
    (name, first), *_ = open_store(where).cases().items()
    document = where.path / "cases" / key_of(name) / "zarr.json"
    rewrite(document, partial(dict.update, patient="another"))
    (fault,) = faults(where.path)
    assert (fault.file, fault.case) == ("index", name) and "remove the folder index" in fault.what
    # What the index says, and not what the case says: until it is written anew.
    assert open_store(where).index()[name].patient == first.patient
    flip(segment, 8000)
    fault, *_ = faults(where.path)
    assert "is damaged" in fault.what and fault.file == f"index/{segment.name}"
    store = open_store(where)
    assert store.index()[name].patient == "another"
    (remark,) = store.remarks()
    assert segment.name in remark and "read one by one" in remark
    store.update_index()
    assert not faults(where.path) and not segment.exists()


def test_newer_formats_are_refused(folder: Path) -> None:
    for path in (folder / "out.zarr/zarr.json", folder / "run/run.json"):
        newer = re.sub(rb'"version": \d', b'"version": 9', path.read_bytes(), count=1)
        digest = json.loads(newer)
        digest = digest.get("digest") or digest["attributes"]["mriseg"]["digest"]
        path.write_bytes(newer.replace(digest.encode(), digest_of(newer).encode()))
        with pytest.raises((StoreError, RunError), match="install a newer mriseg"):
            run_verify(path.parent)


def test_checksums_are_in_the_attributes(outputs: Path) -> None:
    for name in open_store(outputs / "out.zarr").cases():
        path = outputs / "out.zarr/cases" / key_of(name) / "zarr.json"
        attributes = attributes_in(path.read_bytes())
        assert attributes is not None
        assert {file["name"] for file in attributes["files"]} == {
            f"{kind}/{file}"
            for kind in ("image", "label")
            for file in ("zarr.json", shard_name(kind))
        }


@pytest.mark.parametrize("name", ["", ".bin", ".onnx", ".pt2"])
def test_a_format_is_known_by_its_content(outputs: Path, tmp_path: Path, name: str) -> None:
    script = (outputs / "run/model.torchscript.pt").read_bytes()
    for suffix, content in plant_exports(tmp_path / "exports", script).items():
        path = tmp_path / f"handed{name or suffix}"
        path.write_bytes(content)
        report = finish(verify(path))
        assert (report.kind, report.faults) == ("export", []), suffix
        path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
        assert finish(verify(path)).faults, suffix


def test_an_archive_that_claims_to_hold_gigabytes_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/archive_format", "pt2")
        archive.writestr("archive/extra/mriseg.json", "{}")
        archive.writestr("archive/data/weights/weight_0", bytes(2**26))
    [fault] = finish(verify(path)).faults
    assert "its records would hold" in fault.what
