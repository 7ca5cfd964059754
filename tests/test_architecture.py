"""Rules of the layout that import-linter cannot see: who may touch devices, files, chance, stdout.

Each rule is a function from a module's syntax tree to its offences, run over the whole package;
and each is shown, on small pieces of code, to find what it should and to leave the rest alone.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import grimp
import pytest

import mriseg

PACKAGE = Path(mriseg.__file__).parent
Offences = Iterator[tuple[ast.AST, str]]
Rule = Callable[[ast.Module], Offences]


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Local name -> the dotted name that it was imported as."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                top = name.name.split(".")[0]
                aliases[name.asname or top] = name.name if name.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                aliases[name.asname or name.name] = f"{node.module}.{name.name}"
    return aliases


def _dotted(node: ast.AST, aliases: dict[str, str]) -> str | None:
    """``np.random.seed`` -> "numpy.random.seed"; None where the root was not imported."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return None
    return ".".join([aliases[node.id], *reversed(parts)])


def _uses(tree: ast.Module) -> Iterator[tuple[ast.expr, str]]:
    """Every expression that names something imported, and every import, in full."""
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _dotted(node, aliases)
            if name:
                yield node, name


def _imports(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node, node.module
            for name in node.names:
                yield node, f"{node.module}.{name.name}"


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str | None]]:
    """Every call, and the full name of what is called if it was imported."""
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield node, _dotted(node.func, aliases)


def _method(call: ast.Call, called: str | None) -> str | None:
    """The name of the method that is called on some object, if it is a method."""
    return call.func.attr if called is None and isinstance(call.func, ast.Attribute) else None


def _within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _gives(call: ast.Call, keyword: str) -> bool:
    return any(given.arg == keyword for given in call.keywords)


_DEVICES = ("torch.cuda", "torch.mps", "torch.xpu", "torch.backends", "torch.accelerator")


def asks_the_machine(tree: ast.Module) -> Offences:
    """What devices there are, and how they are set up, is the backends' business."""
    for node, name in [*_uses(tree), *_imports(tree)]:
        if _within(name, _DEVICES):
            yield node, f"{name} is for backends; take a Backend"
    for call, called in _calls(tree):
        if (method := _method(call, called)) in {"cuda", "mps", "pin_memory"}:
            yield call, f".{method}() is for backends; use Backend.place"


def prints(tree: ast.Module) -> Offences:
    """Recipes yield events; the command line draws them."""
    for call, _ in _calls(tree):
        if isinstance(call.func, ast.Name) and call.func.id in {"print", "input"}:
            yield call, f"{call.func.id}() is for cli; yield an event"
    for node, name in _uses(tree):
        if _within(name, ("sys.stdout", "sys.stderr", "sys.stdin")):
            yield node, f"{name} is for cli; yield an event"


# What takes a seed or is handed a generator, and so is nobody's global state.
_SEEDED_NUMPY = re.compile(
    r"numpy\.random\.(default_rng|Generator|BitGenerator|PCG64(DXSM)?|Philox|SeedSequence)"
)
_GLOBAL_TORCH = re.compile(
    r"torch\.(manual_seed|seed|initial_seed|set_rng_state|get_rng_state|random(\..*)?)"
)
_DRAWS = re.compile(
    r"torch\.(rand|randn|randint|rand_like|randn_like|randint_like|randperm|normal|bernoulli"
    r"|multinomial|poisson"
    r"|nn\.init\.((xavier_|kaiming_)?(uniform_|normal_)|trunc_normal_|orthogonal_|sparse_))"
)
_DRAWS_IN_PLACE = re.compile(
    r"normal_|uniform_|bernoulli_|random_|exponential_|cauchy_|geometric_|log_normal_"
)
_DROPOUT = re.compile(r"torch\.nn\..*dropout.*", re.IGNORECASE)


def leaves_things_to_chance(tree: ast.Module) -> Offences:
    """Chance comes from a generator that is handed in: nothing reads or sets a global one."""
    for node, name in [*_uses(tree), *_imports(tree)]:
        if _GLOBAL_TORCH.fullmatch(name):
            yield node, f"{name} is global state; pass a torch.Generator"
        if name.startswith("random.") and name != "random.Random":
            yield node, f"{name} is global state; pass a generator"
        if name.startswith("numpy.random.") and not _SEEDED_NUMPY.fullmatch(name):
            yield node, f"{name} is global state; pass a numpy Generator"
    for call, called in _calls(tree):
        drawn = _gives(call, "generator")
        if called in {"numpy.random.default_rng", "numpy.random.SeedSequence", "random.Random"}:
            if not (call.args or call.keywords):
                yield call, f"{called}() without a seed differs from run to run"
        elif called and _DROPOUT.fullmatch(called):
            yield call, f"{called} draws from global state"
        elif called and _DRAWS.fullmatch(called) and not drawn:
            yield call, f"{called} without generator= draws from global state"
        elif _DRAWS_IN_PLACE.fullmatch(method := _method(call, called) or "") and not drawn:
            yield call, f".{method}() without generator= draws from global state"


