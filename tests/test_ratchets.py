"""The code is no larger than it may be, or than the list of exceptions says; each measure can fail.

Something is larger than its limit: make it smaller. An exception became smaller, or is no longer
needed: ``python -m tests.ratchets > tests/ratchets.json`` writes the list again. It may only
shrink.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests import ratchets
from tests.ratchets import MEASURES

LISTED = json.loads(ratchets.LIST.read_text(encoding="utf-8"))


@pytest.mark.parametrize("measure", MEASURES)
def test_the_package_keeps_to_its_limits(measure: str) -> None:
    worse = ratchets.problems(MEASURES[measure](ratchets.PACKAGE), LISTED.get(measure, {}))
    assert not worse, f"{measure}:\n" + "\n".join(worse)


def test_the_list_holds_nothing_else() -> None:
    assert set(LISTED) <= set(MEASURES)


def test_what_is_worse_than_the_list_or_is_no_longer_needed_is_a_problem() -> None:
    listed = {"a.py": 400, "b.py": 400, "c.py": 400}
    assert ratchets.problems({"a.py": 400, "b.py": 360, "c.py": 390}, listed) == []
    assert ratchets.problems({"a.py": 401, "b.py": 400, "d.py": 351}, listed) == [
        "a.py: 401, listed as 400",
        "d.py: 351",
        "c.py is listed, which is no longer needed",
    ]


LONG = "def f():\n" + "    x()\n" * 60
METHOD = "class C:\n    if True:\n        def f(self, {}): pass\n"


@pytest.mark.parametrize(
    ("measure", "module", "code", "offenders"),
    [
        ("lines of a file", "x.py", "\n" * 351, {"x.py": 351}),
        ("lines of a file", "x.py", "\n" * 350, {}),
        ("lines of a function", "x.py", LONG, {"x.py: f": 61}),
        ("lines of a function", "x.py", LONG.removesuffix("    x()\n"), {}),
        ("lines of a function", "x.py", "@a\n" + LONG[:-8], {}),
        (
            "lines of a function",
            "x.py",
            LONG[:-8].replace("f():", "f():\n    '''Do\n\n    it.'''"),
            {},
        ),
        (
            *(
                "parameters of a function",
                "a/x.py",
                METHOD.format("a, b, /, c, d, e, *, g, h, i, j"),
            ),
            {"a/x.py: C.f": 9},
        ),
        ("parameters of a function", "x.py", METHOD.format("a,b,c,d,e,f,g,h,*i,**j"), {}),
        ("parameters of a function", "cli/x.py", METHOD.format("a,b,c,d,e,f,g,h,i"), {}),
        ("McCabe complexity", "x.py", "def f(x):\n" + "    if x: x()\n" * 10, {"x.py: f": 11}),
        (
            *("McCabe complexity", "x.py", "def f(x):  # noqa: C901\n" + "    if x: x()\n" * 10),
            {"x.py: f": 11},
        ),
        ("McCabe complexity", "x.py", "def f(x):\n" + "    if x: x()\n" * 9, {}),
        ("no test file", "a/x.py", "", {"a/x.py": 1}),
        ("no test file", "a/tested.py", "", {}),
        ("no test file", "a/_tested.py", "", {}),
        ("no test file", "a/__init__.py", "", {}),
        ("names that say nothing", "x.py", "def f(found): told = found", {"x.py": 2}),
        ("names that say nothing", "x.py", "for here, x in y: made += 1", {"x.py": 2}),
        ("names that say nothing", "x.py", "a.found = b(there=1)\nfounder = found", {}),
        ("names that say nothing", "x.py", "def here(): pass", {"x.py": 1}),
    ],
)
def test_a_measure_finds_what_it_should_and_no_more(
    tmp_path: Path, measure: str, module: str, code: str, offenders: dict[str, int]
) -> None:
    path = tmp_path / "package" / module
    path.parent.mkdir(parents=True)
    path.write_text(code)
    tested = tmp_path / "tests" / "a" / "test_tested.py"
    tested.parent.mkdir(parents=True)
    tested.touch()
    assert MEASURES[measure](tmp_path / "package") == offenders


@pytest.mark.parametrize("folder", ["tests/io", "benchmarks", "scripts"])
@pytest.mark.parametrize(
    ("code", "number"),
    [
        ("def f(found): told = found", 2),
        ("def found(): pass\nasync def told(): pass", 2),
        ("class A:\n    def made(self): self.odd = 1", 1),
        ("def test_what_is_found(): finding = found()", 0),
    ],
)
def test_empty_names_are_counted_beside_the_package(
    tmp_path: Path, folder: str, code: str, number: int
) -> None:
    path = tmp_path / folder / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    offenders = MEASURES["names that say nothing"](tmp_path / "package")
    assert offenders == ({f"{folder}/x.py": number} if number else {})


@pytest.mark.parametrize("folder", ratchets.BESIDE)
def test_the_folders_beside_the_package_exist(folder: str) -> None:
    assert (ratchets.ROOT / folder).is_dir()


def test_ruff_lets_through_what_is_on_the_list_and_no_more() -> None:
    text = (ratchets.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lint = tomllib.loads(text)["tool"]["ruff"]["lint"]
    excused = {path for path, rules in lint["per-file-ignores"].items() if "C901" in rules}
    listed = {f"mriseg/{place.split(':')[0]}" for place in LISTED["McCabe complexity"]}
    assert excused - {"tests/**"} == listed
    assert "C90" in lint["select"]
    assert lint["mccabe"]["max-complexity"] == ratchets.COMPLEXITY
