"""Scripts and styles of reports: those of mriseg are there, and NiiVue may be missing."""

from __future__ import annotations

import pytest

from mriseg.errors import InputError
from mriseg.io import assets


@pytest.mark.parametrize("name", ["viewer.js", "viewer.css", "viewer.html"])
def test_what_mriseg_wrote_ships(name: str) -> None:
    assert "viewer" in assets.asset(name)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(InputError, match=r"nothing\.js is missing"):
        assets.asset("nothing.js")


def test_niivue_is_a_script_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    script = assets.niivue()
    assert script is None or "Niivue" in script
    monkeypatch.setattr(assets, "NIIVUE", "niivue/none.js")
    assert assets.niivue() is None