_FILE_CALLS = (
    *("io.open", "os.open", "gzip.open", "bz2.open", "lzma.open", "tarfile.open", "tempfile"),
    *("zipfile.ZipFile", "shutil", "urllib.request", "os.replace", "os.rename", "os.remove"),
    *("os.unlink", "os.mkdir", "os.makedirs", "os.rmdir"),
    *("numpy.load", "numpy.save", "numpy.savez", "numpy.fromfile", "numpy.memmap"),
    *("torch.load", "torch.save", "torch.jit.load", "torch.jit.save"),
)
_FILE_METHODS = re.compile(
    r"open|(read|write)_(text|bytes)|mkdir|unlink|rmdir|touch|(sym|hard)link_to|tofile"
)


def opens_files(tree: ast.Module) -> Offences:
    """Files are opened in io, so that what is written whole or not at all is written there."""
    for call, called in _calls(tree):
        if called and _within(called, _FILE_CALLS):
            yield call, f"{called} is for io"
        elif isinstance(call.func, ast.Name) and call.func.id == "open" and called is None:
            yield call, "open() is for io"
        elif (method := _method(call, called)) and _FILE_METHODS.fullmatch(method):
            yield call, f".{method}() is for io"


def runs_code_from_data(tree: ast.Module) -> Offences:
    """Nothing that is read may be able to run code."""
    for node, name in [*_uses(tree), *_imports(tree)]:
        # Its errors are caught where torch.load reads a stranger's file.
        if name.startswith("pickle.") and not name.endswith("Error"):
            yield node, f"{name} can run code from a file"
    for node, name in _imports(tree):
        if _within(name, ("shelve", "marshal", "dill", "cloudpickle", "joblib")):
            yield node, f"{name} can run code from a file"
    for call, called in _calls(tree):
        if called == "torch.load":
            safe = [k for k in call.keywords if k.arg == "weights_only"]
            if not (safe and isinstance(safe[0].value, ast.Constant) and safe[0].value.value):
                yield call, "torch.load without weights_only=True can run code from a file"
        if called == "numpy.load" and _gives(call, "allow_pickle"):
            yield call, "numpy.load(allow_pickle=...) can run code from a file"
        if isinstance(call.func, ast.Name) and call.func.id in {"eval", "exec"}:
            yield call, f"{call.func.id}() runs code from data"


# rule -> the parts of the package that are free of it
RULES: dict[Rule, tuple[str, ...]] = {
    asks_the_machine: ("backends",),
    prints: ("cli",),
    leaves_things_to_chance: (),
    opens_files: ("io", "cli", "testing"),
    runs_code_from_data: (),
}


_A_SUITE = "a suite compares what a plug-in does to it, before and after"
_THE_KERNELS = "a question to the machine, which Linux answers in files that lie on no disk"

# (module, the message's start) -> why it stays as it is
EXCEPTIONS = {
    ("core/segnet.py", "torch.nn.Dropout"): (
        "torch offers no dropout with a generator; it is off by default, and a training that "
        "turns it on does not repeat bit for bit"
    ),
    ("overview/shown.py", "print()"): "show() is how a user asks to have something printed",
    ("backends/machine.py", ".read_text()"): _THE_KERNELS,
    ("backends/machine.py", ".write_text()"): _THE_KERNELS,
    ("executors/rehearsal.py", ".touch()"): "a mark by which a suite sees what a worker did",
    ("strippers/hd_bet.py", "torch.load"): "weights in the installed library, no file of a user's",
    ("testing/backends.py", "torch.backends"): _A_SUITE,
    ("testing/backends.py", "torch.get_rng_state"): _A_SUITE,
    ("testing/readers.py", "pickle."): "what a suite loads it has just made itself",
    ("testing/strippers.py", "numpy.random.get_state"): _A_SUITE,
    ("testing/strippers.py", "pickle."): "what a suite loads it has just made itself",
    ("testing/strippers.py", "torch.get_rng_state"): _A_SUITE,
}


def _modules(folder: str) -> list[str]:
    """The modules of a part of the package, by their dotted names."""
    return [f"mriseg.{folder}.{path.stem}" for path in sorted((PACKAGE / folder).glob("[!_]*.py"))]


def _bound(rule: Rule) -> list[Path]:
    """The modules that a rule binds."""
    return [
        path
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in RULES[rule]
    ]


