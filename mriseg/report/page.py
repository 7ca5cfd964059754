"""What a page is made of, as plain values: `mriseg.report.html` turns them into a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

DISCLAIMER = (
    "For research. Not a medical device, not for clinical use: no mask, volume or score on this "
    "page has been validated for any patient."
)


@dataclass(frozen=True)
class Flag:
    """A remark of a few words that is shown as a badge.

    Attributes:
        text: the remark.
        tone: "warn", "good" or "plain".
    """

    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it shows.
        sort: what it is sorted by, where that is a number; None in a column of numbers: last.
        case: the place of a case (`CaseEntry.place`) that it leads to.
        flags: shown after the text.
    """

    text: str
    sort: float | None = None
    case: str = ""
    flags: tuple[Flag, ...] = ()


def number(value: float | None, digits: int = 3) -> Cell:
    """A cell of a number; what is undefined is a dash, and is sorted last."""
    if value is None or not math.isfinite(value):
        return Cell("-")
    return Cell(f"{value:,.{digits}f}", float(value))


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        numeric: whether it holds numbers.
    """

    name: str
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by its columns; the first cell of a row is its heading."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Facts:
    """Terms and their values."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Words:
    """Paragraphs."""

    paragraphs: tuple[str, ...]


@dataclass(frozen=True)
class Items:
    """A list of sentences, of which a long one is folded."""

    rows: tuple[str, ...]
    what: str = "item"


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        data: of a PNG or JPEG.
        alt: what it shows, in words.
        caption: below it.
    """

    data: bytes
    alt: str
    caption: str = ""

    @property
    def kind(self) -> str:
        """Its media type."""
        return "image/png" if self.data.startswith(b"\x89PNG") else "image/jpeg"


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        svg: as `mriseg.report.charts` draws it.
        alt: what it shows.
        caption: below it.
    """

    svg: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """A small picture with a name and a few words, one of a sheet of many.

    Attributes:
        title: the name.
        picture: None: there is none.
        lines: below the name.
        flags: what to know of it.
    """

    title: str
    picture: Picture | None
    lines: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class Cards:
    """A sheet of cards."""

    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Links:
    """Other files: (text, address relative to the page's folder)."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Viewer:
    """Markup that looks at volumes, and what it needs.

    Attributes:
        markup: trusted as it is; its scripts are in ``scripts`` and not in it.
        scripts: what runs after it, in order; the page's policy allows these by their digests.
        styles: of its elements, once a page.
    """

    markup: str
    scripts: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()


Block = Table | Facts | Words | Items | Picture | Chart | Cards | Links


@dataclass(frozen=True)
class Section:
    """A part of a page under a heading of its own."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class CaseEntry:
    """A case with a place of its own: in the page, or in a file if there are many.

    Attributes:
        name: the case's.
        place: its anchor and its file's name, unique in the page, and fit for a file.
        size: about how many bytes its pictures and volumes take in a page.
        flags: what to know of it.
        blocks: what is shown, made when it is written.
        viewer: its volumes in a viewer, likewise, or a sentence that there is none; it is given
            whether the viewer starts with the page. None where nothing is to be said of it.
        written: whether its own file is there already, as it is to be.
    """

    name: str
    place: str
    size: int
    flags: tuple[Flag, ...]
    blocks: Callable[[], tuple[Block, ...]]
    viewer: Callable[[bool], Viewer | str] | None = None
    written: bool = False


@dataclass(frozen=True)
class About:
    """How a page came about.

    Attributes:
        created: local time, ISO 8601: the only thing on a page that changes by itself.
        command: as typed; empty where mriseg was called from Python.
        versions: name -> version.
        machine: where it was computed; empty where that does not matter.
        settings: name -> value.
        notices: what mriseg said.
        skipped: (case, reason).
        unused: image-like file -> why it is in no case.
    """

    created: str
    command: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    unused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Citation:
    """A publication.

    Attributes:
        key: as the text cites it, such as "Brett et al."
        text: the entry in a list of references.
        url: where it is.
    """

    key: str
    text: str
    url: str


@dataclass(frozen=True)
class Methods:
    """A text to paste, and what it cites."""

    text: str
    citations: tuple[Citation, ...]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        kind: of what, such as "Prediction".
        title: its heading.
        lead: what it shows, in a sentence or two.
        tiles: the numbers to see first: (label, value, remark).
        sections: in order; those before the cases.
        cases: in order.
        closing: sections after the cases.
        methods: None: nothing to cite.
        about: how it came about.
    """

    kind: str
    title: str
    lead: str
    about: About
    tiles: tuple[tuple[str, str, str], ...] = ()
    sections: tuple[Section, ...] = ()
    cases: tuple[CaseEntry, ...] = ()
    closing: tuple[Section, ...] = ()
    methods: Methods | None = None
