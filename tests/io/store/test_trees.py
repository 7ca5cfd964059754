"""Each location is opened by its library, and a path by none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from mriseg.io.store.storage import Tree
from mriseg.io.store.trees import tree_at
from tests.s3 import KEYS


def test_each_location_has_its_library(tmp_path: Path) -> None:
    assert type(tree_at(str(tmp_path))) is Tree and not tree_at(str(tmp_path)).is_far
    assert type(tree_at("memory://x")) is Tree and tree_at("memory://x").is_far
    pytest.importorskip("obstore")
    from mriseg.io.store.objects import ObjectTree

    with mock.patch.dict(os.environ, KEYS):
        assert type(tree_at("s3://scans/x.zarr")) is ObjectTree


def test_a_store_on_this_machine_needs_no_library_of_others() -> None:
    code = "import mriseg.api, mriseg.io.store, sys; print({'obstore', 'moto'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
