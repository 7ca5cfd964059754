"""Whole BraTS cases, NIfTI in and mask NIfTI out, beside the network's own time on their slices.

The network alone is timed on the slices that hold brain, cropped and padded as prediction does it,
on the device already and in the same batches; so the ratio is what reading, preparing, assembling
and writing add, and in the last rows what adapting to the scan does. Several cases, with all that
`mriseg predict` does by default, are compared with the network's time for all of them, mirrored as
by default: case n + 1 is read and case n - 1 written meanwhile. The run's weights are fresh: no
time depends on what a network has learnt, but for the refinement, which finds few voxels to decide;
`--run base` has a trained one instead.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks._data import brats_or_exit, cases, one_case
from benchmarks._runs import fresh_run
from benchmarks._timing import (
    Comparison,
    Contender,
    Group,
    finish,
    interleaved,
    parser_of,
    seconds_of,
)
from mriseg import api
from mriseg.backends import Backend, select
from mriseg.core.config import DEFAULT_MODALITIES
from mriseg.core.padding import padded_size
from mriseg.core.prepare import PreparedCase, prepare
from mriseg.core.steps import predict_step
from mriseg.core.volume import Pad
from mriseg.engine.inference import ready
from mriseg.io.readers import Case
from mriseg.io.runs import Run, open_run
from mriseg.io.store import frame_for
from mriseg.recipes.load import load as model_of
from mriseg.recipes.load import load_model
from mriseg.recipes.predict import PredictOptions

NETWORK = "the network alone"

# What `mriseg predict` does beside a network's one look at each slice, left out.
PLAIN = dict.fromkeys(("overlays", "adapt", "refine", "flips"), False)
Clock = Callable[[], float]

EVERYTHING = dict.fromkeys(PLAIN, True)


def network(
    run: Run,
    backend: Backend,
    prepared: Sequence[PreparedCase],
    batch_size: int,
    flips: Sequence[int] = (),
    *,
    now: Clock = time.perf_counter,
) -> Contender:
    """The network on the slices of the brain of some cases."""
    model = ready(load_model(run, backend), backend)
    batches = [
        backend.place(torch.from_numpy(slices[start : start + batch_size]))
        for slices in (_slices(case, run) for case in prepared)
        for start in range(0, len(slices), batch_size)
    ]

    def predict() -> None:
        with backend.running():
            for batch in batches:
                predict_step(model, batch, autocast=backend.autocast, flips=flips)
            backend.synchronize()

    return seconds_of(predict, now=now)


def _slices(case: PreparedCase, run: Run) -> NDArray[np.float32]:
    """The slices of a case that hold brain [n, c, h, w], in the frame of the network."""
    image = case.channels(run.manifest.modalities)
    h, w = image.shape[-2:]
    return np.ascontiguousarray(
        Pad.to((h, w), padded_size((h, w), run.manifest.frame))
        .apply(image)[:, image.any(axis=(0, 2, 3))]
        .transpose(1, 0, 2, 3),
        dtype=np.float32,
    )


def predicting(
    source: Path,
    out: Path,
    run: Run,
    backend: Backend,
    *,
    now: Clock = time.perf_counter,
    **more: bool,
) -> Contender:
    """``mriseg predict`` into a folder or a file that is not there."""
    how = PredictOptions(**{**PLAIN, **more}, overwrite=True)

    def again() -> None:
        # Else it would be kept.
        shutil.rmtree(out) if out.is_dir() else out.unlink(missing_ok=True)
        api.predict(source, out, run, how, backend=backend)

    return seconds_of(again, now=now)


def one(case: Case, run: Run, backend: Backend, root: Path, rounds: int) -> Group:
    """One case, with one after the other of what prediction does."""
    source, out = one_case(case, root / "one"), root / "mask.nii.gz"
    prepared = _prepared(case)
    depth, h, w = prepared.image.shape[1:]
    each = partial(predicting, source, out, run, backend)
    return interleaved(
        f"{case.name}, {depth} slices of {h}x{w}, width {width_of(run)}",
        {
            NETWORK: network(run, backend, [prepared], PredictOptions().batch_size),
            "mriseg predict, NIfTI in, mask out, nothing else": each(),
            "the same, with its picture": each(overlays=True),
            "the same, adapting to the scan": each(adapt=True),
            "the same, refined by the scan": each(refine=True),
            "the same, mirrored as in training": each(flips=True),
            "all of these, as by default": each(**EVERYTHING),
        },
        base=NETWORK,
        rounds=rounds,
    )


def several(
    chosen: Sequence[Case], run: Run, backend: Backend, root: Path, rounds: int, now: Clock
) -> Group:
    """Several cases in one command, as a user has them by default."""
    for case in chosen:
        one_case(case, root / "several")
    flips = model_of(run).mirrored
    passes = f"{2 ** len(flips)} passes of each slice"
    prepared = [_prepared(case) for case in chosen]
    return interleaved(
        f"{len(chosen)} cases in one command, width {width_of(run)}, {passes}",
        {
            NETWORK: network(run, backend, prepared, PredictOptions().batch_size, flips, now=now),
            "mriseg predict, as by default": predicting(
                root / "several", root / "masks", run, backend, now=now, **EVERYTHING
            ),
        },
        base=NETWORK,
        rounds=rounds,
    )


def width_of(run: Run) -> int:
    """Of its network."""
    return int(run.manifest.config["width"])


def _prepared(case: Case) -> PreparedCase:
    loaded = case.load()
    return prepare(loaded.images, None, loaded.geometry)


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--run", help="a trained model instead of one of fresh weights")
    parser.add_argument("--cases", type=int, default=4, help="in one command; default: 4")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="of several cases, where other work runs at the same time",
    )
    parser.add_argument("--only", choices=("one", "several"), help="one of the two tables")
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.case")

    backend = select(options.backend, precision=options.precision)
    usable = [case for case in cases(folder) if set(DEFAULT_MODALITIES) <= set(case.modalities)]
    chosen = usable[: options.cases]
    groups = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        if options.run:
            run = open_run(options.run)
        else:
            frame = frame_for([_prepared(case).image.shape[1:] for case in chosen])
            run = fresh_run(
                root / "run", width=options.width, modalities=DEFAULT_MODALITIES, frame=frame
            )
        if options.only != "several":
            groups.append(one(usable[0], run, backend, root, options.rounds))
        if options.only != "one":
            now = time.process_time if options.processor_time else time.perf_counter
            groups.append(several(chosen, run, backend, root, options.rounds, now))
    return finish("benchmarks.case", backend, options, groups)


if __name__ == "__main__":
    main()
