"""Commands that check, as typed: what they report, and how they end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor
from typer.testing import CliRunner

from mriseg.backends import BACKENDS, Backend
from mriseg.backends.cpu import Cpu
from mriseg.cli.app import app
from mriseg.core.ops import Ops, native_pool, native_unpool
from mriseg.events import finish
from mriseg.recipes.preprocess import preprocess
from mriseg.testing import phantoms
from tests.cli.conftest import Type

QUICK = "--quick --width 8 --batch-size 2 --size 40x48 --backend cpu --precision fp32"
SMALL = "--width 8 --batch-size 2 --backend cpu --precision fp32"


def test_bench_as_typed(worked: Path, type_in: Type) -> None:
    result = type_in(worked, f"mriseg bench out.zarr {QUICK} --json bench.json")
    assert result.exit_code == 0, result.output
    for shown in ("training step", "inference", "FLOP/s", "out.zarr (3 cases)", "images/s"):
        assert shown in result.stdout
    data = json.loads((worked / "bench.json").read_text())
    assert data["config"]["size"] == [40, 48]


def test_bench_of_what_cannot_be(worked: Path, type_in: Type) -> None:
    wrong = type_in(worked, "mriseg bench --size 240 --backend cpu --precision fp32")
    assert wrong.exit_code == 2 and "expected height x width" in wrong.stderr
    none = type_in(worked, "mriseg bench none.zarr --backend cpu --precision fp32")
    assert none.exit_code == 3 and "does not exist" in none.stderr


def test_doctor_as_typed(worked: Path, type_in: Type) -> None:
    result = type_in(worked, f"mriseg doctor {SMALL} --size 32x48 --deterministic --json d.json")
    assert result.exit_code == 0, result.output
    for shown in ("un-pool with ties", "right", "safe batch", "epoch", "the same bits twice"):
        assert shown in result.stdout
    assert "BraTS2020's scale" in result.stdout
    assert result.stdout.endswith("cpu in float32 is fit to train\n")
    assert json.loads((worked / "d.json").read_text())["task"]["size"] == [32, 48]


def test_doctor_of_a_store(worked: Path, type_in: Type) -> None:
    result = type_in(worked, f"mriseg doctor out.zarr {SMALL} --size 32x40 --json -")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["task"]["source"].startswith("out.zarr, 2 training cases")
    assert data["task"]["size"] == [32, 40] and data["fit"] is True


def test_doctor_of_what_cannot_be(worked: Path, type_in: Type) -> None:
    wrong = type_in(worked, "mriseg doctor --size 240 --backend cpu --precision fp32")
    assert wrong.exit_code == 2 and "expected height x width" in wrong.stderr
    none = type_in(worked, "mriseg doctor none.zarr --backend cpu --precision fp32")
    assert none.exit_code == 3 and "does not exist" in none.stderr


def mirrored(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """Another un-pooling than the network's."""
    return native_unpool(values.flip(3), code, size)


class Sick(Cpu):
    """A processor that un-pools otherwise."""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        sound = super().make(precision, deterministic, reason)
        return replace(sound, name="sick", ops=Ops("mirrored", native_pool, mirrored))


SICK = Sick()


@pytest.fixture
def _sick() -> Iterator[None]:
    BACKENDS.register("sick", f"{__name__}:SICK")
    yield
    del BACKENDS._targets["sick"]


@pytest.mark.usefixtures("_sick")
def test_doctor_of_a_device_that_is_wrong(worked: Path, type_in: Type) -> None:
    line = "mriseg doctor --width 8 --batch-size 2 --size 32x32 --backend sick --precision fp32"
    result = type_in(worked, line)
    assert result.exit_code == 4
    assert "WRONG" in result.stdout and "tried works" in result.stdout
    assert "error: sick in float32 is not fit to train: un-pool with ties (WRONG)" in result.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    phantoms.write_brats(tmp_path / "scans", 1, shape=(6, 32, 32), modalities=("flair",))
    finish(preprocess(tmp_path / "scans", tmp_path / "out.zarr", workers=1))
    return tmp_path


def test_an_intact_store_passes(folder: Path) -> None:
    arguments = ["verify", str(folder / "out.zarr"), "--sources", str(folder / "scans")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "nothing is wrong" in done.stdout and "sources" in done.stdout


def test_damage_is_shown_with_its_case_and_slice_and_has_a_code_of_its_own(folder: Path) -> None:
    (shard,) = folder.glob("out.zarr/cases/*/image/c/0/0/0/0")
    content = bytearray(shard.read_bytes())
    content[10] ^= 1
    shard.write_bytes(content)
    done = CliRunner().invoke(app, ["verify", str(folder / "out.zarr")])
    assert done.exit_code == 9
    assert "BraTS20_Training_001" in done.stdout and "SHA-256" in done.stdout
    assert "error: " in done.stderr and "start the same mriseg preprocess again" in done.stderr
    assert "Traceback" not in done.output
    done = CliRunner().invoke(app, ["verify", str(folder / "out.zarr"), "--json", "-"])
    assert done.exit_code == 9
    (fault,) = json.loads(done.stdout)["faults"]
    assert fault["case"] == "BraTS20_Training_001" and len(fault["slices"]) == 1


def test_a_path_that_is_nothing_is_another_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "nothing")])
    assert done.exit_code == 3 and "does not exist" in done.stderr


def test_the_shipped_model_by_name() -> None:
    done = CliRunner().invoke(app, ["verify", "base"])
    assert done.exit_code == 0, done.output
    assert "checksums" not in done.stderr
