"""The text of a page of `mriseg.io.exporters.web`: its frame, what it knows, and its scripts.

The JavaScript is in modules, which tests and linters take as they are. A page has them bundled into
one script each for the page and for its worker, since a page from a disk may load no modules.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from mriseg import __version__
from mriseg.core.deploy import Deployed
from mriseg.core.filenames import word_meanings
from mriseg.core.regions import own_labels, painting_order
from mriseg.errors import ExportError
from mriseg.io.assets import asset, binary, niivue, page_style

GENERATOR = '<meta name="generator" content="mriseg export web">'
"""By which a page is known, within its first bytes."""

PARTS = {
    "library": "ort.webgpu.min.js",
    "module": "ort-wasm-simd-threaded.asyncify.mjs",
    "program": "ort-wasm-simd-threaded.asyncify.wasm",
    "worker": "worker.js",
    "model": "model.onnx",
}
"""Parts of a page by name, and their files in a folder."""

_RUNTIME = "onnxruntime"
_FROM_NPM = ("library", "module", "program")
_FETCHED = (_RUNTIME, "niivue")
ABSENT = (
    "pages need onnxruntime-web and NiiVue, and mriseg was installed without them: install mriseg "
    "from PyPI, or run scripts/viewer in a checkout"
)
_NOTICE = "For research. Not a medical device, not for clinical use."

# What a page may do: run what is in it, and reach nothing. Programs of WebAssembly and the worker,
# which is text of the page's own, are named apart; a folder reads its own files.
_POLICY = {
    "default-src": "'none'",
    "worker-src": "blob:",
    "img-src": "data: blob:",
    "style-src": "'unsafe-inline'",
    "base-uri": "'none'",
    "form-action": "'none'",
}

_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:function|class|const) (\w+))", re.MULTILINE)


@dataclass(frozen=True)
class WebPage:
    """A page of a network.

    Attributes:
        network: its modalities and regions.
        metadata: of the export.
    """

    network: Deployed
    metadata: dict[str, Any]

    def text(self, parts: Mapping[str, str | None]) -> str:
        """The page.

        Args:
            parts: by name, packed as base64 of gzip; None: in a file beside the page.

        Raises:
            ExportError: NiiVue is not in this installation.
        """
        library = niivue()
        if library is None:
            raise ExportError(ABSENT)
        scripts = [library, asset("viewer.js"), bundled("page")]
        in_folder = None in parts.values()
        values = {
            "POLICY": policy(scripts, in_folder=in_folder),
            "STYLE": "\n".join((page_style(), asset("viewer.css"), asset("web/page.css"))),
            "TITLE": html.escape(str(self.metadata.get("run", "A model"))),
            "MODALITIES": html.escape(_listed(self.network.modalities)),
            "REGIONS": html.escape(_listed(self.network.regions)),
            "NOTICE": html.escape(str(self.metadata.get("notice", _NOTICE))),
            "FACTS": "\n".join(
                f"<dt>{html.escape(term)}</dt><dd>{html.escape(value)}</dd>"
                for term, value in self._facts()
            ),
            "SOFTWARE": html.escape(_software()),
            "LICENCES": html.escape("\n\n".join(asset(f"{name}/LICENSE") for name in _FETCHED)),
            "VERSION": html.escape(__version__),
            "CONFIG": _json(self.config()),
            "PARTS": "\n".join(_part(name, content) for name, content in parts.items()),
            "SCRIPTS": "\n".join(f"<script>{script}</script>" for script in scripts),
        }
        return re.sub(r"@@(\w+)@@", lambda match: values[match[1]], asset("web/index.html"))

    def config(self) -> dict[str, Any]:
        """What the JavaScript knows of the model."""
        network, metadata = self.network, self.metadata
        names = list(network.regions)
        stated = metadata.get("regions") or [{} for _ in names]
        labels = {
            name: tuple(region.get("labels", (index + 1,)))
            for index, (name, region) in enumerate(zip(names, stated, strict=True))
        }
        own = own_labels(labels)
        return {
            "modalities": list(network.modalities),
            "incomplete": bool(metadata.get("incomplete", False)),
            "spacing": metadata.get("spacing"),
            "regions": [
                {
                    "name": name,
                    "label": label,
                    "threshold": region.get("threshold", 0.5),
                    "share": region.get("min_component_share", 0.0),
                }
                for name, label, region in zip(names, own, stated, strict=True)
            ],
            "order": painting_order(labels),
            "words": word_meanings(),
            "metadata": metadata,
        }

    def _facts(self) -> list[tuple[str, str]]:
        metadata, config = self.metadata, self.config()
        levels = [f"{region['name']} {region['threshold']:.3g}" for region in config["regions"]]
        versions = metadata.get("versions", {}).get("export", {})
        facts = [
            ("Model", str(metadata.get("run", ""))),
            ("Trained", str(metadata.get("trained", ""))),
            ("Reads", _listed(self.network.modalities)),
            ("Segments", ", ".join(self.network.regions)),
            ("Thresholds", ", ".join(levels)),
            ("Exported by", ", ".join(f"{name} {value}" for name, value in versions.items())),
        ]
        return [(term, value) for term, value in facts if value]


def bundled(entry: str) -> str:
    """A module of ``report/assets/web`` with all that it imports, as one script.

    Each module stays a scope of its own, and its imports and exports become constants.
    """
    order: list[str] = []
    _collect(entry, order)
    return '"use strict";\n' + "".join(map(_scoped, order))


def _collect(name: str, order: list[str]) -> None:
    """A module after all that it imports."""
    if name in order:
        return
    for _, imported in _IMPORT.findall(_module(name)):
        _collect(imported, order)
    order.append(name)


def _scoped(name: str) -> str:
    text = _module(name)
    exported = ", ".join(own for _, own in _EXPORT.findall(text))
    body = _EXPORT.sub(r"\1", _IMPORT.sub(r"const \1 = in_\2;", text))
    return f"const in_{name} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"


def _module(name: str) -> str:
    return asset(f"web/{name}.js")


@cache
def part_files() -> dict[str, bytes]:
    """All parts but the model.

    Raises:
        ExportError: what comes from npm is not in this installation.
    """
    contents = {name: binary(f"{_RUNTIME}/{PARTS[name]}") for name in _FROM_NPM}
    known = {name: content for name, content in contents.items() if content is not None}
    if len(known) < len(contents) or niivue() is None:
        raise ExportError(ABSENT)
    return {**known, "worker": bundled("worker").encode()}


def policy(scripts: list[str], *, in_folder: bool) -> str:
    """The Content-Security-Policy of a page: these scripts, no other, and no address elsewhere."""
    digests = (hashlib.sha256(text.encode()).digest() for text in scripts)
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    rules = {
        **_POLICY,
        "script-src": " ".join([*allowed, "blob:", "'wasm-unsafe-eval'"]),
        "connect-src": "'self'" if in_folder else "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _part(name: str, content: str | None) -> str:
    names = f'data-part="{name}" data-file="{PARTS[name]}"'
    return f'<script type="application/octet-stream" {names}>{content or ""}</script>'


def _json(value: Any) -> str:
    """JSON that can end no element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _listed(names: list[str]) -> str:
    """Names as they stand in a sentence."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _software() -> str:
    """What of others is in a page, and under which licence."""
    # Their first sentences: the hashes after them are for builds.
    notices = [asset(f"{name}/NOTICE").partition("Package:")[0] for name in _FETCHED]
    return " ".join(" ".join(notice.split()) for notice in notices)
