"""Build the documentation as a site with a search: ``scripts/docs site [FOLDER]``.

The pages are those of the repository, in the places that they have there, so that their links hold
as they are: nothing is written twice. Files that pages link to, such as modules, are copied beside
them. The order is that of ``docs/index.md``. A link or an anchor that leads nowhere is an error.
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INDEX = ROOT / "docs" / "index.md"

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>#]+)[^)]*\)")
_SECTION = re.compile(r"^To (\w+) it:$", re.MULTILINE)


def linked(page: Path) -> list[Path]:
    """The files of the repository that a page links to or shows, in order."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
    targets = [t for t in _LINK.findall(prose) if not re.match(r"[a-z][a-z+.-]*:", t)]
    return [(page.parent / target).resolve() for target in targets]


def gathered() -> dict[Path, list[Path]]:
    """Page -> what it links to, of all pages that the README leads to."""
    pages: dict[Path, list[Path]] = {}
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop(0)
        if page not in pages:
            pages[page] = linked(page)
            waiting += [path for path in pages[page] if path.suffix == ".md" and path.is_file()]
    return pages


def order(pages: Iterable[Path]) -> list[Any]:
    """The navigation: the sections of ``docs/index.md``, and of ``pages`` those that it lacks."""
    text = INDEX.read_text(encoding="utf-8")
    heads = [*_SECTION.finditer(text)]
    sections: list[Any] = ["README.md", {"All pages": "docs/index.md"}]
    shown = {ROOT / "README.md", INDEX}
    for head, following in zip(heads, [*heads[1:], None], strict=True):
        part = text[head.end() : following.start() if following else len(text)]
        paths = [(INDEX.parent / target).resolve() for target in _LINK.findall(part)]
        listed = [p for p in paths if p.suffix == ".md" and p not in shown]
        decisions = sorted({p for p in listed if p.parent.name == "decisions"})
        shown.update(listed)
        items: list[Any] = [_place(p) for p in listed if p not in decisions]
        if decisions:
            items.append({"Decisions": [_place(p) for p in decisions]})
        sections.append({head[1].capitalize(): items})
    return [*sections, {"More": [_place(page) for page in pages if page not in shown]}]


def _place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def build(out: Path) -> None:
    """Build the site into the folder ``out``, which is replaced."""
    from mkdocs.commands.build import build as build_site
    from mkdocs.config import load_config

    with tempfile.TemporaryDirectory() as folder:
        pages = gathered()
        for page, targets in pages.items():
            for path in (page, *targets):
                if path.is_file():
                    copy = Path(folder) / _place(path)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, copy)
        config = load_config(
            str(HERE / "mkdocs.yml"),
            docs_dir=folder,
            site_dir=str(out.absolute()),
            nav=order(pages),
        )
        build_site(config)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    destination = Path(sys.argv[1] if sys.argv[1:] else "build/site")
    build(destination)
    # The search is a worker, which browsers do not start for a page from a disk.
    print(f"Look at it: python -m http.server --directory {destination}")
