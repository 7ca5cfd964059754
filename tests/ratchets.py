"""Sizes that code may have, and the list of what is larger today, which may only shrink.

``python -m tests.ratchets > tests/ratchets.json`` writes the list as it is now; on standard error
it prints the lines that ``pyproject.toml`` needs for ruff to let the same functions through.

Each measure is a function from the package's folder to its offenders: where -> how much. It counts
in the package, and the last one in ``tests/``, ``benchmarks/`` and ``scripts/`` beside it as well:

``lines of a file``
    all of them, comments and blank ones too, beyond 350.
``lines of a function``
    from its ``def`` to its end, without its docstring and decorators, beyond 60.
``parameters of a function``
    those with a name of their own (not ``self``, ``cls``, ``*args`` or ``**settings``), beyond 8;
    not in ``cli/``, where a command has a parameter for each option.
``McCabe complexity``
    as ruff's C901 counts it, beyond 10; ``pyproject.toml`` lets the listed files through.
``no test file``
    1 where ``mriseg/x/y.py`` has no ``tests/x/test_y.py``.
``names that say nothing``
    how often a variable, parameter or function has a name of `EMPTY_NAMES`. A file outside the
    package is listed by its path from the repository's root.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "mriseg"
LIST = Path(__file__).with_suffix(".json")
BESIDE = ("tests", "benchmarks", "scripts")

FILE_LINES, FUNCTION_LINES, PARAMETERS, COMPLEXITY = 350, 60, 8, 10
EMPTY_NAMES = {"found", "told", "there", "here", "made", "odd", "spoilt", "settled"}

Offenders = dict[str, int]
Function = ast.FunctionDef | ast.AsyncFunctionDef
_NAMED = Function | ast.ExceptHandler | ast.MatchAs | ast.MatchStar


def _modules(package: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(package.rglob("*.py")):
        yield path.relative_to(package).as_posix(), path


def _modules_beside(package: Path) -> Iterator[tuple[str, Path]]:
    for folder in BESIDE:
        for name, path in _modules(package.parent / folder):
            yield f"{folder}/{name}", path


def _functions(package: Path) -> Iterator[tuple[str, Function]]:
    """Every function and method, as ``module.py: Class.function``."""

    def walk(body: list[ast.AST], prefix: str) -> Iterator[tuple[str, Function]]:
        for node in body:
            if isinstance(node, Function | ast.ClassDef):
                if isinstance(node, Function):
                    yield prefix + node.name, node
                yield from walk([*node.body], f"{prefix}{node.name}.")
            else:
                # Those under an if, a with, a try or a match.
                for field in ("body", "orelse", "handlers", "finalbody", "cases"):
                    yield from walk(getattr(node, field, None) or [], prefix)

    for module, path in _modules(package):
        yield from walk([ast.parse(path.read_text(encoding="utf-8"))], f"{module}: ")


def file_lines(package: Path) -> Offenders:
    """Files of more lines than `FILE_LINES`."""
    lengths = {
        module: len(path.read_text(encoding="utf-8").splitlines())
        for module, path in _modules(package)
    }
    return {module: length for module, length in lengths.items() if length > FILE_LINES}


def function_lines(package: Path) -> Offenders:
    """Functions of more lines than `FUNCTION_LINES`, docstrings apart."""
    offenders = {}
    for name, function in _functions(package):
        assert function.end_lineno is not None
        length = function.end_lineno - function.lineno + 1
        if ast.get_docstring(function, clean=False) is not None:
            docstring = function.body[0]
            assert docstring.end_lineno is not None
            length -= docstring.end_lineno - docstring.lineno + 1
        if length > FUNCTION_LINES:
            offenders[name] = length
    return offenders


def parameters(package: Path) -> Offenders:
    """Functions outside ``cli/`` of more parameters than `PARAMETERS`."""
    offenders = {}
    for name, function in _functions(package):
        given = function.args
        names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        number = len([n for n in names if n not in ("self", "cls")])
        if number > PARAMETERS and not name.startswith("cli/"):
            offenders[name] = number
    return offenders


def complexity(package: Path) -> Offenders:
    """Functions of a higher McCabe complexity than `COMPLEXITY`."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--exit-zero"),
            *("--ignore-noqa", "--select", "C901", "--output-format", "json"),
            *("--config", f"lint.mccabe.max-complexity={COMPLEXITY}", str(package)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    offenders = {}
    for item in json.loads(done.stdout):
        module = Path(item["filename"]).resolve().relative_to(package.resolve()).as_posix()
        match = re.match(r"`(\w+)` is too complex \((\d+) > \d+\)", item["message"])
        assert match, item["message"]
        key = f"{module}: {match[1]}"
        offenders[key] = max(int(match[2]), offenders.get(key, 0))
    return offenders


def no_test_file(package: Path) -> Offenders:
    """Modules without a test file of their name; ``__init__`` and ``__main__`` need none."""
    tests = package.parent / "tests"
    return {
        module: 1
        for module, path in _modules(package)
        if not path.stem.startswith("__")
        and not (tests / module).with_name(f"test_{path.stem.lstrip('_')}.py").exists()
    }


def _bound(tree: ast.AST) -> Iterator[str]:
    """Every name that a variable, parameter or function is given, as often as it is bound."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, _NAMED) and node.name:
            yield node.name


def empty_names(package: Path) -> Offenders:
    """Modules that bind a name of `EMPTY_NAMES`, and how often.

    Those of the package by their path in it; those in the folders `BESIDE` it by their path from
    the repository's root.
    """
    modules = [*_modules(package), *_modules_beside(package)]
    trees = ((module, ast.parse(path.read_text(encoding="utf-8"))) for module, path in modules)
    counts = {module: sum(name in EMPTY_NAMES for name in _bound(tree)) for module, tree in trees}
    return {module: number for module, number in counts.items() if number}


MEASURES: dict[str, Callable[[Path], Offenders]] = {
    "lines of a file": file_lines,
    "lines of a function": function_lines,
    "parameters of a function": parameters,
    "McCabe complexity": complexity,
    "no test file": no_test_file,
    "names that say nothing": empty_names,
}


def problems(present: Offenders, listed: Offenders) -> list[str]:
    """Where the present state is worse than the list, or the list is longer than it need be."""
    worse = [
        f"{place}: {number}" + (f", listed as {listed[place]}" if place in listed else "")
        for place, number in present.items()
        if number > listed.get(place, 0)
    ]
    needless = [
        f"{place} is listed, which is no longer needed" for place in listed.keys() - present
    ]
    return worse + sorted(needless)


if __name__ == "__main__":
    state = {name: measure(PACKAGE) for name, measure in MEASURES.items()}
    print(json.dumps(state, indent=1, sort_keys=True))
    for module in sorted({place.split(":")[0] for place in state["McCabe complexity"]}):
        print(f'"mriseg/{module}" = ["C901"]', file=sys.stderr)
