"""The whole examples of docs/export.md: each format's file gives the mask of TorchScript's."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.events import finish
from mriseg.io.exporters.monai import FOLDER
from mriseg.recipes.export import export
from mriseg.testing import phantoms
from tests.recipes.test_export import a_run

TEXT = (Path(__file__).parents[1] / "docs/export.md").read_text(encoding="utf-8")

needs_onnx = pytest.mark.skipif(
    find_spec("onnxruntime") is None or find_spec("onnxscript") is None,
    reason="onnxruntime or onnxscript is not installed (mriseg[onnx])",
)
needs_coreml = pytest.mark.skipif(
    find_spec("coremltools") is None, reason="coremltools is not installed (mriseg[coreml])"
)


def example(name: str) -> str:
    marker = f"example {name}".strip()
    [code] = re.findall(rf"<!-- {marker} -->\n```python\n(.*?)```", TEXT, re.DOTALL)
    return str(code)


def in_pt2() -> str:
    """The lines of pt2 in the place of TorchScript's, and its inputs in full."""
    whole = example("")
    model, threshold = re.findall(r"^(?:model|threshold) = .*\n", whole, re.MULTILINE)
    metadata = 'threshold = metadata["regions"][0]["threshold"]\n'
    whole = whole.replace(model, example("pt2")).replace(threshold, metadata)
    whole = whole.replace("model.modalities", 'metadata["modalities"]')
    full = (
        "lambda image, mask: model(image, *(v.float().expand(len(image), -1).contiguous() "
        "for v in given), mask.to(torch.uint8))"
    )
    return whole.replace("model(image, *given, mask)", f"({full})(image, mask)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans of a patient, and the mask of the example with TorchScript as ``expected.nii.gz``."""
    folder = tmp_path_factory.mktemp("elsewhere")
    images, _ = phantoms.head(np.random.default_rng(0), (10, 40, 36), modalities=("t1", "flair"))
    case = phantoms.write_brats_case(folder / "case", images, None, orientation="LAS")
    for name, modality in (("T1", "t1"), ("FLAIR", "flair")):
        [path] = case.glob(f"*_{modality}.nii.gz")
        (folder / f"{name}.nii.gz").write_bytes(path.read_bytes())
    finish(export(a_run(folder), "torchscript", folder / "model.torchscript.pt"))
    run_alone(example(""), folder)
    (folder / "mask.nii.gz").rename(folder / "expected.nii.gz")
    return folder


def run_alone(code: str, folder: Path, *blocked: str) -> None:
    """In another process, which has neither mriseg nor what is ``blocked``."""
    alone = "import sys\n" + "".join(
        f"sys.modules[{name!r}] = None\n" for name in ("mriseg", *blocked)
    )
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", alone + code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr


def differing(folder: Path) -> float:
    """The share of voxels in which the mask differs from TorchScript's."""
    mask, expected = (nib.load(folder / name) for name in ("mask.nii.gz", "expected.nii.gz"))
    assert np.allclose(mask.affine, expected.affine)
    assert 0.02 < np.mean(expected.get_fdata() > 0) < 0.5
    return float(np.mean(mask.get_fdata() != expected.get_fdata()))


@pytest.mark.slow
@needs_onnx
def test_onnx_without_pytorch(folder: Path) -> None:
    finish(export(a_run(folder / "onnx"), "onnx", folder / "model.onnx"))
    run_alone(example("onnx"), folder, "torch", "onnx", "onnxscript")
    assert differing(folder) < 1e-3


@pytest.mark.slow
def test_pt2_without_mriseg(folder: Path) -> None:
    finish(export(a_run(folder / "pt2"), "pt2", folder / "model.pt2"))
    run_alone(in_pt2(), folder)
    assert differing(folder) < 1e-3


@pytest.mark.slow
@needs_coreml
def test_coreml_on_a_mac(folder: Path) -> None:
    path = finish(export(a_run(folder / "coreml"), "coreml", folder / "model.zip")).path
    with zipfile.ZipFile(path) as archive:
        archive.extractall(folder)
    assert (folder / "model.mlpackage/Manifest.json").is_file()
    if platform.system() != "Darwin":
        pytest.skip("the file was checked; to run the example takes Apple's runtime")
    run_alone(example("coreml"), folder)


def test_the_commands_for_monai_are_those_that_its_test_runs() -> None:
    from tests.io.exporters.test_monai import COMMAND

    assert f"$ python {COMMAND}\n" in TEXT
    assert f"$ cd {FOLDER}\n" in TEXT
