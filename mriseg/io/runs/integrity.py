"""What is wrong with the files of a run; `mriseg.recipes.verify` puts these checks together."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from mriseg.core.config import parse
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig
from mriseg.errors import ConfigError, RunError, reason_of
from mriseg.io import runs
from mriseg.io.disk.checksums import as_written, read_sealed_json
from mriseg.io.disk.faults import Findings
from mriseg.io.disk.untrusted import open_regular, parse_json, read_text

_WEIGHTS = ("best", "last", "start")


def weight_files(folder: Path) -> list[Path]:
    """The files of tensors that a run has."""
    paths = (folder / f"{which}.safetensors" for which in _WEIGHTS)
    return [path for path in paths if path.exists()]


def check_manifest(findings: Findings, folder: Path) -> dict[str, list[int]] | None:
    """Check ``run.json``; gives the shapes of the weights that it asks for, where it can be read.

    Raises:
        RunError: it is of another format, or a newer one.
    """
    findings.count("files")
    try:
        content = read_text(folder / "run.json").encode()
        intact, data = as_written(io.BytesIO(content)), parse_json(content)
        damaged = intact is False or not isinstance(data, dict)
    except (OSError, ValueError):
        intact, damaged = None, True
    if damaged:
        findings.blame("run.json", "is not what was written")
        return None
    is_readable = data.get("format") == runs.FORMAT and data.get("version") in [*runs.VERSIONS]
    if intact is None and is_readable:
        findings.blame("run.json", "has lost its digest")
        return None
    try:
        run = runs.open_run(folder)
        with torch.device("meta"):
            network = SegNet(parse(SegNetConfig, run.manifest.model), PURE)
    except (RunError, ConfigError, RuntimeError, TypeError) as error:
        if not is_readable:
            raise
        findings.blame("run.json", f"is damaged ({error})")
        return None
    return {name: list(tensor.shape) for name, tensor in network.state_dict().items()}


def check_weights(
    findings: Findings, path: Path, expected: Mapping[str, Sequence[int]] | None
) -> None:
    """A file of tensors: its digest, and that they have the expected shapes, by name."""
    findings.count("files")
    try:
        with open_regular(path) as opened:
            intact = as_written(opened)
        if intact is not True:
            lost = intact is None
            findings.blame(
                path.name,
                "has lost its digest" if lost else "is not what was written (its own digest)",
            )
            return
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            shapes = {name: list(file.get_slice(name).get_shape()) for name in names}
            findings.count("tensors", len(names))
    except (SafetensorError, OSError, ValueError) as error:
        findings.blame(path.name, f"is damaged ({reason_of(error)})")
        return
    for name, shape in (expected or {}).items():
        if shapes.get(name) != shape:
            actual = f"has the shape {shapes[name]}" if name in shapes else "is missing"
            findings.blame(path.name, f"does not fit run.json: {name} {actual}, expected {shape}")
            return


def check_texts(findings: Findings, folder: Path) -> None:
    """The log, which grows by lines and carries no digest; and what else is JSON."""
    checks: tuple[tuple[str, Callable[[Path], object]], ...] = (
        ("log.jsonl", _check_lines),
        ("transfer.json", read_sealed_json),
        ("certainty.json", read_sealed_json),
        ("trackers.json", read_sealed_json),
    )
    for name, check in checks:
        path = folder / name
        if not path.exists():
            continue
        findings.count("files")
        try:
            check(path)
        except (OSError, ValueError) as error:
            findings.blame(name, f"is damaged ({reason_of(error)})")


def _check_lines(path: Path) -> None:
    for line in read_text(path).splitlines():
        parse_json(line)
