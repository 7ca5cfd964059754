"""What fuzzing found, an input each: it ends in a message now."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from mriseg.backends import select
from mriseg.cli.settings import read_settings
from mriseg.core.prepare import prepare
from mriseg.core.task import Task
from mriseg.core.train_settings import training_config
from mriseg.core.volume import MAX_SIDE
from mriseg.engine.inference import probabilities
from mriseg.errors import CaseError, ConfigError, DamagedError, InputError, RunError, StoreError
from mriseg.events import finish
from mriseg.io import nifti, readers
from mriseg.io.disk.untrusted import is_regular, open_regular, parse_json, read_text
from mriseg.io.runs import open_run
from mriseg.io.runs.encoder_weights import load_encoder_weights
from mriseg.io.store import open_store
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.recipes.info import holds
from mriseg.recipes.load import load_model
from mriseg.recipes.predict import predict
from mriseg.recipes.resume import resume
from mriseg.recipes.share import share
from mriseg.recipes.verify import check_whole, verify
from mriseg.testing import phantoms
from tests.fuzz.json_ import blank, resealed
from tests.fuzz.seeds import Seeds

DEEP = "[" * 100_000
HALF = '"\\ud800"'  # half of a character: JSON has it, no file takes it

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs pipes, links and limits of POSIX")


def edited(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a JSON file, and put the right digest in."""
    data = blank(json.loads(path.read_text()))
    change(data)
    path.write_bytes(resealed(json.dumps(data).encode()))


