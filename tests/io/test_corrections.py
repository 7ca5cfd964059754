"""The record of corrections: whole after any kill, and a person's edit on disk is noticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.errors import InputError, OutputError
from mriseg.io import corrections as module
from mriseg.io.corrections import (
    Correction,
    Corrections,
    read_corrections,
    save_correction,
    state_of,
    update_corrections,
)
from mriseg.io.disk.checksums import sha256, write_sealed_json
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.predictions import ModelName
from tests.test_docs_formats import documented


def correction_of(case: str, status: module.Status = "corrected", who: str = "ann") -> Correction:
    return Correction(
        case=case,
        mask="" if status == "skipped" else f"{case}.nii.gz",
        source="in",
        scan=(KnownFile("flair.nii", 1, 2, "3"),),
        model=ModelName("base", "abc"),
        regions=("WT", "TC"),
        status=status,
        who=who,
        when="2026-01-02T03:04:05+00:00",
        file=None,
        patient=f"patient of {case}",
    )


def save(
    folder: Path, case: str, content: bytes, who: str = "ann", seen: str | None = None
) -> Correction:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return save_correction(folder, lambda _: correction_of(case, who=who), write, seen=seen)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_is_read_as_it_was_saved(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert read_corrections(folder) == Corrections()
    second = save(folder, "b", b"second")
    first = save(folder, "a", b"first")
    skipped = correction_of("c", "skipped")
    update_corrections(folder, lambda now: replace(now.with_case(skipped), held_out=("x",)))
    read = read_corrections(folder)
    assert list(read.cases.values()) == [first, second, skipped] and read.held_out == ("x",)
    assert (folder / "a.nii.gz").read_bytes() == b"first"
    assert names(folder) == ["a.nii.gz", "b.nii.gz", "corrections.json"]
    assert [state_of(folder, c) for c in read.cases.values()] == ["recorded", "recorded", "none"]


def test_an_edit_in_another_program_is_noticed_and_stays(tmp_path: Path) -> None:
    saved = save(tmp_path, "a", b"drawn")
    mask = tmp_path / "a.nii.gz"
    now = mask.stat()
    mask.write_bytes(b"other")
    os.utime(mask, ns=(now.st_atime_ns, now.st_mtime_ns))  # size and time alike: bytes count
    assert state_of(tmp_path, saved) == "edited"
    update_corrections(tmp_path, lambda now: now.without_case("a"))
    assert mask.read_bytes() == b"other" and not read_corrections(tmp_path).cases
    with pytest.raises(OutputError, match="no record says what it is"):
        save(tmp_path, "a", b"drawn")
    mask.unlink()
    assert state_of(tmp_path, saved) == "missing"


def test_an_edit_is_written_over_only_by_who_has_seen_it(tmp_path: Path) -> None:
    save(tmp_path, "a", b"drawn")
    mask = tmp_path / "a.nii.gz"
    mask.write_bytes(b"edited")
    with pytest.raises(OutputError, match="edited in another program"):
        save(tmp_path, "a", b"drawn again")
    assert mask.read_bytes() == b"edited"
    save(tmp_path, "a", b"drawn again", seen=sha256(mask))
    assert mask.read_bytes() == b"drawn again"


def test_a_case_that_is_taken_back_or_skipped_leaves_no_mask(tmp_path: Path) -> None:
    save(tmp_path, "a", b"drawn")
    save(tmp_path, "b", b"drawn")
    update_corrections(tmp_path, lambda now: now.without_case("a"))
    update_corrections(tmp_path, lambda now: now.with_case(correction_of("b", "skipped")))
    assert names(tmp_path) == ["corrections.json"]
    assert [c.status for c in read_corrections(tmp_path).cases.values()] == ["skipped"]


def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    saved = save(tmp_path, "a", b"drawn")

    def refuse(now: Corrections) -> Correction:
        raise InputError(f"{now.cases['a'].who} was first")

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OutputError("the disk is full")

    with pytest.raises(InputError, match="ann was first"):
        save_correction(tmp_path, refuse, fail)
    with pytest.raises(OutputError, match="disk is full"):
        save_correction(tmp_path, lambda _: correction_of("a", who="bea"), fail)
    with pytest.raises(OutputError, match="mask of the case a"):
        save_correction(tmp_path, lambda _: replace(correction_of("A"), mask="A.nii.gz"), fail)
    assert read_corrections(tmp_path).cases == {"a": saved}
    assert state_of(tmp_path, saved) == "recorded"
    assert names(tmp_path) == ["a.nii.gz", "corrections.json"]


# Each child is killed, as by `kill -9`, before the nth of the steps that reach the disk.
_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.io.test_corrections import save

def child(folder, last):
    steps = 0
    def counting(kind):
        plain = getattr(Path, kind)
        def step(self, *args, **options):
            nonlocal steps
            if "lock" not in self.name:
                steps += 1
                if steps == last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return plain(self, *args, **options)
        setattr(Path, kind, step)
    for kind in ("write_bytes", "replace", "chmod"):
        counting(kind)
    save(folder, "a", b"new", who="bea")

for folder in sorted(Path(sys.argv[1]).iterdir()):
    pid = os.fork()
    if not pid:
        child(folder, int(folder.name))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    steps = range(1, 8)
    for step in steps:
        save(tmp_path / str(step), "a", b"old")
    command = [sys.executable, "-c", _KILLED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    codes = [int(line) for line in done.stdout.split()]
    assert codes[0] == -signal.SIGKILL and codes[-1] == 0
    outcomes = []
    for step, code in zip(steps, codes, strict=True):
        folder = tmp_path / str(step)
        correction = read_corrections(folder).cases["a"]
        assert state_of(folder, correction) == "recorded"
        content = (folder / "a.nii.gz").read_bytes()
        assert (correction.who, content) in [("ann", b"old"), ("bea", b"new")]
        assert not [name for name in names(folder) if name.startswith(".saving-")]
        save(folder, "a", b"newer")  # going on works
        outcomes.append((code, content))
    # Before the record, after it, and to the end.
    assert (-signal.SIGKILL, b"old") in outcomes and (-signal.SIGKILL, b"new") in outcomes
    assert outcomes[-1] == (0, b"new")


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    cases = [f"case{number}" for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda case: save(tmp_path, case, case.encode()), cases))
    read = read_corrections(tmp_path)
    assert sorted(read.cases) == sorted(cases)
    assert all(state_of(tmp_path, correction) == "recorded" for correction in read.cases.values())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "not the record of corrections"),
        ('{"format": "mriseg-masks"}', "not the record of corrections"),
        ('{"format": "mriseg-corrections", "version": 2}', "install a newer mriseg"),
        ('{"format": "mriseg-corrections", "version": 1, "cases": []}', "damaged or was edited"),
    ],
)
def test_what_is_no_record_is_named_and_left(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "corrections.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_corrections(tmp_path)
    with pytest.raises(InputError, match=said):
        save(tmp_path, "a", b"drawn")
    assert path.read_text() == content and names(tmp_path) == ["corrections.json"]


_BROKEN: list[Callable[[dict[str, object]], object]] = [
    lambda case: case.update(mask="../a.nii.gz"),
    lambda case: case.update(mask=".a.nii.gz"),
    lambda case: case.update(mask="a.txt"),
    lambda case: case.update(status="perhaps"),
    lambda case: case.update(status="skipped"),
    lambda case: case.update(scan=None),
]


@pytest.mark.parametrize("change", _BROKEN)
def test_a_sealed_record_is_checked_all_the_same(
    tmp_path: Path, change: Callable[[dict[str, object]], object]
) -> None:
    save(tmp_path, "a", b"drawn")
    document = json.loads((tmp_path / "corrections.json").read_text())
    document.pop("digest")
    change(document["cases"][0])
    write_sealed_json(tmp_path / "corrections.json", document)
    with pytest.raises(InputError, match="damaged or was edited"):
        read_corrections(tmp_path)


def test_a_case_is_not_listed_twice(tmp_path: Path) -> None:
    save(tmp_path, "a", b"drawn")
    document = json.loads((tmp_path / "corrections.json").read_text())
    document.pop("digest")
    document["cases"] *= 2
    write_sealed_json(tmp_path / "corrections.json", document)
    with pytest.raises(InputError, match="listed twice"):
        read_corrections(tmp_path)


_STEPS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["corrected", "skipped", None])),
    max_size=8,
)


@given(_STEPS)
def test_a_case_is_as_it_was_left_last(steps: list[tuple[str, module.Status | None]]) -> None:
    record = Corrections(held_out=("p",))
    for case, status in steps:
        record = (
            record.without_case(case)
            if status is None
            else record.with_case(correction_of(case, status))
        )
    last = dict(steps)
    assert {case: c.status for case, c in record.cases.items()} == {
        case: status for case, status in last.items() if status is not None
    }
    assert record.held_out == ("p",)


def test_the_record_is_as_it_is_documented(tmp_path: Path) -> None:
    save(tmp_path, "a", b"drawn")
    document = json.loads((tmp_path / "corrections.json").read_text())
    assert sorted(document) == sorted(documented("keys: corrections"))
    assert sorted(document["cases"][0]) == sorted(documented("keys: correction"))
