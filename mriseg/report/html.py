"""A page as one file of HTML that opens from a disk, without a network.

Pictures, charts, style and script are in the file, and its policy forbids everything else. Text
from files (names, reasons) is escaped, and what does not print is written out. The same values give
the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mriseg.core.wording import visible
from mriseg.errors import OutputError
from mriseg.io.disk.documents import first_bytes, write_text
from mriseg.overview.values import PAGE
from mriseg.report import page as values
from mriseg.report.page import About, CaseEntry, Page, Viewer

FILE = PAGE
FOLDER = "report"
"""Beside the page: a file for each case, where one page would be too large."""

# Beyond this many bytes of pictures and volumes, or this many cases, each case has its own file.
# NiiVue itself is 2.3 MB more.
_ONE_FILE = 9_500_000
_MANY = 60
# By which a page of mriseg's is known, within its first bytes.
_GENERATOR, _HEAD = b'<meta name="generator" content="mriseg">', 1024

_POLICY = {
    "default-src": "'none'",
    "img-src": "data:",
    "style-src": "'unsafe-inline'",
    "base-uri": "'none'",
    "form-action": "'none'",
}


@dataclass
class _Scope:
    """What belongs to the file that is being rendered.

    Attributes:
        link: the place of a case -> where it leads to.
        one_case: whether it shows one case, whose viewer then starts at once.
        charts: how many there are so far.
        scripts: what runs, once each.
        styles: beside the page's own, once each.
    """

    link: Callable[[str], str]
    one_case: bool = False
    charts: int = 0
    scripts: dict[str, None] = field(default_factory=dict)
    styles: dict[str, None] = field(default_factory=dict)

    def chart(self, svg: str) -> Markup:
        """A chart whose identifiers are its own among those of the page."""
        self.charts += 1
        return Markup(_inline(svg, f"chart{self.charts}"))

    def viewer(self, entry: CaseEntry) -> Markup | str | None:
        """A case's viewer, or why it has none; None where nothing is to be said."""
        view = entry.viewer(self.one_case) if entry.viewer else None
        if not isinstance(view, Viewer):
            return view
        self.scripts |= dict.fromkeys(view.scripts)
        self.styles |= dict.fromkeys(view.styles)
        return Markup(view.markup)


def write(path: Path, page: Page) -> None:
    """Write a page; and where it would be too large, a file for each case in ``report/`` beside it.

    Args:
        path: of the page, such as ``OUT/report.html``.
        page: what it shows.

    Raises:
        OutputError: it cannot be written, or a page of somebody else is there; what was there is
            untouched.
    """
    _check_ours(path)
    if is_one_file(page):
        write_text(path, render(page))
        return
    # The pages of the cases first: the index never leads to one that is not there.
    for number, entry in enumerate(page.cases):
        if entry.written:
            continue
        text = render_case(page, number, f"../{path.name}")
        write_text(case_path(path, entry.place), text)
    write_text(path, render(page, link=lambda place: _address_of(case_path(path, place))))


def case_path(page: Path, place: str) -> Path:
    """Where the file of a case is, if the cases of a page have files of their own.

    Args:
        page: of all cases.
        place: `mriseg.report.page.CaseEntry.place`.
    """
    return page.with_name(f"{page.name.removesuffix(FILE)}{FOLDER}") / f"{place}.html"


def _address_of(case: Path) -> str:
    """Of a case's file, from the page of all."""
    return _address(f"{case.parent.name}/{case.name}")


def _check_ours(path: Path) -> None:
    """Refuse to write over a page that mriseg did not write.

    Raises:
        OutputError: one is there.
    """
    present = first_bytes(path, _HEAD)
    if present is not None and _GENERATOR not in present:
        raise OutputError(
            f"{path} is not a page of mriseg's and is not written over; move it, or name another "
            f"folder (all other results are complete)"
        )