@cache
def _offences(rule: Rule) -> list[tuple[str, int, str]]:
    """(module, line, message), exceptions included."""
    return [
        (path.relative_to(PACKAGE).as_posix(), getattr(node, "lineno", 0), message)
        for path in _bound(rule)
        for node, message in rule(ast.parse(path.read_text(encoding="utf-8")))
    ]


def _excused(module: str, message: str) -> list[tuple[str, str]]:
    return [key for key in EXCEPTIONS if key[0] == module and message.startswith(key[1])]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule: Rule) -> None:
    assert _bound(rule), "the rule is bound to nothing"
    offences = [
        f"mriseg/{module}:{line}: {message}"
        for module, line, message in _offences(rule)
        if not _excused(module, message)
    ]
    assert not offences, "\n" + "\n".join(offences)


def test_every_exception_is_still_needed() -> None:
    used = {
        key
        for rule in RULES
        for module, _, message in _offences(rule)
        for key in _excused(module, message)
    }
    assert used == set(EXCEPTIONS)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (asks_the_machine, "import torch\ntorch.cuda.is_available()"),
        (asks_the_machine, "import torch as t\nx = t.backends.mps"),
        (asks_the_machine, "from torch import cuda"),
        (asks_the_machine, "from torch.backends import mps as m"),
        (asks_the_machine, "import torch.cuda"),
        (asks_the_machine, "def f(x):\n    return x.cuda()"),
        (prints, "print('x')"),
        (prints, "import sys\nsys.stderr.write('x')"),
        (prints, "from sys import stdout\nstdout.flush()"),
        (leaves_things_to_chance, "import torch\ntorch.manual_seed(0)"),
        (leaves_things_to_chance, "from torch import manual_seed"),
        (leaves_things_to_chance, "import torch\ntorch.rand(3)"),
        (leaves_things_to_chance, "import torch\ntorch.randn_like(x)"),
        (leaves_things_to_chance, "from torch import nn\nnn.init.kaiming_normal_(w)"),
        (leaves_things_to_chance, "from torch import nn\nnn.Dropout(0.5)"),
        (leaves_things_to_chance, "import torch.nn.functional as F\nF.dropout(x)"),
        (leaves_things_to_chance, "def f(x):\n    x.normal_(0, 1)"),
        (leaves_things_to_chance, "import numpy as np\nnp.random.seed(0)"),
        (leaves_things_to_chance, "import numpy as np\nnp.random.default_rng()"),
        (leaves_things_to_chance, "import numpy as np\nnp.random.rand(3)"),
        (leaves_things_to_chance, "from numpy.random import shuffle"),
        (leaves_things_to_chance, "import random\nrandom.shuffle(x)"),
        (leaves_things_to_chance, "from random import choice"),
        (leaves_things_to_chance, "import random\nrandom.Random()"),
        (opens_files, "open('x')"),
        (opens_files, "from pathlib import Path\nPath('x').write_text('y')"),
        (opens_files, "def f(p):\n    with p.open() as file:\n        pass"),
        (opens_files, "import os\nos.replace('x', 'y')"),
        (opens_files, "import shutil\nshutil.rmtree('x')"),
        (opens_files, "import torch\ntorch.save(x, 'y')"),
        (opens_files, "import gzip\ngzip.open('x')"),
        (opens_files, "from tempfile import mkdtemp\nmkdtemp()"),
        (runs_code_from_data, "import pickle\npickle.load(f)"),
        (runs_code_from_data, "from pickle import loads"),
        (runs_code_from_data, "import dill"),
        (runs_code_from_data, "def f():\n    from joblib import load"),
        (runs_code_from_data, "import torch\ntorch.load('x')"),
        (runs_code_from_data, "import torch\ntorch.load('x', weights_only=False)"),
        (runs_code_from_data, "import numpy as np\nnp.load('x', allow_pickle=True)"),
        (runs_code_from_data, "eval('1')"),
    ],
)
def test_a_rule_finds_its_offence(rule: Rule, code: str) -> None:
    assert list(rule(ast.parse(code)))


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (asks_the_machine, "import torch\nx = torch.device('cpu')\ntorch.autocast('cpu')"),
        (prints, "from rich import print_json\nprinted = 1\nimport sys\nsys.exit(1)"),
        (leaves_things_to_chance, "import torch\ntorch.rand(3, generator=g)\ntorch.Generator()"),
        (leaves_things_to_chance, "import numpy as np\nnp.random.default_rng(3).normal()"),
        (leaves_things_to_chance, "import numpy as np\ndef f(r: np.random.Generator): ..."),
        (leaves_things_to_chance, "from torch import nn\nnn.init.zeros_(w)\nx.fill_(0)"),
        (leaves_things_to_chance, "def f(x, g):\n    x.normal_(0, 1, generator=g)"),
        (leaves_things_to_chance, "import random\nrandom.Random(3).shuffle(x)"),
        (opens_files, "'a'.replace('a', 'b')\nimport os\nos.cpu_count()\nos.environ.get('X')"),
        (runs_code_from_data, "import torch\ntorch.load('x', weights_only=True)\nmodel.eval()"),
        (runs_code_from_data, "import pickle\nerrors = (OSError, pickle.UnpicklingError)"),
    ],
)
def test_a_rule_leaves_the_rest_alone(rule: Rule, code: str) -> None:
    assert not list(rule(ast.parse(code)))


