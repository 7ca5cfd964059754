"""Correcting from Python: the page is open while the call lasts, and Ctrl-C gives its report."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

import mriseg
from mriseg.api import _correct


def test_annotate_until_it_is_stopped(folder: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def stop(address: str) -> None:
        with urllib.request.urlopen(f"{address}api/queue", timeout=30) as answer:
            seen.append(answer.read().decode())
        raise KeyboardInterrupt

    report = mriseg.annotate(
        folder / "brats", folder / "run", tmp_path / "out", who="ann", backend="cpu", on_ready=stop
    )
    assert '"who":"ann"' in seen[0]
    assert report == mriseg.AnnotateReport(tmp_path / "out", 0, 0, 0, report.open)
    assert report.open > 0


def test_who_is_known_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "bea")
    assert _correct.login_name() == "bea"

    def fail() -> str:
        raise KeyError("no such user")

    monkeypatch.setattr(_correct, "getuser", fail)
    assert _correct.login_name() == "unknown"


def test_improve_begins_with_the_model_that_was_corrected(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(mriseg.InputError, match="holds no correction: name the run"):
        mriseg.improve(None, tmp_path, backend="cpu")
    with pytest.raises(mriseg.ConfigError, match="of 0 patients, and at least 4 are needed"):
        mriseg.improve(folder / "run", tmp_path, backend="cpu", budget="1m")
