"""What tests of pages share: values that fill one, and what holds of any page's HTML."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

from PIL import Image

from mriseg.io.disk.known_files import KnownFile
from mriseg.io.predictions import MaskRecord, ModelName
from mriseg.report.page import About

ABOUT = About(
    created="2026-11-30T14:00:00+00:00",
    command="mriseg predict scans/ masks/",
    versions={"mriseg": "0.1.0", "torch": "2.13.0"},
    machine="cpu, float32",
    settings={"flips": "on", "threshold": "0.5"},
    notices=("a: lacks T2",),
    skipped=(("b", "has no image"),),
    unused={"notes.nii.gz": "no modality in its name"},
)
_VOID = {"br", "hr", "img", "input", "link", "meta"}
# What an inline drawing needs no end tags for.
_ADDRESSES = {"href", "src", "xlink:href", "action", "data", "poster", "srcset"}


class Elements(HTMLParser):
    """Reads a page strictly: each element is closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), (tag, attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def checked(text: str) -> Elements:
    """A page that keeps to what every page of mriseg keeps to."""
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    page = Elements(text)
    identifiers = [a["id"] for _, a in page.tags if "id" in a]
    assert len(set(identifiers)) == len(identifiers), identifiers
    for tag, attributes in page.tags:
        for name in _ADDRESSES & set(attributes):
            address = attributes[name] or ""
            if "://" in address:
                assert tag == "a" and address.startswith("https://"), (tag, address)
            if address.startswith("#"):
                assert address[1:] in identifiers, address
            assert not address.lower().startswith("javascript:")
        assert not any(name.startswith("on") for name in attributes), attributes
        assert tag not in ("iframe", "object", "embed", "base")
        # A viewer's controls are one, and it leads nowhere.
        assert tag != "form" or set(attributes) == {"class"}
    assert all(image.get("alt") for image in page.all("img"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert "not for clinical use" in page.text
    [policy] = [a["content"] for a in page.all("meta") if a.get("http-equiv")]
    assert policy and policy.startswith("default-src 'none'; ")
    return page


def png(size: int = 8) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (90, 20, 20)).save(file, format="PNG")
    return file.getvalue()


def mask_record(case: str = "a", volume: float = 12.5, **changes: object) -> MaskRecord:
    values: dict[str, object] = {
        "case": case,
        "mask": f"{case}.nii.gz",
        "files": (KnownFile(f"{case}.nii.gz", 1, 1, "0" * 64),),
        "source": "scans",
        "scan": (),
        "model": ModelName("base", "ab" * 32),
        "settings": {"flips": True, "adapt": True, "refine": True, "modalities": ["T1", "FLAIR"]},
        "modalities": ("T1", "FLAIR"),
        "missing": (),
        "unused": (),
        "notices": (),
        "volumes": {"WT": volume},
        "unit": "mm",
        "trained_on": False,
        "created": "2026-11-30T14:00:00+00:00",
        "backend": "cpu",
        "versions": {"mriseg": "0.1.0", "torch": "2.13.0", "python": "3.11"},
    }
    return MaskRecord(**{**values, **changes})  # type: ignore[arg-type]
