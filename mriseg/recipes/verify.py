"""Whether a store, a run or an exported file is what was written, and its sources what was read.

Nothing is changed here, and nothing that is read is run. What is checked:

- the digest that each file of mriseg's carries (`mriseg.io.disk.checksums`), and of a store the
  SHA-256 of every file of every case;
- the format's version, and that the parts fit together;
- of what an earlier version wrote without checksums: that it can be read, that its labels count
  what was counted, and that its numbers are finite;
- of a store, given the folder of scans, that each case is still what preprocessing would read.

A store does not know where its scans lie: a path names users, hospitals and studies, and stores are
copied about. Whoever verifies says where they are now.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from mriseg.core.config import parse
from mriseg.core.ops import PURE
from mriseg.core.regions import Regions
from mriseg.core.segnet import SegNet, SegNetConfig
from mriseg.errors import ConfigError, DamagedError, InputError, RunError, StoreError
from mriseg.events import Advanced, Began, Notice, Recipe
from mriseg.io import readers, runs
from mriseg.io import store as stores
from mriseg.io.disk.checksums import as_written
from mriseg.io.disk.untrusted import open_regular, parse_json, read_text
from mriseg.io.disk.versions import reading
from mriseg.io.exporters import EXPORTERS, Exporter
from mriseg.io.readers import Case, ReaderOptions
from mriseg.io.runs.model_sources import MODELS, locate
from mriseg.io.store.arrays import is_local
from mriseg.io.store.integrity import Fault, check_case, check_sources
from mriseg.io.store.storage import Tree
from mriseg.recipes import export as exports

_WEIGHTS = ("best", "last", "start")


@dataclass
class VerifyReport:
    """What `verify` looked at and found.

    Attributes:
        path: what was verified.
        kind: "store", "run" or "export".
        version: of its format.
        checked: what was looked at -> how many of them, in the order of looking.
        faults: what is wrong.
        unfinished: cases that were begun and not written to their end; no fault.
        unsealed: files and cases that carry no checksum, since an earlier version wrote them.
    """

    path: str
    kind: str
    version: int
    checked: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    unsealed: list[str] = field(default_factory=list)

    def blame(self, file: str, what: str, case: str = "") -> None:
        """One more fault."""
        self.faults.append(Fault(file, what, case))

    def count(self, what: str, number: int = 1) -> None:
        """So many more were looked at."""
        self.checked[what] = self.checked.get(what, 0) + number

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return {**self.__dict__, "faults": [dict(fault.__dict__) for fault in self.faults]}


def verify(
    path: str | Path,
    *,
    sources: Sequence[Path] = (),
    layout: str = "auto",
    channels: Sequence[str] | None = None,
) -> Recipe[VerifyReport]:
    """Check a store, a run or an exported file.

    Args:
        path: it, or the name of a shipped model.
        sources: of a store, the folders of scans that it was made from, as `preprocess` took them.
        layout: of the sources, as `preprocess` took it.
        channels: of the sources, as `preprocess` took them.

    Returns:
        What is wrong; `check_whole` raises if anything is.

    Raises:
        InputError: there is no such thing, it is none of the three, or its format is newer than
            this version reads; or sources were given for something that is no store.
    """
    found, given = Path(path), str(path)
    is_run = given in MODELS or (found / "run.json").exists()
    if not is_local(given) or (found / "zarr.json").exists() or (found / stores.CASES).is_dir():
        options = ReaderOptions(tuple(channels) if channels else None)
        report = yield from _store(given, sources, layout, options)
    elif sources:
        raise InputError(f"sources are of a store (zarr.json), and {path} is none")
    elif found.is_file():
        report = yield from _export(found)
    elif is_run:
        report = yield from _run(locate(path))
    elif not found.exists():
        raise InputError(f"{path} does not exist; give a store, a run or an exported file")
    else:
        raise InputError(f"{path} is neither a store (zarr.json) nor a run (run.json)")
    if report.unfinished:
        yield Notice(
            f"{_some(report.unfinished)}: begun and not written to the end; the next mriseg "
            f"preprocess writes what is missing"
        )
    if report.unsealed:
        yield Notice(
            f"{_some(report.unsealed)}: no checksums, since an earlier version wrote it; what can "
            f"be checked was, and {_SEALS[report.kind]}"
        )
    return report


_SEALS = {
    "store": "the same mriseg preprocess again adds them",
    "run": "a model that mriseg share makes of it has them",
    "export": "mriseg export again makes it with them",
}
_REMEDIES = {
    "store": "remove the folders of the cases named and start the same mriseg preprocess again: it "
    "writes the cases that are not there, and those whose sources changed",
    "run": "restore the file from a copy, or train again",
    "export": "export it again",
}


def check_whole(report: VerifyReport) -> None:
    """Raise DamagedError if something is wrong."""
    if report.faults:
        first = report.faults[0]
        more = len(report.faults) - 1
        others = f" (and {more} more)" if more else ""
        raise DamagedError(
            f"{report.path}: {first.file} {first.what}{others}; {_REMEDIES[report.kind]}"
        )


def _some(names: Sequence[str]) -> str:
    """The first few of many names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# Stores


