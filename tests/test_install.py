"""What users install: a wheel and an sdist that are built without a network, and run elsewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CONTAINERS = ROOT / "docs" / "containers"


@cache
def _alone() -> tuple[str, ...]:
    """What to put before a command so that it has no network; nothing where that cannot be had."""
    command = ("unshare", "--map-root-user", "--net")
    if shutil.which(command[0]) is None:
        return ()
    works = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    return command if works else ()


def run(*command: str | Path, cwd: Path, alone: bool = False, **environment: str) -> str:
    """What a command prints; it must succeed, and does not see this checkout."""
    settings = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        [*(_alone() if alone else ()), *map(str, command)],
        cwd=cwd,
        env={**settings, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def built(kind: str, source: Path, out: Path) -> Path:
    """A wheel or an sdist of a source tree, built by what is installed and without a network."""
    command = (sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", out)
    run(*command, cwd=source, alone=True, MRISEG_VIEWER="skip")
    [path] = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("RECORD")}


@pytest.mark.slow
def test_a_wheel_of_the_sdist_is_a_wheel_of_the_checkout(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    ignored = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=ignored)
    sdist = built("sdist", copy, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    [source] = (tmp_path / "unpacked").iterdir()
    first = built("wheel", copy, tmp_path / "one")
    second = built("wheel", source, tmp_path / "two")
    assert names(first) == names(second) and first.name == second.name
    assert (source / "tests" / "conftest.py").is_file() and (source / "README.md").is_file()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, and the libraries of this one by a path: torch is large."""
    folder = tmp_path_factory.mktemp("installed")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"),
        *("--no-build-isolation", "--wheel-dir", folder / "wheels", ROOT),
        cwd=folder,
        MRISEG_VIEWER="skip",
    )
    [wheel] = (folder / "wheels").glob("*.whl")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    python = folder / "venv" / "bin" / "python"
    own = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
    # Of a path that a .pth names, the .pth files are not read: no editable installation is seen.
    Path(own.strip(), "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    run(
        *(python, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
        *("--ignore-installed", wheel),
        cwd=folder,
        alone=True,
    )
    return python


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the folder of programs has another name")
def test_the_wheel_runs_where_there_is_no_checkout(installed: Path, tmp_path: Path) -> None:
    where = run(installed, "-c", "import mriseg; print(mriseg.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parents[1])
    version = run(installed, "-m", "mriseg", "--version", cwd=tmp_path)
    assert re.fullmatch(r"mriseg \d+\.\d+\S*\n", version)
    assert version == run(installed.parent / "mriseg", "--version", cwd=tmp_path)
    output = run(installed.parent / "mriseg", "demo", cwd=tmp_path, alone=True)
    written = [Path(line) for line in re.findall(r"^wrote (\S+\.html) ", output, re.MULTILINE)]
    assert written and all((tmp_path / path).is_file() for path in written)
    assert list(tmp_path.glob("demo/**/*.nii.gz"))
    shown = run(installed, "-m", "mriseg", "info", "base", cwd=tmp_path, alone=True)
    assert "a model to predict with" in shown


# Containers


def test_the_dockerfile_is_clean() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    assert run(hadolint, "--failure-threshold", "style", CONTAINERS / "Dockerfile", cwd=ROOT) == ""
    bad = (CONTAINERS / "Dockerfile").read_text().replace(" --no-cache-dir", "", 1)
    done = subprocess.run([hadolint, "-"], input=bad, text=True, capture_output=True)
    assert done.returncode == 1 and "DL3042" in done.stdout


def _parts(definition: str) -> dict[str, str]:
    """The sections of an Apptainer definition."""
    parts = re.split(r"(?m)^%(\w+)\n", definition)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_both_recipes_install_the_same() -> None:
    docker = (CONTAINERS / "Dockerfile").read_text()
    apptainer = (CONTAINERS / "mriseg.def").read_text()
    sections = _parts(apptainer)
    assert set(sections) == {"arguments", "files", "post", "environment", "runscript", "test"}
    [base] = re.findall(r"^FROM (\S+)", docker, re.MULTILINE)
    assert f"\nFrom: {base}\n" in apptainer
    installs = [re.findall(r'pip install .*?(".*")', text) for text in (docker, sections["post"])]
    assert installs[0][1] == installs[1][1] and '"torch>=2.9"' in installs[0][0]
    extras = re.findall(r"\[([\w,]+)\]", installs[0][1])[0].split(",")
    project = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)
    assert '"torch>=2.9"' in project and "requires-python" in project


@pytest.mark.parametrize("section", ["post", "runscript", "test"])
def test_the_shell_of_the_definition_is_well_formed(section: str) -> None:
    shell = _parts((CONTAINERS / "mriseg.def").read_text())[section]
    subprocess.run(["sh", "-n"], input=shell, text=True, check=True)