def with_state(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the state in a file of weights."""
    with safe_open(path, framework="pt") as file:
        state = blank(json.loads(file.metadata()["state"]))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(state)
    save_file(tensors, path, metadata={"state": json.dumps(state)})
    path.write_bytes(resealed(path.read_bytes()))


@pytest.fixture
def run(seeds: Seeds, tmp_path: Path) -> Path:
    return Path(shutil.copytree(seeds.run, tmp_path / "run"))


@pytest.fixture
def store(seeds: Seeds, tmp_path: Path) -> Path:
    """A store whose index is lost, so that each case's own attributes are read."""
    copy = Path(shutil.copytree(seeds.store, tmp_path / "store.zarr"))
    shutil.rmtree(copy / "index")
    return copy


class TestPipes:
    """Nobody writes to them, so that who reads them waits for ever."""

    pytestmark = posix

    def test_are_not_opened(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x")
        assert not is_regular(tmp_path / "x")
        with pytest.raises(OSError, match="not a file but"):
            open_regular(tmp_path / "x")

    def test_nor_devices_nor_folders(self, tmp_path: Path) -> None:
        for path in (Path("/dev/zero"), tmp_path):
            with pytest.raises(OSError, match="not a file but|directory"):
                read_text(path)

    @pytest.mark.parametrize("name", ["x_t1.nii", "x_t1.nii.gz", "dataset.json", "y_1.tif"])
    def test_are_no_scans(self, tmp_path: Path, name: str) -> None:
        phantoms.write_brats(tmp_path / "src", 1, shape=(4, 34, 32))
        os.mkfifo(tmp_path / "src" / name)
        for layout in ("brats", "flat", "lgg", "nnunet"):
            try:
                _, listing = readers.find(tmp_path / "src", layout)
            except InputError:
                continue
            assert all(is_regular(path) for case in listing.cases for path in case.files)

    @pytest.mark.parametrize("name", ["run.json", "log.jsonl", "last.safetensors"])
    def test_are_no_part_of_a_run(self, run: Path, name: str) -> None:
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(InputError):
            holds(run)

    def test_are_no_part_of_a_store(self, store: Path) -> None:
        for path in sorted(store.rglob("*")):
            if path.is_file() and path.stem != "report":
                kept = path.read_bytes()
                path.unlink()
                os.mkfifo(path)
                # The group that holds the cases is of zarr alone, and is not read for them.
                if path.parent.name != "cases":
                    with pytest.raises(StoreError):
                        opened = open_store(store)
                        [opened.read_case(name) for name in opened.cases()]
                path.unlink()
                path.write_bytes(kept)

    def test_are_no_settings(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "x.toml")
        with pytest.raises(ConfigError, match="cannot be read"):
            read_settings(tmp_path / "x.toml")


@posix
def test_a_link_to_itself_is_skipped(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path, 1, shape=(4, 34, 32))
    (tmp_path / "a_t1.nii").symlink_to("b_t1.nii")
    (tmp_path / "b_t1.nii").symlink_to("a_t1.nii")
    (tmp_path / "gone_t1.nii").symlink_to("nowhere.nii")
    _, listing = readers.find(tmp_path, "brats")
    assert [case.name for case in listing.cases] == ["BraTS20_Training_001"]


def test_two_scans_whose_names_differ_in_case(tmp_path: Path) -> None:
    (folder,) = phantoms.write_brats(tmp_path, 1, shape=(4, 34, 32))
    (path,) = folder.glob("*_t1.nii.gz")
    other = path.with_name(path.name.upper().replace("NII.GZ", "nii.gz"))
    if other.exists():
        pytest.skip("this file system takes them for one")
    shutil.copy(path, other)
    _, listing = readers.find(tmp_path, "brats")
    assert not listing.cases
    assert "2 files may be its T1" in listing.skipped[0][1]


def test_a_store_without_a_case_is_not_predicted(store: Path, seeds: Seeds, tmp_path: Path) -> None:
    shutil.rmtree(store / "cases")
    cpu = select("cpu", precision="fp32")
    with pytest.raises(InputError, match="holds no case"):
        finish(predict(store, tmp_path / "out", open_run(seeds.run), cpu))


@posix
def test_masks_whose_names_are_not_utf_8_are_measured(tmp_path: Path) -> None:
    phantoms.write_nnunet(tmp_path, 1, shape=(4, 34, 32))
    (path,) = (tmp_path / "labelsTr").iterdir()
    path.rename(path.with_name(os.fsdecode(b"caf\xe9.nii.gz")))
    report = finish(evaluate_masks(path.parent, path.parent, out=tmp_path / "out", pictures=False))
    assert [score.case for score in report.scores] == ["caf\\xe9"]
    assert "caf\\xe9" in (tmp_path / "out" / "cases.csv").read_text(encoding="utf-8")


class TestJson:
    @pytest.mark.parametrize("text", [DEEP, f'{{"a": {HALF}}}', "9" * 10_000, "", "\0"])
    def test_that_python_stumbles_over(self, text: str) -> None:
        with pytest.raises(ValueError):
            parse_json(text)

    def test_whole_characters_are_read(self) -> None:
        assert parse_json('"\\ud83d\\ude00"') == "\N{GRINNING FACE}"

    def test_that_is_larger_than_it_may_be(self, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"\xef\xbb\xbf1234")
        assert read_text(tmp_path / "x", 7) == "1234"
        with pytest.raises(ValueError, match="larger than 6"):
            read_text(tmp_path / "x", 6)

    @pytest.mark.parametrize(
        "text", [DEEP, f'{{"labels": {{{HALF}: 1}}}}', '{"labels": {"a": 1e999}}']
    )
    def test_of_a_data_set(self, tmp_path: Path, text: str) -> None:
        phantoms.write_nnunet(tmp_path, 1, shape=(4, 34, 32))
        (tmp_path / "dataset.json").write_text(text)
        with pytest.raises(InputError, match="dataset.json"):
            readers.find(tmp_path)

    @pytest.mark.parametrize("text", [DEEP, "[]", '{"format": "mriseg-run", "version": []}'])
    def test_of_a_run(self, run: Path, text: str) -> None:
        (run / "run.json").write_text(text)
        with pytest.raises(RunError):
            open_run(run)

    @pytest.mark.parametrize(
        "text", [DEEP, HALF, "[1]", '{"epoch": "x"}', '{"epoch": 1, "dice": {}}']
    )
    def test_of_a_log_ends_it(self, run: Path, text: str) -> None:
        lines = (run / "log.jsonl").read_text().splitlines()
        (run / "log.jsonl").write_text("\n".join([lines[0], text, *lines[1:]]))
        assert len(open_run(run).read_log()) == 1
        assert holds(run).epochs == 1  # type: ignore[union-attr]

    @pytest.mark.parametrize("text", [DEEP, "{}", '{"summary": [1], "cases": [{"case": []}]}'])
    def test_of_an_evaluation(self, seeds: Seeds, tmp_path: Path, text: str) -> None:
        (tmp_path / "e.json").write_text(text)
        given = {"": tmp_path / "e.json"}
        with pytest.raises(InputError, match="e.json"):
            finish(share(open_run(seeds.run), tmp_path / "out", evaluations=given))
        assert not (tmp_path / "out").exists()


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "modalities": lambda d: d.update(modalities=["T1", 7.5, None]),
    "twice": lambda d: d.update(modalities=["T1"] * len(d["modalities"])),
    "regions": lambda d: d.update(regions=[["WT", [1, "x"]]]),
    "labels": lambda d: d.update(regions=[[name, [999]] for name, _ in d["regions"]]),
    "frame": lambda d: d.update(frame=[10**6, 10**6]),
    "width": lambda d: d["model"].update(width="x"),
    "no width": lambda d: d.update(model={}),
    "classes": lambda d: d["model"].update(classes=50),
    "versions": lambda d: d.update(versions={"torch": 2}),
    "unit": lambda d: d.update(unit="furlong"),
    "seen": lambda d: d.update(seen=[["a", "b", {}]]),
    "parent": lambda d: d.update(parent={"run": 3}),
    "store": lambda d: d.update(store=None),
    "augment": lambda d: d["config"].update(augment=[{"drop_modality": 0}]),
    "transfer": lambda d: d["config"].update(transfer=[None]),
    "encoder weights": lambda d: d["config"].update(encoder_weights=5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_json_of_the_wrong_form(run: Path, name: str) -> None:
    edited(run / "run.json", CHANGES[name])
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        open_run(run)


def test_a_network_that_would_fill_memory_is_never_made(run: Path) -> None:
    cpu = select("cpu", precision="fp32")
    for width in (8 * 10**4, 8 * 10**12):
        edited(run / "run.json", lambda d, w=width: d["model"].update(width=w))
        with pytest.raises(RunError, match="do not fit its network|an impossible network"):
            load_model(open_run(run), cpu)


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "calibration": lambda d: d.update(calibration={"WT": {"scale": "x"}}),
    "another key": lambda d: d.update(calibration={"WT": {"slope": 1.0}}),
    "threshold": lambda d: d.update(calibration={"WT": {"threshold": float("nan")}}),
    "dice": lambda d: d.update(dice=[1]),
    "ended": lambda d: d.update(ended={"a": 1}),
    "position": lambda d: d.update(position=[]),
}


@pytest.mark.parametrize("name", STATES)
def test_a_state_of_the_wrong_form(run: Path, name: str) -> None:
    for which in ("best", "last"):
        with_state(run / f"{which}.safetensors", STATES[name])
        with pytest.raises(RunError, match="is damaged"):
            open_run(run).load(which)


def test_a_scale_too_large_for_an_integer(run: Path) -> None:
    with_state(run / "best.safetensors", lambda d: d.update(calibration={"WT": {"scale": 10**30}}))
    load_model(open_run(run), select("cpu", precision="fp32"))


def test_a_librarys_message_is_shortened(store: Path) -> None:
    path = sorted(store.glob("cases/*/image/zarr.json"))[0]
    edited(path, lambda d: d.update(node_type="x" * 10_000))
    with pytest.raises(StoreError) as caught:
        opened = open_store(store)
        [opened.read_case(case) for case in opened.cases()]
    assert len(str(caught.value)) < 2000


def test_a_position_of_the_wrong_form(run: Path, seeds: Seeds) -> None:
    def change(state: dict[str, Any]) -> None:
        state.update(ended="", position={**state["position"], "epoch": "one"})

    with_state(run / "last.safetensors", change)
    cpu = select("cpu", precision="fp32")
    with pytest.raises(RunError, match="epoch is 'one'"):
        finish(resume(open_run(run), cpu, store=open_store(seeds.store)))


CASES: dict[str, Callable[[dict[str, Any]], object]] = {
    "name": lambda d: d.update(name=None),
    "box": lambda d: d["box"].update(stop=[10**6, 10**6, 10**6]),
    "empty box": lambda d: d["box"].update(stop=d["box"]["start"]),
    "larger": lambda d: d["geometry"].update(shape=[2**20] * 3) or d["box"].update(stop=[9, 9, 9]),
    "axes": lambda d: d["geometry"].update(axes=[0, 0, 1]),
    "affine": lambda d: d["geometry"].update(affine=[[1]]),
    "modalities": lambda d: d.update(modalities=[]),
    "normalisation": lambda d: d["normalisation"].update(mean=[0.0]),
    "foreground": lambda d: d.update(foreground=[[1]]),
    "labelled": lambda d: d.update(labelled="perhaps"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_wrong_form(store: Path, name: str) -> None:
    path = sorted(store.glob("cases/*/zarr.json"))[0]
    edited(path, lambda data: CASES[name](data["attributes"]["mriseg"]))
    with pytest.raises(StoreError, match="is damaged|cannot be read"):
        opened = open_store(store)
        [opened.read_case(case) for case in opened.cases()]


def test_an_array_that_claims_more_than_its_shard_holds(store: Path) -> None:
    folder = sorted(path for path in (store / "cases").iterdir() if path.is_dir())[0]

    def grow(data: dict[str, Any]) -> None:
        case = data["attributes"]["mriseg"]
        z = len(case["foreground"])
        case["geometry"]["shape"] = [4000, 4000, 4000]
        case["box"] = {"start": [0, 0, 0], "stop": [z, 4000, 4000]}

    edited(folder / "zarr.json", grow)
    opened = open_store(store)
    (name, *_) = opened.cases()
    with pytest.raises(StoreError, match="does not have the shape"):
        opened.read_case(name)
    about = json.loads((folder / "image" / "zarr.json").read_text())
    about["shape"][2:] = [4000, 4000]
    (folder / "image" / "zarr.json").write_text(json.dumps(about))
    with pytest.raises(StoreError, match="too small to hold"):
        open_store(store).read_case(name)


class TestSettings:
    @pytest.mark.parametrize("text", [f"a = {DEEP[:50_000]}", "a = " + "{a=" * 9000])
    def test_that_are_too_deep(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.toml").write_text(text)
        with pytest.raises(ConfigError, match="nested too deeply|not valid TOML"):
            read_settings(tmp_path / "x.toml")

    @pytest.mark.parametrize(
        "key", ["a." * 20_000 + "a", '"a b" . ' * 7000 + "a", "'.'." * 9000 + "a"]
    )
    def test_whose_keys_have_thousands_of_parts(self, tmp_path: Path, key: str) -> None:
        # Python's reader took more than 2 GB and 10 s.
        for text in (f"{key} = 1", f"[{key}]", f"x = {{{key} = 1}}"):
            (tmp_path / "x.toml").write_text(text)
            with pytest.raises(ConfigError, match="more than 20 parts"):
                read_settings(tmp_path / "x.toml")

    def test_that_are_too_long(self, tmp_path: Path) -> None:
        (tmp_path / "x.toml").write_text("# " + "x" * 2**16)
        with pytest.raises(ConfigError, match="larger than"):
            read_settings(tmp_path / "x.toml")

    @pytest.mark.parametrize(
        "settings",
        [
            {"pos_weight": "9" * 5000 + "x"},
            {"pos_weight": 10**400},
            {"size": "9" * 5000 + "x32"},
            {"batch_size": "9" * 5000},
            {"loss": "x" * 20_000},
            {"regions": ["x" * 50] * 500, "augment": {f"k{n}": n for n in range(500)}},
            {"budget": "9" * 5000 + "y"},
            {"transfer": {"freeze": "encoder:" + "9" * 5000}},
        ],
    )
    def test_a_message_is_not_what_was_given(self, settings: dict[str, Any]) -> None:
        with pytest.raises(ConfigError) as caught:
            training_config({"epochs": -1}, settings)
        assert len(str(caught.value)) < 5000


class TestSizes:
    def test_voxels_that_begin_far_into_a_bomb(self, tmp_path: Path) -> None:
        image = nib.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
        header = bytearray(image.to_bytes()[:352])
        struct.pack_into("<f", header, 108, 2.0**27)
        (tmp_path / "x.nii.gz").write_bytes(gzip.compress(bytes(header) + bytes(2**20), mtime=0))
        with pytest.raises(InputError, match="its voxels start at"):
            nifti.read(tmp_path / "x.nii.gz")

    def test_a_scaled_scan_takes_little_more_than_it_is(self, tmp_path: Path) -> None:
        # int8 to float32, by blocks: in one piece it took eight bytes a voxel on top.
        image = nib.Nifti1Image(np.ones((256, 256, 64), dtype=np.int8), np.eye(4))
        image.header.set_slope_inter(2, 1)
        nib.save(image, tmp_path / "x.nii")
        array, _ = nifti.read(tmp_path / "x.nii")
        assert array.dtype == np.float32 and (array == 3).all() and array.flags.f_contiguous

    def test_slices_larger_than_any_of_a_head(self, tmp_path: Path) -> None:
        array = np.random.default_rng(0).integers(0, 99, (MAX_SIDE + 8, 40, 2)).astype(np.int16)
        nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "x.nii")
        images, grid = nifti.read_channels(tmp_path / "x.nii")
        labels = np.zeros(grid.shape, dtype=np.uint8)
        labels[[0, -1]] = 1  # and so the crop reaches from end to end
        with pytest.raises(InputError, match="larger than in any scan of a head"):
            prepare({"image": images[0]}, labels, grid)

    def test_a_thousand_tiffs_of_the_largest_size(self, tmp_path: Path) -> None:
        folder = tmp_path / "TCGA_XX_0001_19990101"
        folder.mkdir()
        for number in range(1, 1001):
            (folder / f"{folder.name}_{number}.tif").touch()
        plane = np.zeros((4096, 4096, 3), dtype=np.uint8)
        Image.fromarray(plane).save(
            folder / f"{folder.name}_1.tif", compression="tiff_adobe_deflate"
        )
        _, listing = readers.find(tmp_path, "lgg")
        with pytest.raises(CaseError, match="more than any scan"):
            listing.cases[0].load()

    def test_a_batch_of_large_slices_is_small(self, seeds: Seeds) -> None:
        cpu = select("cpu", precision="fp32")
        case = open_store(seeds.store).read_case("BraTS20_Training_001")
        seen = []

        class Network(torch.nn.Module):
            def forward(self, image: torch.Tensor) -> torch.Tensor:
                seen.append(len(image))
                return image[:, :1]

        task = Task(("T1",), {"WT": (1,)}, (2048, 1024))
        probabilities(Network(), cpu, case, task, batch_size=16)
        assert set(seen) <= {1, 2}


@pytest.mark.parametrize("state", [{1: torch.zeros(2)}, {("a",): torch.zeros(2)}])
def test_weights_without_names(tmp_path: Path, state: dict[Any, torch.Tensor]) -> None:
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(InputError, match="does not hold a state dict|cannot be read"):
        load_encoder_weights(tmp_path / "x.pth")


@pytest.mark.parametrize("data", [b"\x80\x02c\xff\xff\n.", b"\x80\x02]q\x00h\x05.", b"PK\x05\x06"])
def test_weights_whose_pickle_is_broken(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(InputError, match="cannot be read"):
        load_encoder_weights(tmp_path / "x.pth")


def test_an_exported_file_whose_records_lie_before_it(seeds: Seeds, tmp_path: Path) -> None:
    path = tmp_path / "model.torchscript.pt"
    end = seeds.exported.rindex(b"PK\x05\x06")
    size, place = struct.unpack_from("<II", seeds.exported, end + 12)
    data = bytearray(seeds.exported)
    struct.pack_into("<II", data, end + 12, size, place + 2**31)
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedError):
        check_whole(finish(verify(path)))
