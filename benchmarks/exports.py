"""A slice and a BraTS case through each exported format, beside mriseg's own prediction.

All are given the same prepared slices, on this CPU, in turns of one run; nothing is read from a
scan or written. Seconds are the processor's own, of all threads. MONAI's bundle is timed by the
call that MONAI makes of each batch. The int8 file cannot be written without a store, so one that
`mriseg export onnx --int8` wrote is named with --int8; a page that `mriseg export web
--single-file` wrote, with --page: it is given the case's files, in Chromium.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks._browser import page_contender
from benchmarks._data import brats_or_exit, cases
from benchmarks._timing import Comparison, Contender, finish, interleaved, parser_of, seconds_of
from mriseg import api
from mriseg.backends import reference_backend
from mriseg.core.deploy import Deployed
from mriseg.core.padding import padded_size
from mriseg.core.prepare import prepare
from mriseg.core.volume import Pad
from mriseg.engine.inference import ready
from mriseg.io.exporters import EXPORTERS, LoadedExport
from mriseg.io.model_sources import locate
from mriseg.io.runs import open_run
from mriseg.recipes.export import deployed
from mriseg.recipes.load import load_model

FORMATS = ("torchscript", "onnx", "pt2", "monai")
_PREDICT = "mriseg predict's network"
_BATCH = 8


def contender(exported: LoadedExport, batches: list[torch.Tensor]) -> Contender:
    """The batches through a file."""
    m = batches[0].shape[1]
    given = torch.zeros(m), torch.ones(m), None

    def run() -> None:
        for batch in batches:
            exported.predict(batch, *given)

    return seconds_of(run, now=time.process_time)


def network(model: torch.nn.Module, batches: list[torch.Tensor]) -> Contender:
    """The batches through the network as prediction has it."""

    def run() -> None:
        with torch.inference_mode():
            for batch in batches:
                torch.sigmoid(model(batch))

    return seconds_of(run, now=time.process_time)


def largest(exported: LoadedExport, reference: Deployed, batches: list[torch.Tensor]) -> float:
    """The largest difference of a probability from the model's, on a scan's own slices."""
    m = batches[0].shape[1]
    given = torch.zeros(m), torch.ones(m), None
    return max(
        float((exported.predict(batch, *given) - reference(batch, *given)).abs().max())
        for batch in batches
    )


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--model", default="base")
    parser.add_argument("--files", type=Path, help="folder of exports that are there already")
    parser.add_argument("--int8", type=Path, help="a file of mriseg export onnx --int8")
    parser.add_argument("--page", type=Path, help="a file of mriseg export web --single-file")
    parser.add_argument("--formats", nargs="*", default=FORMATS, choices=FORMATS)
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.exports")
    backend, run = reference_backend(), open_run(locate(options.model))
    names = set(run.manifest.modalities)
    case = next(case for case in cases(folder) if names <= set(case.modalities))
    loaded = case.load()
    prepared = prepare(loaded.images, None, loaded.geometry)
    image = prepared.channels(run.manifest.modalities)
    frame = padded_size(image.shape[-2:], run.manifest.frame)
    padded = Pad.to(image.shape[-2:], frame).apply(image[:, image.any(axis=(0, 2, 3))])
    slices = torch.from_numpy(np.ascontiguousarray(padded.transpose(1, 0, 2, 3)))
    model = load_model(run, backend)
    reference, own = deployed(model, run), ready(model, backend)
    with tempfile.TemporaryDirectory() as temporary:
        files = {}
        for name in options.formats:
            suffix = EXPORTERS[name].suffix
            place = options.files or Path(temporary)
            files[name] = place / f"{Path(run.name).name}{suffix}"
            if not files[name].exists():
                api.export(run, name, files[name])
        exports = {name: EXPORTERS[name].load(path) for name, path in files.items()}
        if options.int8:
            files["onnx, int8"] = options.int8
            exports["onnx, int8"] = EXPORTERS["onnx"].load(options.int8)
        sizes = {f"{name}: size in MB": path.stat().st_size / 1e6 for name, path in files.items()}
    groups = []
    if options.page:
        sizes["web: size in MB"] = options.page.stat().st_size / 1e6
        scans = [path for name, paths in case.sources.items() if name in names for path in paths]
        with page_contender(options.page, scans) as page:
            if page is not None:
                contenders = {_PREDICT: network(own, list(slices.split(_BATCH))), "web": page}
                what = f"{case.name} in Chromium, {len(slices)} slices"
                groups.append(interleaved(what, contenders, base=_PREDICT, rounds=options.rounds))
    for what, batches in (
        (f"a slice of {frame[0]}x{frame[1]}", [slices[len(slices) // 2, None].contiguous()]),
        (f"{case.name}, {len(slices)} slices", list(slices.split(_BATCH))),
    ):
        contenders = {_PREDICT: network(own, batches)}
        contenders |= {name: contender(exported, batches) for name, exported in exports.items()}
        groups.append(interleaved(what, contenders, base=_PREDICT, rounds=options.rounds))
    differences = {
        f"{name}: largest difference": largest(exported, reference, list(slices.split(_BATCH)))
        for name, exported in exports.items()
    }
    return finish("benchmarks.exports", backend, options, groups, sizes | differences)


if __name__ == "__main__":
    main()
