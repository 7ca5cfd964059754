"""What is installed is what it should be: version, types marker, sample scans and the model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import mriseg
from mriseg.io.runs import open_run
from mriseg.io.sample import sample_dir
from mriseg.testing import ReaderContract

ROOT = Path(__file__).resolve().parent.parent
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The package, built from this checkout without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)),
        ],
        check=True,
        timeout=120,
        env={**os.environ, "MRISEG_VIEWER": "skip"},
    )
    [path] = folder.glob("mriseg-*.whl")
    return zipfile.ZipFile(path)


def _slices() -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Patient -> its (pixels, mask), slice by slice."""
    slices = defaultdict(list)
    for path in sorted(sample_dir().glob("*/*_mask.tif")):
        image = path.with_name(path.name.replace("_mask", ""))
        with Image.open(image) as pixels, Image.open(path) as mask:
            slices[path.parent.name].append((np.asarray(pixels), np.asarray(mask)))
    return slices


def test_the_wheel_holds_the_sample_and_its_terms(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    sample = sample_dir().parent
    shipped = {
        f"mriseg/sample/{path.relative_to(sample).as_posix()}"
        for path in sample.rglob("*")
        if path.is_file()
    }
    assert len(shipped) > 100
    assert shipped <= names
    assert {"mriseg/sample/README.md", "mriseg/sample/LICENSE", "mriseg/py.typed"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]


def test_the_wheel_holds_the_model_and_its_terms(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    files = ("run.json", "best.safetensors", "certainty.json", "MODEL_CARD.md")
    assert {"mriseg/models/LICENSE", *(f"mriseg/models/base/{file}" for file in files)} <= names
    assert any(name.endswith("licenses/mriseg/models/LICENSE") for name in names)
    sizes = {info.filename: info.file_size for info in wheel.infolist()}
    assert sum(v for k, v in sizes.items() if "/models/base/" in k) <= 8 * MEGABYTE


def test_the_model_predicts_the_sample_without_a_network(tmp_path: Path) -> None:
    patient = sorted(sample_dir().iterdir())[0]
    run = open_run("base")
    before = {path: path.stat().st_mtime_ns for path in run.path.parent.rglob("*")}
    # In a process that can reach nothing.
    code = (
        "import socket, sys\n"
        "def refuse(*given): raise OSError('no network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from mriseg.cli.app import main\n"
        "main()\n"
    )
    shutil.copytree(patient, tmp_path / "in" / patient.name)
    done = subprocess.run(
        [*(sys.executable, "-c", code, "predict", "in", "out", "--model", "base")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    mask = nib.load(tmp_path / "out" / f"{patient.name}.nii.gz")
    assert mask.shape == (len(list(patient.glob("*_mask.tif"))), 256, 256)
    assert {path: path.stat().st_mtime_ns for path in run.path.parent.rglob("*")} == before


def test_the_model_says_what_it_is_and_no_names() -> None:
    run = open_run("base")
    card = (run.path / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "to fill in" not in card
    for said in ("not for clinical use", "CC BY-NC-SA 4.0", "10.1016/j.compbiomed.2019.05.002"):
        assert said in card
    assert re.search(r"\| \d\.\d{3} \[\d\.\d{3}, \d\.\d{3}\] \|", card)
    for region in run.manifest.regions:
        assert region in card
    assert run.manifest.salt and all(case.fingerprint for case in run.manifest.seen)
    assert {str(tensor.dtype) for tensor in run.load().weights.values()} <= {
        "torch.float32",
        "torch.int64",
    }
    for path in run.path.iterdir():
        assert b"TCGA_" not in path.read_bytes()
    terms = (run.path.parent / "LICENSE").read_text(encoding="utf-8")
    assert "CC BY-NC-SA 4.0" in terms and "10.1016/j.compbiomed.2019.05.002" in terms


def test_the_wheel_holds_the_suites_for_plug_ins_and_what_they_need(
    wheel: zipfile.ZipFile,
) -> None:
    suites = {"__init__", "backends", "exporters", "phantoms", "readers"}
    assert {f"mriseg/testing/{name}.py" for name in suites} <= set(wheel.namelist())
    needed = [line for line in _metadata(wheel).splitlines() if "extra == 'testing'" in line]
    assert needed == ["Requires-Dist: pytest>=8.3; extra == 'testing'"]


def test_the_wheel_holds_what_reports_are_made_of(wheel: zipfile.ZipFile) -> None:
    assets = {f"mriseg/report/assets/viewer.{kind}" for kind in ("js", "css", "html")}
    assert assets <= set(wheel.namelist())


# A plug-in of another package: the reader and its test as docs/extend.md shows them.
_READER, _TEST = "mriseg/io/readers/by_protocol.py", "tests/test_readers.py"


def _shown(path: str) -> str:
    """The block of docs/extend.md that is the file ``path``."""
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    [block] = re.findall(rf"^```python\n# {path}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return str(block)


def _tested(wheel: zipfile.ZipFile, folder: Path, reader: str) -> tuple[set[str], set[str], str]:
    """Tests that passed, and that failed, where the wheel and the package are installed."""
    site, package = folder / "site", folder / "site" / "my_package"
    wheel.extractall(site)
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "readers.py").write_text(reader, encoding="utf-8")
    info = site / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mriseg.readers]\nby-protocol = my_package.readers:READER\n"
    )
    (folder / "test_readers.py").write_text(
        f"import mriseg\nassert mriseg.__file__.startswith({str(site)!r})\n" + _shown(_TEST),
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "test_readers.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    outcomes = re.findall(r"^(PASSED|FAILED) \S+::(\w+)", done.stdout, re.MULTILINE)
    passed, failed = (
        {test for outcome, test in outcomes if outcome == which} for which in ("PASSED", "FAILED")
    )
    return passed, failed, done.stdout + done.stderr


def test_a_plug_ins_reader_is_held_to_the_suite(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    passed, failed, output = _tested(wheel, tmp_path, _shown(_READER))
    assert not failed, output
    suite = {name for name in vars(ReaderContract) if name.startswith("test_")}
    assert passed == suite and len(suite) > 8, output


@pytest.mark.slow
def test_a_plug_ins_reader_that_is_wrong_fails(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    reader = _shown(_READER)
    mirrored = reader.replace("images[key] = array", "images[key] = array[::-1]")
    silent = mirrored.replace("with errors_of(name):", "if True:")
    assert reader != mirrored != silent
    _, failed, output = _tested(wheel, tmp_path, silent)
    assert failed == {
        "test_canonical_arrays_are_what_was_written",
        "test_any_damaged_file_is_named_by_a_case_error",
    }, output


def test_without_pytest_one_message_names_the_extra() -> None:
    code = "import sys; sys.modules['pytest'] = None; import mriseg.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: mriseg.testing needs pytest, which is not installed: "
        'pip install "mriseg[testing]"'
    )
    assert "During handling" not in done.stderr


def _metadata(wheel: zipfile.ZipFile) -> str:
    [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return wheel.read(metadata).decode()


def test_the_wheel_is_small(wheel: zipfile.ZipFile) -> None:
    sizes = {info.filename: info.compress_size for info in wheel.infolist()}
    assert sum(size for name, size in sizes.items() if "/sample/" in name) < 5 * MEGABYTE


def test_the_version_is_stated_once(wheel: zipfile.ZipFile) -> None:
    assert f"\nVersion: {mriseg.__version__}\n" in _metadata(wheel)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"\b{re.escape(mriseg.__version__)}\b", changelog)


def test_the_command_is_installed_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"mriseg": "mriseg.cli.app:main"}


def test_the_sample_is_real_scans_with_every_sequence_and_a_tumour() -> None:
    patients = _slices()
    assert len(patients) == 3
    for slices in patients.values():
        images = np.stack([pixels for pixels, _ in slices])
        masks = np.stack([mask for _, mask in slices])
        assert images.shape[1:] == (256, 256, 3)
        assert images.dtype == masks.dtype == np.uint8
        assert set(np.unique(masks)) == {0, 255}
        for sequence in (0, 2):  # FLAIR in a missing sequence's place would be equal everywhere
            assert (images[..., sequence] == images[..., 1]).mean() < 0.5
        inside = images[..., 1][masks > 0].mean()
        head = images[..., 1][images[..., 1] > 20].mean()
        assert inside > 1.4 * head


def test_the_sample_says_whose_it_is() -> None:
    readme = (sample_dir().parent / "README.md").read_text(encoding="utf-8")
    terms = (sample_dir().parent / "LICENSE").read_text(encoding="utf-8")
    for patient, slices in _slices().items():
        tumour = sum(bool(mask.any()) for _, mask in slices)
        assert f"| `{patient}` | {len(slices)} | {tumour} |" in readme
    for doi in ("10.1016/j.compbiomed.2019.05.002", "10.7937/K9/TCIA.2016.L4LTD3TK"):
        assert doi in readme
        assert doi in terms
    for licence in ("CC BY 3.0", "CC BY-NC-SA 4.0"):
        assert licence in readme
        assert licence in terms


@pytest.mark.realdata
def test_the_sample_is_the_published_files(lgg_dir: Path) -> None:
    for path in sample_dir().rglob("*.tif"):
        assert path.read_bytes() == (lgg_dir / path.relative_to(sample_dir())).read_bytes()