def _cycles(package: str) -> list[list[str]]:
    """Modules that import each other, in groups; imports inside functions count.

    What only a type checker imports does not.
    """
    graph = grimp.build_graph(package, cache_dir=None, exclude_type_checking_imports=True)
    below = {module: graph.find_downstream_modules(module) for module in graph.modules}
    groups = {
        frozenset({module, *(other for other in others if module in below[other])})
        for module, others in below.items()
    }
    return sorted(sorted(group) for group in groups if len(group) > 1)


def test_no_modules_import_each_other() -> None:
    assert _cycles("mriseg") == []


@pytest.mark.parametrize(
    ("low", "cycles"),
    [
        ("def f():\n    from circular import high", [["circular.high", "circular.low"]]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from circular import high", []),
    ],
)
def test_a_cycle_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, low: str, cycles: list[list[str]]
) -> None:
    package = tmp_path / "circular"
    package.mkdir()
    for name, code in (("__init__", ""), ("high", "from circular import low"), ("low", low)):
        (package / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert _cycles("circular") == cycles


def _loaded_by(module: str) -> set[str]:
    """The top-level modules in memory after ``import module`` in a new process."""
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


HEAVY = {"torch", "zarr", "nibabel", "scipy", "sklearn", "PIL", "tensorboard", "matplotlib"}


def test_importing_mriseg_loads_nothing_heavy() -> None:
    assert not _loaded_by("mriseg") & (HEAVY | {"numpy", "typer", "rich", "pydantic"})


@pytest.mark.skipif(find_spec("mriseg.cli.app") is None, reason="there is no command line yet")
def test_the_command_line_answers_before_torch_is_loaded() -> None:
    assert not _loaded_by("mriseg.cli.app") & HEAVY


def test_commands_that_draw_no_chart_do_not_load_matplotlib() -> None:
    assert "matplotlib" not in _loaded_by("mriseg.api, mriseg.report.charts")


def _prints(code: str) -> str:
    """What ``code`` prints in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_errors_can_be_caught_by_name_after_a_bare_import() -> None:
    code = "import sys, mriseg; print(mriseg.errors.MrisegError, 'mriseg.api' in sys.modules)"
    assert _prints(code) == "<class 'mriseg.errors.MrisegError'> False\n"


def test_importing_a_part_does_not_load_the_rest() -> None:
    code = "import sys; from mriseg import core, registry; print('mriseg.api' in sys.modules)"
    assert _prints(code) == "False\n"


def test_every_public_name_leads_somewhere() -> None:
    for name in mriseg.__all__:
        assert getattr(mriseg, name) is not None
        assert name in dir(mriseg)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = mriseg.nonsense
    with pytest.raises(AttributeError, match="no attribute '__wrapped__'"):
        _ = mriseg.__wrapped__


@pytest.mark.slow
def test_all_public_names_come_with_a_star() -> None:
    assert _prints("from mriseg import *; print(TrainReport.__name__)") == "TrainReport\n"


def test_all_errors_events_configurations_and_reports_are_public() -> None:
    modules = [mriseg.errors, mriseg.events, *map(import_module, _modules("recipes"))]
    kinds = {
        name
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type) and kind.__module__ == module.__name__
        if issubclass(kind, Exception | mriseg.Event) or name.endswith("Report")
    }
    assert {"TrainReport", "ConfigError", "Notice", "CaseReport"} <= kinds
    assert kinds | {"TrainConfig", "TransferConfig", "AugmentConfig", "BenchConfig"} | {
        "CompareOptions",
        "PredictOptions",
        "CasePrediction",
    } <= set(mriseg.__all__)


def test_every_function_of_the_api_that_runs_a_recipe_returns_a_report() -> None:
    from mriseg import api

    functions = {name: getattr(api, name) for name in api.__all__}
    recipes = {
        name: function
        for name, function in functions.items()
        if inspect.isfunction(function) and "on_event" in inspect.signature(function).parameters
    }
    recipes.pop("finish")
    assert len(recipes) >= 13
    for name, function in recipes.items():
        returned = inspect.signature(function).return_annotation
        assert returned.endswith("Report") and returned in api.__all__, name
