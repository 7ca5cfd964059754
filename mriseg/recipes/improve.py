"""Learn on from corrections: a transfer, and the old model against the new on patients kept aside.

What it writes is described in `mriseg.io.improvements`. Some corrected patients are kept aside for
good (`mriseg.core.improvement`), before anything is trained; the others train. A stopped round is
continued by the same command, and the new model is in use only if it is shown to be better.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mriseg.backends.base import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.improvement import NEEDED
from mriseg.core.keywords import ScanKeywords
from mriseg.core.wording import counted
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Recipe, Wrote
from mriseg.io import improvements, runs
from mriseg.io.corrections import (
    Correction,
    Corrections,
    read_corrections,
    state_of,
)
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.checksums import sha256
from mriseg.io.disk.locks import locked
from mriseg.io.finding import Kind, what_is
from mriseg.io.improvements import Plan
from mriseg.io.model_sources import spoken
from mriseg.io.predictions import ModelName
from mriseg.io.runs import Run
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.about import Heard
from mriseg.recipes.improve_round import RoundWork
from mriseg.report.pages.improvement import Pair

# Seconds of training, where nothing else is asked for.
_BUDGET = 600.0


@dataclass(frozen=True)
class ImproveOptions:
    """How to learn on.

    Attributes:
        config: of the training, up to width, patients and validation; with neither epochs nor a
            budget it takes ten minutes.
        scans: how the corrected scans are read, as in `mriseg.recipes.scans.ScanOptions`, but for
            its ``regions`` and ``labels``.
    """

    config: TrainConfig = TrainConfig()
    scans: ScanKeywords | None = None


@dataclass(frozen=True, repr=False)
class ImproveReport(Shown):
    """What a round gave, and where it is written.

    Attributes:
        path: the round's folder.
        old: the run that it began with.
        new: the run that it made.
        better: whether the new one is shown to be better, and so is in use from now on.
        verdict: in plain words.
        scores: old and new Dice of each patient that was kept aside.
        page: to look at.
    """

    path: Path
    old: Path
    new: Path
    better: bool
    verdict: str
    scores: tuple[Pair, ...]
    page: Path

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.improved(self)


def improve(
    run: Run,
    corrections: Path,
    backend: Backend,
    options: ImproveOptions | None = None,
    *,
    out: Path | None = None,
) -> Recipe[ImproveReport]:
    """Train on corrected cases, and measure whether that helps.

    Args:
        run: the model to learn on from; best the one whose masks were corrected.
        corrections: the folder of corrections. The folders of their scans are looked for where
            they were named, from the current folder.
        backend: where to compute.
        options: of the training; None: the defaults.
        out: the round's folder, new or begun before; None: the next one under ``runs/``.

    Raises:
        ConfigError: too few patients are corrected, or ``out`` holds another round.
        InputError: a correction, its scan or a record is missing, damaged or of something else.
        OutputError: ``out`` is taken by something else or cannot be written.
        BusyError: another process is at work there.
        DivergedError: the loss became NaN or infinite.
    """
    options = options or ImproveOptions()
    usable = _usable(corrections, read_corrections(corrections))
    config = _config(run, options)
    plan = Plan(
        source=ModelName(spoken(run.path), run.digest()),
        masks={name: sha256(corrections / item.mask) for name, item in usable.items()},
        config=config.model_dump(mode="json"),
    )
    out = out or _place(corrections, plan)
    work = RoundWork(run, corrections, out, backend, config, options.scans or {})
    with locked(out, "improve"):
        _claim(out, plan)
        heard = Heard()
        result = yield from heard.listening(work.all(usable))
        page = work.written(result, heard)
        yield Wrote(out, f"{improvements.JSON} and {improvements.CSV}")
        yield Wrote(page, "report")
    judgement = result.judgement
    return ImproveReport(
        out,
        run.path,
        result.new.path,
        judgement.better,
        judgement.verdict,
        result.pairs,
        page,
    )


def model_in_use(corrections: Path) -> str:
    """The model to learn on from: the latest that was better, or else the one that was corrected.

    Raises:
        InputError: a record is damaged, or the corrections are of several models or of none.
    """
    in_use = improvements.read_chain(corrections).in_use
    if in_use is not None:
        return in_use.path
    models = sorted({item.model.path for item in read_corrections(corrections).cases.values()})
    if len(models) != 1:
        which = f"masks of several models ({', '.join(models)})" if models else "no correction"
        raise InputError(f"{corrections} holds {which}: name the run to learn on from")
    return models[0]


def _usable(corrections: Path, record: Corrections) -> dict[str, Correction]:
    """The corrections that have a mask, by case.

    Raises:
        ConfigError: they are of too few patients.
        InputError: a mask is gone, or the cases are those of a store.
    """
    usable = {name: item for name, item in record.cases.items() if item.mask}
    people = len({item.patient for item in usable.values()})
    if people < NEEDED:
        raise ConfigError(
            f"{corrections} holds corrected or accepted masks of {counted(people, 'patient')}, and "
            f"at least {NEEDED} are needed: half to learn from, half to test on; correct or accept "
            f"more with mriseg annotate"
            + ("" if record.cases else "; if it is no session's folder, name that")
        )
    gone = [name for name, item in usable.items() if state_of(corrections, item) == "missing"]
    if gone:
        raise InputError(
            f"the masks of {', '.join(gone)} are gone from {corrections}; put them back, or "
            f"correct these cases again"
        )
    stores = sorted({c.source for c in usable.values() if what_is(c.source) is Kind.STORE})
    if stores:
        raise InputError(
            f"{corrections} holds corrections of cases in the store {', '.join(stores)}, which is "
            f"of its scans and cannot be preprocessed again: run mriseg annotate on the folder of "
            f"the scans, with --labels {corrections}"
        )
    return usable


def _config(run: Run, options: ImproveOptions) -> TrainConfig:
    """The configuration of the training, but for the cases that are left out."""
    config, manifest = options.config, run.manifest
    if config.encoder_weights is not None:
        raise ConfigError("what is learnt on from has weights: leave --encoder-weights out")
    for name in ("exclude", "validation_cases"):
        if getattr(config, name):
            raise ConfigError(f"who learns and who tests is not chosen by hand: leave {name} out")
    update = {"width": int(manifest.model["width"]), "validation": 0.0}
    if config.epochs is None and config.budget is None:
        update["budget"] = _BUDGET
    return config.model_copy(update={**update, "regions": tuple(manifest.regions)})


def _place(corrections: Path, plan: Plan) -> Path:
    """The folder of the next round: the one that was stopped, or a new one."""
    number = len(improvements.read_chain(corrections).rounds) + 1
    while True:
        place = runs.RUNS / f"improve-{corrections.resolve().name}-{number}"
        if is_free(place):
            return place
        done = (place / improvements.JSON).exists()
        if not done and (place / improvements.PLAN).exists():
            earlier = improvements.read_plan(place)
            if earlier is not None and not earlier.differences(plan):
                return place
        number += 1


def _claim(out: Path, plan: Plan) -> None:
    """Take ``out`` for this round, or make sure that it already belongs to it."""
    if is_free(out):
        improvements.write_plan(out, plan)
        return
    earlier = improvements.read_plan(out)
    if earlier is None:
        raise OutputError(f"{out} exists and is not of mriseg improve; choose another folder")
    differences = earlier.differences(plan)
    if differences:
        raise ConfigError(
            f"{out} holds a round with other {', '.join(differences)}; choose another --out"
        )
