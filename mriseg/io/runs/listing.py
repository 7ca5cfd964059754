"""The runs in a folder: a new name among them, and the newest of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mriseg.errors import InputError, OutputError, reason_of
from mriseg.io.runs.manifest import FILE
from mriseg.io.runs.run import open_run

RUNS = Path("runs")
"""Where runs go, and are looked for, if no folder is given."""


def fresh_path(root: Path, label: str, now: datetime) -> Path:
    """A new, empty folder under ``root``, named by the time and ``label``.

    Raises:
        OutputError: it cannot be created.
    """
    stem = f"{now:%Y%m%d-%H%M%S}-{label}"
    path, count = root / stem, 1
    while True:
        try:
            # Created at once, since many may start in one second, as a cluster's queue does.
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            count += 1
            path = root / f"{stem}-{count}"
        except OSError as error:
            raise OutputError(f"{path} cannot be created: {reason_of(error)}") from error


def newest_run(root: Path, option: str = "--model") -> Path:
    """The newest run under ``root`` that has been validated, or else the newest with weights.

    Args:
        root: the folder of runs.
        option: that names a run, for the message.

    Raises:
        InputError: there is none.
    """
    runs = _newest_first(root)
    if not runs:
        raise InputError(
            f"no run was named and there is none under {root.resolve()}; "
            f"train one with: mriseg train STORE, or use the model that ships with mriseg: "
            f"{option} base"
        )
    # A training that has just begun has weights too, but random ones.
    return next((path for path in runs if (path / "best.safetensors").exists()), runs[0])


def newest_unfinished_run(root: Path) -> Path:
    """The newest run under ``root`` whose training was stopped before its end.

    Raises:
        InputError: there is none.
        RunError: a run that has to be examined is damaged.
    """
    for path in _newest_first(root):
        run = open_run(path)
        if run.has("last") and not run.ended:
            return path
    raise InputError(
        f"no run was named and there is none under {root.resolve()} that was stopped before its "
        f"end; train one with: mriseg train STORE"
    )


def _newest_first(root: Path) -> list[Path]:
    """Runs under ``root`` that have weights."""
    runs = [path.parent for path in root.glob(f"*/{FILE}")]
    runs = [
        p for p in runs if (p / "best.safetensors").exists() or (p / "last.safetensors").exists()
    ]
    return sorted(runs, key=lambda p: ((p / FILE).stat().st_mtime, p.name), reverse=True)
