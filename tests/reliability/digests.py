"""Digests of what mriseg computes, to hold a change of structure against: equal before and after.

    python -m tests.reliability.digests [FILE]

prints one line per result (and writes them to FILE as JSON): a deterministic training of 20 steps,
the same stopped half-way and resumed, a prediction with its probabilities, an evaluation, and what
an exported file gives. Only the public functions are used, so that the same script runs on both
sides of a change. Digests hold on one kind of machine and one version of PyTorch.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from safetensors.torch import load_file

import mriseg

SAMPLE = Path(mriseg.__file__).parent / "sample"
SETTINGS: dict[str, Any] = {
    "width": 8,
    "epochs": 2,
    "batch_size": 4,
    "slices_per_epoch": 40,
    "checkpoint_every": 1e-6,
    "norm_batches": 2,
    "seed": 5,
}


class _StopError(Exception):
    """Raised in the middle of the training that is to be resumed."""


def weights(path: Path) -> str:
    """The digest of the tensors of a safetensors file."""
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _text(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]


def _array(array: np.ndarray) -> str:
    data = np.ascontiguousarray(array)
    return hashlib.sha256(f"{data.shape} {data.dtype}".encode() + data.tobytes()).hexdigest()[:16]


def _log(run: Path) -> str:
    timed = ("seconds", "images_per_second", "waiting_share")
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return _text([{k: v for k, v in row.items() if k not in timed} for row in rows])


def _training(name: str, run: Path) -> dict[str, str]:
    return {
        f"{name}: best weights": weights(run / "best.safetensors"),
        f"{name}: last weights": weights(run / "last.safetensors"),
        f"{name}: log": _log(run),
    }


def _stopped_and_resumed(store: Path, run: Path, backend: Any) -> None:
    def stop(event: Any) -> None:
        if type(event).__name__ == "Advanced" and event.done >= 10:
            raise _StopError

    try:
        mriseg.train(store, backend=backend, out=run, on_event=stop, **SETTINGS)
    except _StopError:
        mriseg.resume(run, backend=backend)
    else:
        raise AssertionError("the training was not stopped")


def digests(folder: Path) -> dict[str, str]:
    """All of them; ``folder`` is where the work is done."""
    backend = mriseg.select("cpu", precision="fp32", deterministic=True)
    store = folder / "sample.zarr"
    mriseg.preprocess(SAMPLE / "kaggle_3m", store, workers=1)
    mriseg.train(store, backend=backend, out=folder / "run", **SETTINGS)
    values = _training("training", folder / "run")
    _stopped_and_resumed(store, folder / "resumed", backend)
    values |= _training("resumed", folder / "resumed")

    case = SAMPLE / "kaggle_3m" / "TCGA_HT_7686_19950629"
    options = mriseg.PredictOptions(probabilities=True)
    mriseg.predict(case, folder / "masks", "base", options, backend=backend)
    for path in sorted((folder / "masks").glob("*.nii.gz")):
        values[f"prediction: {path.name}"] = _array(np.asanyarray(nibabel.load(path).dataobj))

    report = mriseg.evaluate(store, "base", include_seen=True, backend=backend)
    data = report.to_json()
    values["evaluation: cases"] = _text(data["cases"])
    values["evaluation: summary"] = _text(data["summary"])

    exported = mriseg.export(folder / "run", "torchscript", folder / "model.pt")
    module = torch.jit.load(exported.path)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn((2, 3, 250, 215), generator=generator) * 100 + 400
    mean, std = torch.full((3,), 400.0), torch.full((3,), 100.0)
    with torch.no_grad():
        values["export: output"] = _array(module(image, mean, std, None).numpy())
    return values


def main() -> None:
    """Print them, and write them where a file is named."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        values = digests(Path(folder))
    for name, digest in values.items():
        print(f"{digest}  {name}")
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
