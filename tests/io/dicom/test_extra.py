from __future__ import annotations

import pytest

from mriseg.io.dicom.extra import READING, WRITING


def test_what_is_missing_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert READING.missing() == WRITING.missing() == ""
    assert READING.library().__name__ == "pydicom"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    how = 'pydicom and dcm2niix, not installed here: pip install "mriseg[dicom]"'
    assert how in READING.missing()
    assert "writing DICOM needs pydicom and highdicom" in WRITING.missing()
