from __future__ import annotations

import importlib

import pytest

from mriseg.errors import ConfigError
from mriseg.io.dicom import extra


def test_what_is_missing_is_named_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert extra.missing() == extra.missing(writes=True) == ""
    monkeypatch.setattr(extra.importlib.util, "find_spec", lambda name: None)
    how = 'pydicom and dcm2niix, not installed here: pip install "mriseg[dicom]"'
    assert how in extra.missing()
    assert "writing DICOM needs pydicom and highdicom" in extra.missing(writes=True)


def test_a_library_that_cannot_be_imported_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError(name)

    assert extra.library("pydicom").__name__ == "pydicom"
    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(ConfigError, match="DICOM needs pydicom, which cannot be imported: pip"):
        extra.library("pydicom")
