"""Whether a store, a run or an exported file is what was written, and its sources what was read.

Nothing is changed here, and nothing that is read is run. What is checked:

- the digest that each file of mriseg's carries (`mriseg.io.disk.checksums`), and of a store the
  SHA-256 of every file of every case;
- the format's version, and that the parts fit together;
- of a store, given the folder of scans, that each case is still what preprocessing would read.

A store does not know where its scans lie: a path names users, hospitals and studies, and stores are
copied about. The caller says where they are now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mriseg.core.wording import counted
from mriseg.errors import DamagedError, InputError
from mriseg.events import Advanced, Began, Notice, Recipe
from mriseg.io import readers, runs
from mriseg.io import store as stores
from mriseg.io.disk.documents import plain
from mriseg.io.disk.faults import Fault, Findings
from mriseg.io.disk.versions import reading
from mriseg.io.exporters import EXPORTERS, exporter_of
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.model_sources import locate
from mriseg.io.readers import Case, ReaderOptions
from mriseg.io.runs.integrity import check_manifest, check_texts, check_weights, weight_files
from mriseg.io.store.integrity import (
    check_case,
    check_index,
    check_report,
    check_root,
    check_row,
    check_sources,
)
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import export as exports
from mriseg.recipes import overviews


@dataclass(frozen=True, repr=False)
class VerifyReport(Shown):
    """What `verify` looked at and found.

    Attributes:
        path: what was verified.
        kind: "store", "run" or "export".
        version: of its format.
        checked: what was looked at -> how many of them, in the order of looking.
        faults: what is wrong.
        unfinished: cases that were begun and not written to their end; no fault.
    """

    path: str
    kind: str
    version: int
    checked: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return dict(plain(self))

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.verified(self)


def verify(
    path: str | Path | Location,
    *,
    sources: Sequence[Path] = (),
    layout: str = "auto",
    channels: Sequence[str] | None = None,
) -> Recipe[VerifyReport]:
    """Check a store, a run or an exported file.

    Args:
        path: it, or the name of a shipped model; a store may be given by URL.
        sources: of a store, the folders of scans that it was made from, as `preprocess` took them.
        layout: of the sources, as `preprocess` took it.
        channels: of the sources, as `preprocess` took them.

    Returns:
        What is wrong; `check_whole` raises if anything is.

    Raises:
        InputError: it does not exist, it is none of the three, or its format is newer than
            this version reads; or sources were given for something that is not a store.
        ConfigError: the path looks like a URL that lost a slash.
    """
    kind = what_is(path)
    if kind is Kind.STORE:
        options = ReaderOptions(tuple(channels) if channels else None)
        report = yield from _store(str(Location.of(path)), sources, layout, options)
    elif sources:
        raise InputError(f"sources are of a store (zarr.json), and {path} is not a store")
    elif kind is Kind.RUN:
        report = yield from _run(locate(path if isinstance(path, str) else Path(str(path))))
    elif kind is Kind.NOTHING:
        raise InputError(f"{path} does not exist; give a store, a run or an exported file")
    else:
        report = yield from _export(Location.of(path).path, kind)
    if report.unfinished:
        yield Notice(
            f"{_some(report.unfinished)}: begun and not written to the end; the next mriseg "
            f"preprocess writes what is missing"
        )
    return report


_REMEDIES = {
    "store": "start the same mriseg preprocess again: it writes the cases that are lost or whose "
    "sources changed. Of a case whose files are not what was written, remove the folder first",
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


def _store(
    location: str, sources: Sequence[Path], layout: str, options: ReaderOptions
) -> Recipe[VerifyReport]:
    findings = Findings()
    # Sources that do not exist are reported before hours of reading.
    scans = yield from _scans(sources, layout, options)
    store = check_root(findings, location)
    regions = None if store is None else len(store.spec.regions)
    rows = check_index(findings, location, store)
    yield Began("verify", stores.count(location), "case")
    unfinished: list[str] = []
    names, keys = set(), set()
    for done, (key, document) in enumerate(stores.documents(location), start=1):
        check = check_case(location, key, document, regions)
        check_row(check, rows.get(key), document)
        findings.count("files", check.findings.checked["files"])
        findings.faults += check.findings.faults
        if check.is_unfinished:
            unfinished.append(check.name)
            continue
        names.add(check.name)
        keys.add(key)
        findings.count("cases")
        if sources and check.attributes is not None:
            findings.count("sources", len(check.attributes.sources))
            findings.faults += check_sources(check.attributes, scans.get(check.name))
        yield Advanced("verify", done, item=check.name)
    check_report(findings, location, keys)
    if left := sorted(set(scans) - names):
        yield Notice(f"{_some(left)}: among the sources, and not in the store")
    version = stores.FORMAT_VERSION if store is None else store.version
    return VerifyReport(location, "store", version, findings.checked, findings.faults, unfinished)


def _scans(sources: Sequence[Path], layout: str, options: ReaderOptions) -> Recipe[dict[str, Case]]:
    """The cases under the folders of scans, by name."""
    cases: dict[str, Case] = {}
    for source in sources:
        chosen, listing = readers.find(source, layout, options)
        yield Notice(f"{counted(len(listing.cases), 'case')} under {source}, in layout {chosen}")
        cases |= {case.name: case for case in listing.cases}
    return cases


def _run(folder: Path) -> Recipe[VerifyReport]:
    findings = Findings()
    weights = weight_files(folder)
    # A page may be a folder.
    parts = sorted(path for path in folder.iterdir() if path.is_file() or path.is_dir())
    exported = [path for path in parts if exporter_of(path) is not None]
    yield Began("verify", 1 + len(weights) + len(exported), "file")
    expected = check_manifest(findings, folder)
    yield Advanced("verify", 1, item="run.json")
    for done, path in enumerate(weights, start=2):
        check_weights(findings, path, None if path.name == "start.safetensors" else expected)
        yield Advanced("verify", done, item=path.name)
    for done, path in enumerate(exported, start=2 + len(weights)):
        _check_export(findings, path)
        yield Advanced("verify", done, item=path.name)
    check_texts(findings, folder)
    if not weights:
        yield Notice(f"{folder} has no weights: its training did not get that far")
    version = runs.FORMAT_VERSION
    return VerifyReport(str(folder), "run", version, findings.checked, findings.faults)


def _export(path: Path, kind: Kind) -> Recipe[VerifyReport]:
    if kind is not Kind.EXPORT:
        if not path.is_file():
            raise InputError(f"{path} is neither a store (zarr.json) nor a run (run.json)")
        raise InputError(
            f"{path} is not a file that mriseg export writes; expected a name that ends in "
            f"{' or '.join(exporter.suffix for exporter in EXPORTERS.values())}"
        )
    findings = Findings()
    yield Began("verify", 1, "file")
    _check_export(findings, path)
    yield Advanced("verify", 1, item=path.name)
    version = exports.FORMAT_VERSION
    return VerifyReport(str(path), "export", version, findings.checked, findings.faults)


def _check_export(findings: Findings, path: Path) -> None:
    findings.count("files")
    # A file that was renamed is looked into, too.
    inspection = (exporter_of(path) or EXPORTERS["torchscript"]).inspect(path)
    for fault in inspection.faults:
        findings.blame(path.name, fault)
    if inspection.whole is False and not inspection.faults:
        findings.blame(path.name, "is not what was written (its own digest)")
    if inspection.faults or inspection.whole is False:
        return
    if inspection.metadata.get("format") != exports.FORMAT:
        findings.blame(path.name, "holds nothing that mriseg export wrote")
        return
    reading(
        {exports.FORMAT_VERSION: None},
        inspection.metadata.get("version"),
        what=f"{path} has export format",
        remedy="export it again",
        error=InputError,
    )
    if inspection.whole is None:
        findings.blame(path.name, "has lost its digest")
