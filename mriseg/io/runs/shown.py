"""What a run, or a model without its training, shows of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mriseg.core.regions import described
from mriseg.core.wording import counted
from mriseg.io.runs.manifest import Manifest
from mriseg.overview.values import PAGE, Column, Overview


def run_overview(
    path: Path, manifest: Manifest, log: Sequence[Mapping[str, Any]], ended: str
) -> Overview:
    """What a run shows of itself.

    Args:
        path: its folder.
        manifest: of it.
        log: the numbers of each epoch so far.
        ended: why its training ended; empty: it can be resumed, or it is a shared model.
    """
    is_model = manifest.kind == "model"
    scores = [row["dice"] for row in log if row.get("dice") is not None]
    parent = (manifest.parent or {}).get("run", "")
    regions = ", ".join(f"{name} ({described(of)})" for name, of in manifest.regions.items())
    best = f"best Dice {max(scores):.4f}, " if scores else ""
    state = f"ended: {ended}" if ended else "not ended"
    trained = f"{best}{counted(len(log), 'epoch')}, {state}"
    numbers = [name for name in ("loss", "dice") if any(name in row for row in log)]
    return Overview(
        title=f"{'model' if is_model else 'run'} {path}: "
        f"{'to predict with or to transfer from' if is_model else trained}",
        facts=(
            ("modalities", ", ".join(manifest.modalities)),
            ("regions", regions),
            ("width", str(manifest.model.get("width", ""))),
            ("trained on", f"{counted(len(manifest.train), 'case')} of {manifest.store}"),
            ("validated on", counted(len(manifest.validation), "case")),
            ("transferred from", str(parent or "")),
        ),
        records=log,
        columns=[Column("epoch", "epoch"), *(Column(n, n.capitalize(), 4) for n in numbers)]
        if numbers
        else (),
        pictures=(path / "curves.png", *sorted(path.glob("images/*.png"))[-1:]),
        page=path / PAGE,
    )
