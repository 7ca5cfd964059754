"""What a build does besides packing: it fetches what pages run, and states the licences of that.

Both hooks are tolerant: without npm or a network the wheel is built without it.
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
# Of what is fetched, with what is bundled in it; licences that are there already are left out.
FETCHED = {
    "niivue": ("BSD-2-Clause", "ISC"),
    "onnxruntime": ("Apache-2.0", "BSD-3-Clause", "BSL-1.0", "MPL-2.0"),
}


def fetching(root: str) -> ModuleType:
    """The module ``scripts/fetch_assets.py``, which no package holds."""
    name = "mriseg_fetch_assets"
    spec = importlib.util.spec_from_file_location(name, Path(root, "scripts/fetch_assets.py"))
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


class Metadata(MetadataHookInterface):
    """Fetches what pages run, since files are listed after this, and states the licences."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the licence of what will be in the wheel."""
        fetch, root = fetching(self.root), Path(self.root)
        licences = [LICENCE]
        for name in FETCHED:
            print(fetch.obtain(root, name), file=sys.stderr)
            licences += FETCHED[name] if fetch.present(root, name) else ()
        metadata["license"] = " AND ".join(licences)


class Build(BuildHookInterface[Any]):
    """Says that a build needs Node.js where the machine has no npm."""

    def dependencies(self) -> list[str]:
        """Packages from PyPI that this build needs."""
        fetch = fetching(self.root)
        root = Path(self.root)
        if all(fetch.present(root, name) for name in FETCHED) or fetch.npm() is not None:
            return []
        return [fetch.NODE]