def _store(
    location: str, sources: Sequence[Path], layout: str, options: ReaderOptions
) -> Recipe[VerifyReport]:
    report = VerifyReport(location, "store", stores.FORMAT_VERSION)
    # Sources that cannot be found are said before hours of reading.
    scans = yield from _scans(sources, layout, options)
    regions = _root(report, location)
    documents = stores.documents(location)
    yield Began("verify", len(documents), "case")
    names, keys = set(), set()
    for done, (key, document) in enumerate(documents, start=1):
        found = check_case(location, key, document, regions)
        report.count("files", found.files)
        report.faults += found.faults
        if not found.attributes and not found.faults:
            report.unfinished.append(found.name)
            continue
        names.add(found.name)
        keys.add(key)
        report.count("cases")
        if not found.sealed and found.attributes:
            report.unsealed.append(found.name)
        if sources and found.attributes:
            report.count("sources", len(found.attributes.get("sources", ())))
            report.faults += check_sources(found.name, found.attributes, scans.get(found.name))
        yield Advanced("verify", done, item=found.name)
    _tell_lost(report, location, keys)
    if left := sorted(set(scans) - names):
        yield Notice(f"{_some(left)}: among the sources, and not in the store")
    return report


def _root(report: VerifyReport, location: str) -> Regions | None:
    """Check what holds for all cases; gives the regions where they can be read.

    Raises:
        StoreError: it is no store, or a newer one.
    """
    tree = Tree(location)
    report.count("files")
    try:
        document = tree.read("zarr.json")
    except OSError as error:
        if not tree.folders(stores.CASES):
            raise StoreError(f"{location} is not an mriseg store ({error})") from None
        report.blame("zarr.json", "is missing or cannot be read")
        return None
    try:
        about = stores.attributes_in(document)
    except ValueError:
        report.blame("zarr.json", "is damaged: it is no JSON")
        return None
    intact = as_written(io.BytesIO(document))
    if intact is False:
        report.blame("zarr.json", "is not what was written (its own digest)")
        return None
    store = stores.open_store(location)
    report.version = about["version"] if about else report.version
    if intact is None:
        report.unsealed.append("zarr.json")
    _check_group(report, tree)
    return store.spec.regions


def _check_group(report: VerifyReport, tree: Tree) -> None:
    """The group that holds the cases says nothing of its own."""
    name = f"{stores.CASES}/zarr.json"
    if not tree.folders(stores.CASES):
        return
    report.count("files")
    try:
        found = parse_json(tree.read(name))
        said = {key: value for key, value in found.items() if value is not None}
        if said != {"attributes": {}, "node_type": "group", "zarr_format": 3}:
            report.blame(name, "is not what was written")
    except (OSError, ValueError, AttributeError):
        report.blame(name, "is damaged")


