"""How long a training waits for data from an S3 server whose every answer takes its time.

The server is moto's, in a process of its own on this machine, and answers each request after a
fixed latency. The same training reads the same store from this disk; losses are compared, since
where a store lies must change nothing. Beside the share of the time in which no batch was ready:
requests for each thing that is done.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._timing import Comparison, finish, parser_of
from mriseg import api
from mriseg.backends import select
from mriseg.core.config import TrainConfig
from mriseg.testing import phantoms
from tests import s3


def train(store: str, run: Path, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Shares of the time spent waiting and losses, by epoch."""
    api.train(store, config, backend="cpu", out=run)
    rows = api.open_run(run).read_log()
    return [row["waiting_share"] for row in rows], [row["loss"] for row in rows]


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds before each answer")
    parser.add_argument("--cases", type=int, default=8)
    parser.add_argument("--shape", default="24x160x144", help="of a case: slices x rows x columns")
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--width", type=int, default=16)
    options = parser.parse_args(arguments)

    z, y, x = (int(side) for side in options.shape.split("x"))
    config = TrainConfig(
        width=options.width,
        batch_size=options.batch_size,
        slices_per_epoch=options.batch_size * options.steps,
        epochs=options.epochs,
    )
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary, s3.serving_apart(options.latency):
        root = Path(temporary)
        phantoms.write_brats(root / "scans", options.cases, shape=(z, y, x))
        url = f"s3://{s3.BUCKET}/remote.zarr"
        losses = {}
        for name, store in (("this disk", str(root / "local.zarr")), ("the server", url)):
            began = time.perf_counter()
            api.preprocess(root / "scans", store, workers=1)
            numbers[f"{name}: seconds to preprocess"] = time.perf_counter() - began
            began = time.perf_counter()
            api.open_store(store).index()
            numbers[f"{name}: seconds to open"] = time.perf_counter() - began
            waited, losses[name] = train(store, root / f"run from {name}", config)
            numbers[f"{name}: share of the time spent waiting, by epoch"] = ", ".join(
                f"{share:.2%}" for share in waited
            )
        same = losses["this disk"] == losses["the server"]
        numbers["losses from both are"] = "equal" if same else "different"
    return finish("benchmarks.remote", select("cpu"), options, [], numbers)


if __name__ == "__main__":
    main()
