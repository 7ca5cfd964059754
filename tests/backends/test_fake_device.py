"""Backends on a device that lacks operations, in processes of their own.

The device must be registered before a process's first backward, and stays for its life. So what is
shown on it is in ``on_fake_device.py``, and its classes are run from here.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

HERE = Path(__file__).resolve().parent
SUITES = HERE / "on_fake_device.py"
NAMES = [
    node.name
    for node in ast.parse(SUITES.read_text(encoding="utf-8")).body
    if isinstance(node, ast.ClassDef) and node.name.startswith("Test")
]
# A process takes seconds to start, so all but the trainings, which take half a minute, share one.
GROUPS = [["TestRecipes"], [name for name in NAMES if name != "TestRecipes"]]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--tb=short"]
    return subprocess.run(
        [*command, "--color=no", *arguments],
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch cannot have a device in Python",
)
@pytest.mark.parametrize(
    "names", [pytest.param(GROUPS[0], marks=pytest.mark.slow), GROUPS[1]], ids="+".join
)
def test_on_a_device_with_holes(names: list[str]) -> None:
    done = run(*(f"{SUITES}::{name}" for name in names))
    output = f"{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, output
    # A suite that is empty or skips its tests proves nothing.
    assert re.search(r"^\d+ passed(, \d+ warnings?)? in", done.stdout, re.MULTILINE), output


def test_every_test_is_in_a_suite() -> None:
    tree = ast.parse(SUITES.read_text(encoding="utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert not [name for name in functions if name.startswith("test_")]
    assert all(GROUPS) and sorted(sum(GROUPS, [])) == sorted(NAMES)