def _tell_lost(report: VerifyReport, location: str, keys: set[str]) -> None:
    """Cases that the last preprocessing left in the store and that are not there."""
    path = Path(location) / "report.json"
    if not is_local(location) or not path.exists():
        return
    report.count("files")
    try:
        said = _sealed(report, path)
        before = [case["case"] for case in said["cases"] if case["status"] != "skipped"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        report.blame("report.json", f"is damaged ({error})")
        return
    for name in before:
        key = stores.key_of(name)
        if key not in keys:
            place = f"{stores.CASES}/{key}"
            report.blame(place, "is lost: report.json says that it was written", name)


def _scans(sources: Sequence[Path], layout: str, options: ReaderOptions) -> Recipe[dict[str, Case]]:
    """The cases under the folders of scans, by name."""
    found: dict[str, Case] = {}
    for source in sources:
        chosen, listed = readers.find(source, layout, options)
        yield Notice(f"{len(listed.cases)} cases under {source}, in layout {chosen}")
        found |= {case.name: case for case in listed.cases}
    return found


# Runs


def _run(folder: Path) -> Recipe[VerifyReport]:
    report = VerifyReport(str(folder), "run", runs.FORMAT_VERSION)
    files = [folder / f"{which}.safetensors" for which in _WEIGHTS]
    files = [path for path in files if path.exists()]
    exported = [path for path in sorted(folder.iterdir()) if _exporter(path) is not None]
    yield Began("verify", 1 + len(files) + len(exported), "file")
    expected = _manifest(report, folder)
    yield Advanced("verify", 1, item="run.json")
    for done, path in enumerate(files, start=2):
        _check_weights(report, path, None if path.name == "start.safetensors" else expected)
        yield Advanced("verify", done, item=path.name)
    for done, path in enumerate(exported, start=2 + len(files)):
        _check_export(report, path)
        yield Advanced("verify", done, item=path.name)
    _check_texts(report, folder)
    if not files:
        yield Notice(f"{folder} has no weights: its training did not get that far")
    return report


def _manifest(report: VerifyReport, folder: Path) -> dict[str, list[int]] | None:
    """Check ``run.json``; gives the shapes of the weights it tells of, where that can be read.

    Raises:
        RunError: it is of another format, or a newer one.
    """
    report.count("files")
    try:
        content = read_text(folder / "run.json").encode()
        intact, data = as_written(io.BytesIO(content)), parse_json(content)
        damaged = intact is False or not isinstance(data, dict)
    except (OSError, ValueError):
        intact, damaged = None, True
    if damaged:
        report.blame("run.json", "is not what was written")
        return None
    try:
        run = runs.open_run(folder)
        report.version = data["version"]
        if intact is None:
            report.unsealed.append("run.json")
        with torch.device("meta"):
            network = SegNet(parse(SegNetConfig, run.manifest.model), PURE)
        return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    except (RunError, ConfigError, RuntimeError, TypeError) as error:
        if data.get("format") != runs.FORMAT or data.get("version") not in runs.VERSIONS:
            raise
        report.blame("run.json", f"is damaged ({error})")
        return None


def _check_weights(
    report: VerifyReport, path: Path, expected: Mapping[str, Sequence[int]] | None
) -> None:
    """A file of tensors: its digest, or else each tensor's numbers; and that they fit."""
    report.count("files")
    try:
        with open_regular(path) as opened:
            intact = as_written(opened)
        if intact is False:
            report.blame(path.name, "is not what was written (its own digest)")
            return
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            shapes = {name: list(file.get_slice(name).get_shape()) for name in names}
            report.count("tensors", len(names))
            if intact is None:
                report.unsealed.append(path.name)
                for name in names:
                    if not bool(torch.isfinite(file.get_tensor(name)).all()):
                        report.blame(path.name, f"holds numbers that are not finite, in {name}")
    except (SafetensorError, OSError, ValueError) as error:
        report.blame(path.name, f"is damaged ({error})")
        return
    for name, shape in (expected or {}).items():
        if shapes.get(name) != shape:
            there = f"has the shape {shapes[name]}" if name in shapes else "is not there"
            report.blame(path.name, f"does not fit run.json: {name} {there}, expected {shape}")
            return


def _check_texts(report: VerifyReport, folder: Path) -> None:
    """The report of a transfer; and the log, which grows by lines and carries no digest."""
    for name, check in (("log.jsonl", _lines), ("transfer.json", _sealed)):
        path = folder / name
        if not path.exists():
            continue
        report.count("files")
        try:
            check(report, path)
        except (OSError, ValueError) as error:
            report.blame(name, f"is damaged ({error})")


def _lines(report: VerifyReport, path: Path) -> Any:
    return [parse_json(line) for line in read_text(path).splitlines()]


def _sealed(report: VerifyReport, path: Path) -> Any:
    """What a JSON document says, if it is what its digest says.

    Raises:
        OSError, ValueError: it cannot be read, or is not what was written.
    """
    content = read_text(path)
    intact = as_written(io.BytesIO(content.encode()))
    if intact is False:
        raise ValueError("it is not what was written, by its own digest")
    if intact is None:
        report.unsealed.append(path.name)
    return parse_json(content)


# Exported files


def _export(path: Path) -> Recipe[VerifyReport]:
    report = VerifyReport(str(path), "export", exports.FORMAT_VERSION)
    if _exporter(path) is None and not zipfile.is_zipfile(path):
        raise InputError(
            f"{path} is no file that mriseg export writes; expected a name that ends in "
            f"{' or '.join(exporter.suffix for exporter in EXPORTERS.values())}"
        )
    yield Began("verify", 1, "file")
    _check_export(report, path)
    yield Advanced("verify", 1, item=path.name)
    return report


def _check_export(report: VerifyReport, path: Path) -> None:
    report.count("files")
    found = (_exporter(path) or EXPORTERS["torchscript"]).inspect(path)
    for fault in found.faults:
        report.blame(path.name, fault)
    if found.whole is False and not found.faults:
        report.blame(path.name, "is not what was written (its own digest)")
    if found.faults or found.whole is False:
        return
    if found.metadata.get("format") != exports.FORMAT:
        report.blame(path.name, "holds nothing that mriseg export wrote")
        return
    version = found.metadata.get("version")
    reading(
        {exports.FORMAT_VERSION: None},
        version,
        what=f"{path} has export format",
        remedy="export it again",
        error=InputError,
    )
    if report.kind == "export":
        report.version = exports.FORMAT_VERSION
    if found.whole is None:
        report.unsealed.append(path.name)


def _exporter(path: Path) -> Exporter | None:
    if not path.is_file():
        return None
    return next((e for e in EXPORTERS.values() if path.name.endswith(e.suffix)), None)
