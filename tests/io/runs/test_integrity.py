"""Each file of a run is checked against its digest, and the weights against the manifest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mriseg.errors import RunError
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.disk.faults import Findings
from mriseg.io.runs import Run
from mriseg.io.runs.integrity import check_manifest, check_texts, check_weights, weight_files


@pytest.fixture
def folder(trained: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.path, tmp_path / "run"))


def test_a_run_that_is_as_written_has_no_faults(folder: Path) -> None:
    findings = Findings()
    expected = check_manifest(findings, folder)
    assert expected and expected["head.weight"][0] == 3
    files = weight_files(folder)
    assert [path.stem for path in files] == ["best", "last"]
    for path in files:
        check_weights(findings, path, expected)
    check_texts(findings, folder)
    assert not findings.faults and findings.checked["files"] == 5
    assert findings.checked["tensors"] > 2 * len(expected)


def test_weights_of_another_shape_are_a_fault(folder: Path) -> None:
    for shape, said in (([9, 9], "has the shape"), ([1], "has the shape")):
        findings = Findings()
        check_weights(findings, folder / "best.safetensors", {"head.bias": shape})
        assert said in findings.faults[0].what
    findings = Findings()
    check_weights(findings, folder / "best.safetensors", {"foot.bias": [1]})
    assert "foot.bias is missing, expected [1]" in findings.faults[0].what


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda text: text.replace('"FLAIR"', '"FLAIS"'), "is not what was written"),
        (lambda text: text[:-20], "is not what was written"),
        (lambda text: "[]", "is not what was written"),
        (lambda text: json.dumps({**json.loads(text), "digest": None}), "has lost its digest"),
    ],
)
def test_a_damaged_manifest_is_a_fault(folder: Path, harm: Callable[[str], str], said: str) -> None:
    path = folder / "run.json"
    path.write_text(harm(path.read_text()))
    findings = Findings()
    check_manifest(findings, folder)
    assert [(fault.file, fault.what) for fault in findings.faults] == [("run.json", said)]


def test_a_newer_manifest_is_refused(folder: Path) -> None:
    data = json.loads((folder / "run.json").read_text())
    del data["digest"]
    write_sealed_json(folder / "run.json", {**data, "version": 99})
    with pytest.raises(RunError, match="install a newer mriseg"):
        check_manifest(Findings(), folder)


def test_the_texts_of_a_run(folder: Path) -> None:
    (folder / "log.jsonl").write_text('{"epoch": 1}\n{"epo')
    write_sealed_json(folder / "transfer.json", {"counts": {}})
    findings = Findings()
    check_texts(findings, folder)
    assert [fault.file for fault in findings.faults] == ["log.jsonl"]
    (folder / "transfer.json").write_text("{}")
    check_texts(findings, folder)
    assert [fault.file for fault in findings.faults][1:] == ["log.jsonl", "transfer.json"]
