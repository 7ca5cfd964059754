"""The worst of what makes a native reader stumble stays out of pages, help and messages.

`WORST` lists it, with what to write instead. Strings in the package count, docstrings included.
``language.toml`` holds how many offences each file still has; the numbers may only shrink.
``python -m tests.test_language`` prints them all to stderr, and that file's new content to stdout.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mriseg"

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
        *PACKAGE.rglob("*.md"),
    ]
)

# "a row a case": what a noun counts. Units of time are not in it: "slices a second" is English.
_COUNTED = (
    "batch|byte|case|cell|channel|chunk|class|column|core|epoch|file|fold|folder|image|label|level|"
    "line|mask|method|modality|module|pair|patient|process|region|row|run|scan|session|shard|side|"
    "size|slice|stage|step|subject|tensor|training|user|voxel"
)
_LITTLE = "(?:as|at|by|for|from|has|if|in|is|of|on|or|than|that|to|when|where|with|without)"
_UNITS = "bits?|bytes?|files?|numbers?|pixels?|slices?|steps?|values?|voxels?|m?s|µs|[kMG]i?B"
_THINGS = (
    "archive|array|card|comparison|digest|evaluation|file|folder|image|integer|JSON|key|lesion|mask|"
    "medical|model|name|NIfTI|number|path|pickle|reason|regular|run|safetensors|scan|store|table|"
    "text|TOML|URL|word|zip"
)

# pattern -> what to write instead
WORST = {
    r"noughts?": "zero",
    r"anew": "again, from scratch, re-initialised",
    r"told": "reported, said, printed",
    r"(?<!question )(?<!quotation )(?<!byte order )mark(?:s|ed|ing)?": "segment, flag",
    rf"(?:an? (?!{_LITTLE}\b)\w+|\d[\d.,]* (?:{_UNITS})) an? (?:{_COUNTED})": "one row per case",
    rf"(?:one|once) an? (?:{_COUNTED})": "one per core, once per process",
    r"whoever": "anyone who, if you",
    r"(?:for|by|of|to|from) who": "for those who, if you",
    r"(?-i:Who) (?!can |is |are |was )[^.?!:;]*\.": "anyone who, if you",
    r"(?:let|lets|left) be": "leave as is",
    r"s(?:ee|ees|een|aw) to it": "make sure",
    rf"(?<!there )(?:is|are|was|were) no (?:{_THINGS})": "is not",
    r"for want of": "because ... is missing",
    r"at hand": "available, this",
    r"h(?:and|ands|anded|anding) on": "share",
    r"(?:go|goes|going|went|gone) on with": "resume, continue with",
    r"there and back": "to the device and back, in both directions",
    r"maybe": "perhaps, possibly",
    r"mend(?:s|ed|ing)?": "fix",
    r"spoil(?:s|t|ed)?": "damage, corrupt",
    r"d(?:eal|eals|ealt|ealing)(?: \w+){0,2} out": "split, distribute",
    r"by turns": "in turn, alternately",
    r"half of the way": "halfway",
    r"(?:has|have|had) a say": "influence",
    r"comput(?:e|es|ed|ing) right": "correctly",
}

# Whole words: "mark" is not in "marker".
_PATTERNS = {re.compile(rf"\b(?:{worst})(?!\w)", re.I): rather for worst, rather in WORST.items()}
STILL: dict[str, int] = tomllib.loads(
    (Path(__file__).parent / "language.toml").read_text(encoding="utf-8")
)
"""File or command -> how many offences it still has. One that has none is not in it."""


def offences(text: str) -> Iterator[str]:
    """Each of the worst in a text, and what to write instead. Code in backquotes is left out."""
    for paragraph in re.split(r"\n\s*\n", re.sub(r"``[^`]*``|`[^`]*`", "`", text)):
        words = " ".join(paragraph.split())
        for pattern, rather in _PATTERNS.items():
            for match in pattern.finditer(words):
                around = words[max(match.start() - 30, 0) : match.end() + 30]
                yield f"{match[0]!r} in {around!r}: rather {rather}"


def prose(page: str) -> str:
    """A page without code blocks, comments and addresses of links."""
    page = re.sub(r"^ *```.*?^ *```", "", page, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL))


def strings(source: str) -> Iterator[str]:
    """The strings of a module that have several words; what an f-string fills in is an ellipsis."""
    inner: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inner.update(id(part) for part in node.values)
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            text = "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = "" if id(node) in inner else node.value
        else:
            continue
        if " " in text.strip():
            yield text


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def in_page(path: Path) -> list[str]:
    return list(offences(prose(path.read_text(encoding="utf-8"))))


def in_module(path: Path) -> list[str]:
    texts = strings(path.read_text(encoding="utf-8"))
    return [offence for text in texts for offence in offences(text)]


def check(name: str, problems: list[str]) -> None:
    """No more than `STILL` allows, and no line in it that is not needed."""
    allowed = STILL.get(name, 0)
    assert len(problems) <= allowed, "\n".join(
        [f"{name} has {len(problems)} offences, and may have {allowed}:", *problems]
    )
    assert problems or not allowed, (
        f"{name} needs no exception any more: take it out of tests/language.toml"
    )


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_pages_are_in_the_fields_english(page: Path) -> None:
    check(_name(page), in_page(page))


@pytest.mark.parametrize("module", sorted(PACKAGE.rglob("*.py")), ids=_name)
def test_messages_are_in_the_fields_english(module: Path) -> None:
    check(_name(module), in_module(module))


@cache
def helps() -> dict[str, str]:
    """Command -> what its ``--help`` prints, without the lines around it."""
    import typer.main

    from mriseg.cli.app import app

    def shown(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "2000"})
        assert done.exit_code == 0, done.output
        return re.sub(r"[│╭╮╰╯─]+", " ", done.output)

    group = typer.main.get_command(app)
    names = sorted(getattr(group, "commands", {}))
    return {"mriseg": shown(), **{f"mriseg {name}": shown(name) for name in names}}


def test_help_is_in_the_fields_english() -> None:
    pages = helps()
    assert len(pages) > 10
    for name, text in pages.items():
        check(f"{name} --help", list(offences(text)))


def test_exceptions_are_for_what_exists() -> None:
    known = {_name(path) for path in (*PAGES, *PACKAGE.rglob("*.py"))} | {
        f"{name} --help" for name in helps()
    }
    assert set(STILL) <= known


@pytest.mark.parametrize(
    "text",
    [
        "64 noughts",
        "The head is made anew.",
        "A second process is told.",
        "a model that marks gliomas",
        "what is marked",
        "a row a case and region",
        "a folder\na patient",
        "4 bytes a voxel",
        "once a process",
        "13 µs a region",
        "Whoever wants more takes less.",
        "for who compares",
        "Who edits it takes the line out.",
        "scans that are let be",
        "sees to it that each line can be read",
        "x is no number",
        "this is no NIfTI file",
        "for want of memory",
        "the scan at hand",
        "a model to hand on",
        "go on with: mriseg train --resume",
        "there and back again",
        "maybe too large",
        "found and mended",
        "one bad case spoils no other",
        "patients are dealt out to folds",
        "contenders by turns",
        "half of the way",
        "intensities have a say",
        "whether it computes right",
    ],
)
def test_the_worst_is_found(text: str) -> None:
    assert len(list(offences(text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "benchmarks, bookmarks, a marker, remarkable, Markdown, a question mark",
        "`mark` and ``told`` are code",
        "there is no file of that name",
        "one row per case, two slices a second",
        "patients who lack a sequence, to whom it belongs",
        "Who prints? Who can write it?",
        "it was a store, a run or a file",
        "recommended, amended, a foretold end",
        "zeros, again, reported, fixed",
        "a UTF-8 byte order mark",
        "a hands-on tutorial",
    ],
)
def test_what_is_right_is_left_alone(text: str) -> None:
    assert list(offences(text)) == []


def test_only_strings_with_words_count() -> None:
    source = '"told"\nx = f"case {x} is told"\n# told\n"""Marks it."""\ny = "a" "new b"\n'
    assert list(strings(source)) == ["case … is told", "Marks it.", "anew b"]
    assert prose("a <!-- told -->\n```sh\ntold\n```\n[b](told.md)").split() == ["a", "[b]"]


def test_a_number_may_only_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(STILL, "x", 1)
    check("x", ["one"])
    with pytest.raises(AssertionError, match="2 offences, and may have 1"):
        check("x", ["one", "two"])
    with pytest.raises(AssertionError, match="needs no exception"):
        check("x", [])


if __name__ == "__main__":
    everything = {_name(path): in_page(path) for path in PAGES}
    everything |= {_name(path): in_module(path) for path in sorted(PACKAGE.rglob("*.py"))}
    everything |= {f"{name} --help": list(offences(text)) for name, text in helps().items()}
    print("# What tests/test_language.py still allows, which may only shrink.")
    for where, problems in everything.items():
        for problem in problems:
            print(f"{where}: {problem}", file=sys.stderr)
        if problems:
            print(f'"{where}" = {len(problems)}')