def is_one_file(page: Page) -> bool:
    """Whether all cases fit into one file that a browser opens at once."""
    cases = page.cases
    if any(entry.written for entry in cases):
        return False
    large = sum(entry.size for entry in cases) > _ONE_FILE
    return len(cases) <= 1 or (len(cases) <= _MANY and not large)


def render(page: Page, link: Callable[[str], str] | None = None) -> str:
    """A page as HTML.

    Args:
        page: what it shows.
        link: the place of a case -> its own file; None: all cases are in the page.
    """
    anchors = {entry.place: f"#case-{number}" for number, entry in enumerate(page.cases, start=1)}
    scope = _Scope(link or anchors.__getitem__, one_case=len(page.cases) == 1)
    return _finished(scope, "page.html.j2", page=page, entries=() if link else page.cases)


def render_case(page: Page, number: int, index: str) -> str:
    """The file of one case.

    Args:
        page: of all cases.
        number: which of them.
        index: where the page of all is, from this file.
    """
    entry = page.cases[number]
    before = page.cases[number - 1] if number else None
    after = page.cases[number + 1] if number + 1 < len(page.cases) else None
    scope = _Scope(lambda place: _address(f"{place}.html"), one_case=True)
    names: dict[str, Any] = {"page": page, "entry": entry, "index": index}
    return _finished(scope, "case.html.j2", **names, before=before, after=after)


def _finished(scope: _Scope, template: str, **names: Any) -> str:
    environment = _environment()
    script = environment.get_template("sort.js").render()
    # Rendered before the head, which says what may run in it.
    body = environment.get_template(template).render(scope=scope, **names)
    scripts = [script, *scope.scripts]
    outer = environment.get_template("frame.html.j2")
    return outer.render(
        body=Markup(body),
        scripts=[Markup(text) for text in scripts],
        styles=[Markup(text) for text in scope.styles],
        policy=_policy(scripts),
        **names,
    )


def _policy(scripts: Iterable[str]) -> str:
    """The Content-Security-Policy of a file: these scripts, and nothing that is not in the file."""
    digests = (hashlib.sha256(text.encode()).digest() for text in scripts)
    allowed = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    rules = {**_POLICY, "script-src": " ".join(allowed)}
    return "; ".join(f"{name} {value}" for name, value in rules.items())


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mriseg.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["address"] = _address
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    environment.tests |= {
        name.lower(): _is(kind)
        for name, kind in vars(values).items()
        if isinstance(kind, type) and kind.__module__ == values.__name__
    }
    environment.globals |= {"disclaimer": values.DISCLAIMER, "reasons": _reasons}
    environment.globals["software"] = _software
    return environment


def _is(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


def _visible(value: Any) -> Any:
    """``value`` with what does not print, such as a sign that reverses text, written out."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return visible(value)


def _address(path: str) -> str:
    """A relative path as an address; names of files may hold what is not UTF-8."""
    return quote(path.encode("utf-8", "surrogateescape"))


def _reasons(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name}: {reason}" for name, reason in pairs]


def _software(about: About) -> list[tuple[str, str]]:
    """What computed it, as terms and values."""
    rows = [(name, version) for name, version in about.versions.items()]
    return [*rows, *([("computed on", about.machine)] if about.machine else [])]


# The charts' ink and rules (`mriseg.report.chart_style`) become those of the page, light or dark.
_COLOURS = {
    "fill: #22252b": "fill: currentColor",
    "stroke: #22252b": "stroke: currentColor",
    "stroke: #d9dce1": "stroke: var(--rule)",
    "fill: #ffffff": "fill: none",
    "'DejaVu Sans'": "'DejaVu Sans', Verdana, sans-serif",
}


def _inline(svg: str, name: str) -> str:
    """An SVG file as an element of a page: its own identifiers, the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', svg, count=1
    )
    # A style in an SVG is one of the whole page.
    svg = re.sub(r"<style.*?</style>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", svg)
    for before, after in _COLOURS.items():
        svg = svg.replace(before, after)
    return svg.strip()
