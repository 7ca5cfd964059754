"""How good a model is on scans, or a table of cases, that nobody has preprocessed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from mriseg.core.regions import Regions, join_labels
from mriseg.core.tumour_labels import TUMOUR_REGIONS
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.runs import Run
from mriseg.io.store import open_store
from mriseg.recipes.case_work import Where, elsewhere
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.preprocess import PreprocessReport, preprocess
from mriseg.recipes.scores import EvaluateReport


def evaluate_scans(
    source: Path,
    run: Run,
    backend: Where,
    *,
    cases: Sequence[str] | None = None,
    **options: Any,
) -> Recipe[EvaluateReport]:
    """Read the scans into a store that is kept no longer than this takes, and measure there.

    Args:
        source: a folder of scans, or a table of cases.
        run: the model, whose regions are read.
        backend: where to compute, or processes that do.
        cases: only these.
        options: as in `mriseg.recipes.evaluate.evaluate`.

    Raises:
        ConfigError: workers on other machines were asked for.
        InputError: no case can be used, or there is nothing to measure.
    """
    if elsewhere(backend):
        raise ConfigError(
            f"{source} would be preprocessed on this machine alone, where workers do not see it: "
            f"preprocess it into a store that they see, and evaluate that"
        )
    yield Notice(f"{source} is preprocessed for this evaluation alone")
    with temporary_folder() as folder:
        store = folder / "scans.zarr"
        manifest = run.manifest
        reading = preprocess(
            source, store, preparation=manifest.preparation, regions=spelled(manifest.regions)
        )
        prepared = yield from _unwritten(reading)
        report = yield from evaluate(open_store(store), run, backend, cases=cases, **options)
    unread = [(case.case, case.reason) for case in prepared.skipped]
    wanted = [item for item in unread if cases is None or item[0] in cases]
    return replace(report, skipped=(*wanted, *report.skipped))


def _unwritten(recipe: Recipe[PreprocessReport]) -> Recipe[PreprocessReport]:
    """``recipe`` without a word of files that are gone at the end."""
    with closing(recipe):
        while True:
            try:
                event = next(recipe)
            except StopIteration as end:
                result: PreprocessReport = end.value
                return result
            if not isinstance(event, Wrote):
                yield event


def spelled(regions: Regions) -> str:
    """Regions as ``--regions`` takes them: those of BraTS by name, others by their labels."""
    return ",".join(
        name if TUMOUR_REGIONS.get(name) == tuple(labels) else f"{name}={join_labels(labels)}"
        for name, labels in regions.items()
    )
