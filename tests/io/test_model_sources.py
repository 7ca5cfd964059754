"""A shipped model goes by its name; a folder of that name by its path."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import mriseg
from mriseg.errors import RunError, UnknownNameError
from mriseg.io.model_sources import MODELS, locate, spoken
from mriseg.io.runs import open_run
from mriseg.recipes.info import holds
from mriseg.recipes.info_runs import RunInfo

PLACE = Path(mriseg.__file__).parent / "models" / "base"


def test_a_name_is_the_shipped_model_and_a_path_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate("base") == PLACE == open_run("base").path
    for path in ("./base", Path("base"), str(tmp_path / "base")):
        with pytest.raises(RunError, match=r"does not exist; .*shipped: base"):
            locate(path)
    shutil.copytree(PLACE, tmp_path / "base")
    assert locate("base") == PLACE
    for path in ("./base", Path("base"), str(tmp_path / "base")):
        assert locate(path) == Path(path)
        assert open_run(path).path.resolve() == tmp_path / "base"


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(RunError, match=re.escape("shipped: base. Did you mean 'base'?")):
        open_run("bsae")
    with pytest.raises(UnknownNameError, match="no shipped model 'large'; known: base"):
        MODELS["large"]


def test_its_information_is_that_of_a_model_without_its_training() -> None:
    info = holds("base")
    assert isinstance(info, RunInfo)
    assert info.path == PLACE and info.weights == "best" and info.regions
    assert info.is_model and not info.ended


def test_a_model_is_named_as_a_user_would(tmp_path: Path) -> None:
    assert spoken(locate("base")) == "base"
    assert spoken(tmp_path / "base") == str(tmp_path / "base")
    assert locate(spoken(PLACE)) == PLACE
