"""Each script of ``benchmarks/`` runs from end to end at a tiny size, and is on its page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from benchmarks._processes import Process, alone
from benchmarks._timing import interleaved, seconds_of
from tests import phantoms

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / "benchmarks"
PAGES = (ROOT / "docs" / "benchmarks.md", SCRIPTS / "README.md")

# script -> options for a run of seconds, and what it needs beyond mriseg.
TINY = {
    "network": (
        "--rounds 1 --batch-size 2 --size 64x64 --box 64x32 --width 8 --backend cpu "
        "--precision fp32",
        ("dynamic_network_architectures", "monai"),
    ),
    "loading": ("--rounds 1 --batches 2", ("monai", "torchio")),
    "preprocessing": ("--rounds 1", ("monai", "torchio")),
    "case": ("--rounds 1 --width 8 --backend cpu --precision fp32", ()),
    "training_wait": (
        "--steps 2 --epochs 1 --cases 3 --batch-size 2 --width 8 --backend cpu --precision fp32",
        (),
    ),
}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with three phantoms in ``brats/``."""
    root = tmp_path_factory.mktemp("data")
    phantoms.write_brats(root / "brats", 3, shape=(8, 40, 36))
    return root


def run(script: str, options: str, data: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", f"benchmarks.{script}", *options.split()]
    environment = {**os.environ, "MRISEG_DATA": str(data)}
    return subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, **kwargs
    )


def test_every_script_is_tried() -> None:
    scripts = {path.stem for path in SCRIPTS.glob("*.py") if not path.name.startswith("_")}
    assert scripts == set(TINY)


@pytest.mark.slow
@pytest.mark.parametrize("script", TINY)
def test_a_script_from_end_to_end(script: str, scans: Path, tmp_path: Path) -> None:
    options, needs = TINY[script]
    lacking = [name for name in needs if find_spec(name) is None]
    if lacking:
        pytest.skip(f"{', '.join(lacking)} is not installed: it takes the bench extra")
    out = tmp_path / "found.json"
    done = run(script, f"{options} --json {out}", scans)
    assert done.returncode == 0, done.stderr
    assert f"benchmarks.{script}:" in done.stdout
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["format"], found["version"]) == ("mriseg-benchmark", 1)
    assert found["script"] == f"benchmarks.{script}" and found["machine"]["versions"]
    assert found["groups"] or found["numbers"]
    for group in found["groups"]:
        names = [row["name"] for row in group["rows"]]
        assert group["base"] in names and len(names) >= 3
        for row in group["rows"]:
            assert row["name"] in done.stdout
            for timing in (row["seconds"], row["ratio"]):
                assert 0 < timing["low"] <= timing["median"] <= timing["high"]
        [base] = [row for row in group["rows"] if row["name"] == group["base"]]
        assert base["ratio"]["low"] == base["ratio"]["high"] == 1


@pytest.mark.parametrize("script", ["preprocessing", "case", "training_wait"])
def test_without_scans_there_is_nothing_to_do(script: str, tmp_path: Path) -> None:
    done = run(script, "", tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"benchmarks.{script} needs BraTS cases" in done.stderr and done.stdout == ""


@pytest.mark.parametrize("name", ["network", "loading"])
def test_what_is_not_installed_is_named(name: str, scans: Path) -> None:
    # An interpreter that finds neither of them, whether or not they are here.
    blind = (
        "import sys\n"
        "for name in ('monai', 'torchio', 'dynamic_network_architectures'):\n"
        "    sys.modules[name] = None\n"
        f"import benchmarks.{name} as script\n"
        "script.main([])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blind], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 2, done.stderr
    assert "is not installed" in done.stderr and "[bench]" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_what_the_pages_name_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"\bbenchmarks\.(\w+)", text)) - {"json", "md"}
    assert named
    assert {name for name in named if not (SCRIPTS / f"{name}.py").is_file()} == set()
    for module in re.findall(r"`(_\w+)`", text):
        assert (SCRIPTS / f"{module}.py").is_file()


def test_every_script_is_on_the_page() -> None:
    text = PAGES[0].read_text(encoding="utf-8")
    assert [name for name in TINY if f"`benchmarks.{name}`" not in text] == []


def test_contenders_take_turns() -> None:
    turns: list[str] = []

    def contender(name: str, seconds: Iterator[float]) -> Any:
        def once() -> float:
            turns.append(name)
            return next(seconds)

        return once

    found = interleaved(
        "work",
        {
            "ours": contender("ours", iter([9.0, 1.0, 2.0, 4.0])),
            "other": contender("other", iter([9.0, 3.0, 4.0, 20.0])),
        },
        base="ours",
        rounds=3,
    )
    assert turns == ["ours", "other"] * 4
    ours, other = found.rows
    assert (ours.seconds.median, other.seconds.median) == (2.0, 4.0)
    # Within each round, not the ratio of the medians: 3, 2 and 5.
    assert (other.ratio.low, other.ratio.median, other.ratio.high) == (2.0, 3.0, 5.0)
    assert found["other"] is other


def test_seconds_are_of_a_piece() -> None:
    assert seconds_of(lambda: None, pieces=4)() >= 0


def _made(start: int) -> dict[str, Any]:
    kept = [start]

    def count() -> int:
        kept[0] += 1
        return kept[0]

    return {"count": count, "pid": os.getpid, "fail": lambda: 1 / 0, "die": lambda: os._exit(3)}


def test_a_process_keeps_its_state_and_tells_its_errors() -> None:
    with Process(_made, 40) as one, Process(_made, 0) as other:
        assert (one("count"), one("count"), other("count")) == (41, 42, 1)
        assert len({one("pid"), other("pid"), os.getpid()}) == 3
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            one("fail")
        assert one("count") == 43
        with pytest.raises(RuntimeError, match="ended with code 3"):
            other("die")
    assert alone(max, 3, 5) == 5
