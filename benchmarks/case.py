"""A whole BraTS case, NIfTI in and mask NIfTI out, beside the network's own time on its slices.

The network alone is timed on the slices that hold brain, cropped and padded as prediction does it,
on the device already and in the same batches; so the ratio is what reading, preparing, assembling
and writing add, and in the last row what adapting to the scan does. The run's weights are fresh: no
time depends on what a network has learnt.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks._data import brats_or_exit, cases, one_case
from benchmarks._runs import fresh_run
from benchmarks._timing import (
    Comparison,
    Contender,
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
from mriseg.io.runs import Run
from mriseg.io.store import frame_for
from mriseg.recipes.load import load_model
from mriseg.recipes.predict import PredictOptions

NETWORK = "the network alone"

# What `mriseg predict` does beside a network's one look at each slice, left out.
PLAIN = dict.fromkeys(("overlays", "adapt", "refine", "flips"), False)


def network(run: Run, backend: Backend, case: PreparedCase, batch_size: int) -> Contender:
    """The network on the slices of the brain."""
    model = ready(load_model(run, backend), backend)
    image = case.channels(run.manifest.modalities)
    h, w = image.shape[-2:]
    slices = np.ascontiguousarray(
        Pad.to((h, w), padded_size((h, w), run.manifest.frame))
        .apply(image)[:, image.any(axis=(0, 2, 3))]
        .transpose(1, 0, 2, 3),
        dtype=np.float32,
    )
    batches = [
        backend.place(torch.from_numpy(slices[start : start + batch_size]))
        for start in range(0, len(slices), batch_size)
    ]

    def predict() -> None:
        with backend.running():
            for batch in batches:
                predict_step(model, batch, autocast=backend.autocast)
            backend.synchronize()

    return seconds_of(predict)


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.case")

    backend = select(options.backend, precision=options.precision)
    case = next(case for case in cases(folder) if set(DEFAULT_MODALITIES) <= set(case.modalities))
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        source = one_case(case, root / "scans")
        loaded = case.load()
        prepared = prepare(loaded.images, None, loaded.geometry)
        depth, h, w = prepared.image.shape[1:]
        frame = frame_for([(depth, h, w)])
        run = fresh_run(
            root / "run", width=options.width, modalities=DEFAULT_MODALITIES, frame=frame
        )
        out = root / "mask.nii.gz"

        def predicting(**more: bool) -> Contender:
            how = PredictOptions(**{**PLAIN, **more}, overwrite=True)

            def again() -> None:
                out.unlink(missing_ok=True)  # else it would be kept
                api.predict(source, out, run, how, backend=backend)

            return seconds_of(again)

        group = interleaved(
            f"{case.name}, {depth} slices of {frame[0]}x{frame[1]}, width {options.width}",
            {
                NETWORK: network(run, backend, prepared, PredictOptions().batch_size),
                "mriseg predict, NIfTI in, mask out, nothing else": predicting(),
                "the same, with its picture": predicting(overlays=True),
                "the same, adapting to the scan": predicting(adapt=True),
                "the same, refined by the scan": predicting(refine=True),
                "the same, mirrored as in training": predicting(flips=True),
                "all of these, as by default": predicting(**dict.fromkeys(PLAIN, True)),
            },
            base=NETWORK,
            rounds=options.rounds,
        )
    return finish("benchmarks.case", backend, options, [group])


if __name__ == "__main__":
    main()
