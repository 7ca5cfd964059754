"""Faults and counts are kept in the order in which files were checked."""

from __future__ import annotations

from mriseg.io.disk.faults import Fault, Findings


def test_findings_add_up() -> None:
    findings = Findings()
    findings.count("files")
    findings.count("tensors", 3)
    findings.count("files", 2)
    assert list(findings.checked.items()) == [("files", 3), ("tensors", 3)]
    findings.blame("a", "is missing")
    findings.blame("b", "cannot be read", "case", [1, 2])
    assert findings.faults == [
        Fault("a", "is missing"),
        Fault("b", "cannot be read", "case", (1, 2)),
    ]
