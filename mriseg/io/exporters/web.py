"""Pages that segment in a browser: the network, its preparation and a viewer, and nothing sent.

A page is one file of HTML, which opens from a disk, or a folder, which a server hands out. Both
hold onnxruntime-web and NiiVue, which come from npm and are in the package where it was built or
set up with them, the model as ONNX, and JavaScript of mriseg's own, which repeats prediction. What
is too large to be read as text is a part: packed within the page, or a file in the folder.

What is checked when a page is written is its model, in onnxruntime; the tests hold its JavaScript
to `mriseg predict` in a browser.
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mriseg.core.deploy import Deployed
from mriseg.errors import ExportError
from mriseg.io.disk.checksums import BLANK, as_written, read_sealed_json, seal, sealed_json, sha256
from mriseg.io.disk.untrusted import open_regular, parse_json
from mriseg.io.exporters import onnx
from mriseg.io.exporters.base import ExportInspection, LoadedExport
from mriseg.io.exporters.web_page import GENERATOR, PARTS, WebPage, part_files

INDEX, RECORD = "index.html", "mriseg.json"
_MODEL = "model"
_HEAD = 1024
# The metadata and a packed model are far smaller; more of a stranger's page is not read.
_MOST = 2**30
_CONFIG = re.compile(rb'<script type="application/json" id="config">(.*?)</script>', re.DOTALL)
_PACKED = re.compile(rb'<script type="[^"]*" data-part="model"[^>]*>([A-Za-z0-9+/=]*)</script>')


class Web:
    """Writes and loads pages; see `mriseg.io.exporters.base.Exporter`. A path may be a folder's."""

    name = "web"
    suffix = ".web.html"
    summary = "a page that segments scans in a browser, by itself: nothing is installed or sent"
    sizes: Literal["any", "frame"] = "any"

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """See `Exporter.export`: one file."""
        parts = self._parts(network, metadata)
        packed = {
            name: base64.b64encode(gzip.compress(content, 6, mtime=0)).decode()
            for name, content in parts.items()
        }
        text = WebPage(network, metadata).text(packed)
        path.write_text(f'{text}<!-- {{"digest": "{BLANK}"}} -->\n', encoding="utf-8", newline="\n")
        seal(path)

    def export_folder(self, network: Deployed, metadata: dict[str, Any], folder: Path) -> None:
        """Write a page of several files, for a server.

        Args:
            network: as `Exporter.export` has it.
            metadata: likewise.
            folder: a new folder, which the caller renames.

        Raises:
            ExportError: what comes from npm is not in this installation.
        """
        folder.mkdir()
        parts = self._parts(network, metadata)
        for name, content in parts.items():
            (folder / PARTS[name]).write_bytes(content)
        text = WebPage(network, metadata).text(dict.fromkeys(parts))
        (folder / INDEX).write_text(text, encoding="utf-8", newline="\n")
        files = {path.name: sha256(path) for path in sorted(folder.iterdir())}
        record = sealed_json({"files": files, "metadata": metadata})
        (folder / RECORD).write_bytes(record)

    def load(self, path: Path) -> LoadedExport:
        """See `Exporter.load`: the model of the page in onnxruntime; its JavaScript is not run."""
        try:
            inspected = self.inspect(path)
            if inspected.faults or inspected.whole is False:
                reasons = [*inspected.faults, "it is not what was written"]
                raise ValueError(reasons[0])
            model = _model_of(path)
        except (OSError, ValueError, EOFError) as error:
            raise ExportError(f"{path} cannot be loaded as a page of mriseg's: {error}") from None
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / PARTS[_MODEL]
            file.write_bytes(model)
            loaded = onnx.EXPORTER.load(file)
        runtime = f"its model in {loaded.runtime}; browsers run it in onnxruntime-web"
        return replace(loaded, metadata=inspected.metadata, runtime=runtime)

    def matches(self, path: Path) -> bool:
        """See `Exporter.matches`."""
        if path.is_dir():
            return (path / INDEX).is_file() and (path / RECORD).is_file()
        with open_regular(path) as file:
            return GENERATOR.encode() in file.read(_HEAD)

    def inspect(self, path: Path) -> ExportInspection:
        """See `Exporter.inspect`: a page is read as text, and a folder by its record's digests."""
        return _inspect_folder(path) if path.is_dir() else _inspect_page(path)

    def _parts(self, network: Deployed, metadata: dict[str, Any]) -> dict[str, bytes]:
        """The parts by name. Raises ExportError where this installation lacks one."""
        # Before the model, which takes half a minute.
        parts = part_files()
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / PARTS[_MODEL]
            onnx.EXPORTER.export(network, metadata, file)
            return {**parts, _MODEL: file.read_bytes()}


def _inspect_page(path: Path) -> ExportInspection:
    with open_regular(path) as file:
        whole = as_written(file)
        file.seek(0)
        content = file.read(_MOST)
    config = _CONFIG.search(content)
    try:
        if GENERATOR.encode() not in content[:_HEAD] or config is None:
            raise ValueError("it is not a page of mriseg export web")
        known = parse_json(config.group(1))
        metadata = known.get("metadata") if isinstance(known, dict) else None
    except ValueError as error:
        return ExportInspection({}, whole, (f"{path.name}: is damaged ({error})",))
    return ExportInspection(metadata if isinstance(metadata, dict) else {}, whole)


def _inspect_folder(folder: Path) -> ExportInspection:
    try:
        record = read_sealed_json(folder / RECORD)
        files, metadata = record["files"], record["metadata"]
        names = {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return ExportInspection({}, False, (f"{RECORD}: is damaged ({error})",))
    expected = {INDEX, *PARTS.values()}
    faults = [f"{name}: is missing from the record" for name in sorted(expected - set(names))]
    # No name of a stranger's leads out of the folder.
    for name in sorted(expected & set(names)):
        path = folder / name
        if not path.is_file():
            faults.append(f"{name}: is missing")
        elif sha256(path) != names[name]:
            faults.append(f"{name}: is not what was written (SHA-256)")
    return ExportInspection(metadata if isinstance(metadata, dict) else {}, True, tuple(faults))


def _model_of(path: Path) -> bytes:
    """The model of a page that was inspected."""
    if path.is_dir():
        return (path / PARTS[_MODEL]).read_bytes()
    with open_regular(path) as file:
        packed = _PACKED.search(file.read(_MOST))
    if packed is None:
        raise ValueError("it holds no model")
    with gzip.open(io.BytesIO(base64.b64decode(packed.group(1)))) as unpacked:
        return unpacked.read(_MOST)


EXPORTER = Web()
