"""Libraries that not everybody has installed, and which extra of mriseg brings each.

They are imported where they are used, never when mriseg is; what is missing is one message that
names the extra.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any

from mriseg.errors import ConfigError, MrisegError, reason_of


@dataclass(frozen=True)
class Extra:
    """An extra of mriseg, for one purpose.

    Attributes:
        name: as in ``pip install "mriseg[NAME]"``.
        purpose: what needs it, the subject of a sentence: "aligning scans", "--strip deepbet".
        modules: the libraries that it takes, by the names that they are imported by.
        error: what is raised where one is missing.
    """

    name: str
    purpose: str
    modules: tuple[str, ...]
    error: type[MrisegError] = ConfigError

    @property
    def install(self) -> str:
        """The command that brings it."""
        return f'pip install "mriseg[{self.name}]"'

    def missing(self) -> str:
        """Which libraries are missing and how to get them, as a clause; or nothing.

        None is imported for it, which may take seconds.
        """
        lacking = [name for name in self.modules if importlib.util.find_spec(name) is None]
        if not lacking:
            return ""
        return f"{self.purpose} needs {' and '.join(lacking)}, not installed here: {self.install}"

    def check(self) -> None:
        """Refuse to go on where a library is missing.

        Raises:
            MrisegError: of the kind `error`.
        """
        if lacking := self.missing():
            raise self.error(lacking)

    def library(self, module: str = "") -> Any:
        """One of its libraries, or a module of one, imported.

        Args:
            module: its name, such as "pydicom.uid"; "": the first library itself.

        Raises:
            MrisegError: of the kind `error`: it is not installed, or does not work here.
        """
        module = module or self.modules[0]
        try:
            return importlib.import_module(module)
        # OSError: some make a folder in the user's home when they are imported.
        except (ImportError, OSError) as error:
            raise self.error(
                f"{self.purpose} needs {module.partition('.')[0]}, which cannot be imported here "
                f"({reason_of(error)}): {self.install}"
            ) from error
