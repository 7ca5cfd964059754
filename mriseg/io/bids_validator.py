"""Whether a data set is BIDS, by the validator of the standard (bids-validator-deno, from PyPI)."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import parse_json

INSTALL = 'pip install "mriseg[bids]"'

_PROGRAM = "bids-validator-deno"
# Seconds; it reads every header.
_TIMEOUT = 3600


class Problem(NamedTuple):
    """An error that the validator names.

    Attributes:
        code: of it.
        where: the file, from the data set's folder; empty where it is of none.
    """

    code: str
    where: str


def program() -> str | None:
    """The validator: on the PATH, or beside this Python; None: not installed."""
    return shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path=sysconfig.get_path("scripts"))


def problems_of(folder: Path) -> list[Problem]:
    """The errors of a data set; warnings are none.

    Raises:
        InputError: the validator is not installed, or does not run.
    """
    validator = program()
    if validator is None:
        raise InputError(f"{_PROGRAM} is not installed: {INSTALL}")
    command = [validator, str(folder.absolute()), "--format", "json"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, check=False)
        issues = parse_json(done.stdout)["issues"]["issues"]
        errors = [issue for issue in issues if issue["severity"] == "error"]
        return [Problem(str(e["code"]), str(e.get("location") or "")) for e in errors]
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{_PROGRAM} does not run here: {reason_of(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise InputError(f"{_PROGRAM} does not run here: {' '.join(said) or error}") from error
