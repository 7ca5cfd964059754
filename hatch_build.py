"""What a build does besides packing: NiiVue is fetched, and the metadata states its licence if so.

Both hooks are tolerant: without npm or a network the wheel is built without the viewer.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# The code is MIT; the sample scans inside the package are under the licences of their publishers,
# and so is the model that was trained on such scans.
LICENCE = "MIT AND CC-BY-3.0 AND CC-BY-NC-SA-4.0"
# NiiVue's, and of a package that is bundled in it; the others are MIT.
VIEWERS_LICENCE = "BSD-2-Clause AND ISC"


def fetching(root: str) -> ModuleType:
    """The module ``scripts/niivue/fetch.py``, which no package holds."""
    name = "mriseg_niivue_fetch"
    spec = importlib.util.spec_from_file_location(name, Path(root, "scripts/niivue/fetch.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Metadata(MetadataHookInterface):
    """Fetches the viewer, as this runs before the files are listed, and states the licence."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the licence of what will be in the wheel."""
        fetch, root = fetching(self.root), Path(self.root)
        print(fetch.obtain(root), file=sys.stderr)
        present = fetch.present(root)
        metadata["license"] = f"{LICENCE} AND {VIEWERS_LICENCE}" if present else LICENCE


class Build(BuildHookInterface[Any]):
    """Says that a build needs Node.js where the machine has no npm."""

    def dependencies(self) -> list[str]:
        """Packages from PyPI that this build needs."""
        fetch = fetching(self.root)
        if fetch.present(Path(self.root)) or fetch.npm() is not None:
            return []
        return [fetch.NODE]
