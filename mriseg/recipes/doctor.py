"""Whether this machine computes correctly, what batch it holds, and how long an epoch takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mriseg.backends import Backend, describe
from mriseg.core.config import TrainConfig
from mriseg.core.settings import MULTIPLE
from mriseg.engine.capacity import Memory, Pace, Workload, measure
from mriseg.engine.check import At, Check, Outcome
from mriseg.engine.network_checks import network_as_trained
from mriseg.engine.op_checks import CHECKS
from mriseg.errors import BackendError, ConfigError, first_line
from mriseg.events import Advanced, Began, Notice, Recipe
from mriseg.io.store import Store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews_machine
from mriseg.recipes.setup import plan_training

SIZE = (240, 240)
"""Height and width of BraTS's slices."""

# BraTS2020: 369 labelled cases, of whose 155 slices about 66 show tumour. A fifth of the patients
# validates, and half of an epoch's slices have none: the defaults of a training.
_CASES, _TUMOUR_SLICES = 295, 66
_REFERENCE = (
    f"BraTS2020's scale: {_CASES} training cases with {_TUMOUR_SLICES} slices of tumour each, and "
    f"as many slices without; three modalities, three regions"
)

# An error above this many times the tolerance, or this share of the result, is not rounding.
_FAR, _HALF = 8, 0.5
# TF32 has 10 bits of mantissa.
_EPS_TF32 = 2.0**-10


class Verdict(StrEnum):
    """Of a check."""

    RIGHT = "right"
    ROUNDS = "rounds more than expected"
    WRONG = "WRONG"
    FAILS = "fails"


@dataclass(frozen=True)
class Finding:
    """The outcome of a check.

    Attributes:
        name: of the check, as in `mriseg.engine.op_checks.CHECKS`.
        forward: the largest difference of the results, as a share of the largest result; None
            where there is none or it is not finite.
        gradient: the same of the gradients.
        tolerance: what ``forward`` may be.
        gradient_tolerance: what ``gradient`` may be.
        verdict: the judgement.
        reason: what went wrong, where it is not a matter of numbers alone.
        instead: what a training does instead, so that the fault does no harm.
    """

    name: str
    forward: float | None
    gradient: float | None
    tolerance: float
    gradient_tolerance: float
    verdict: Verdict
    reason: str = ""
    instead: str = ""

    @property
    def fault(self) -> bool:
        """Whether a training would go wrong."""
        return self.verdict in (Verdict.WRONG, Verdict.FAILS) and not self.instead


@dataclass(frozen=True, repr=False)
class DoctorReport(Shown):
    """What the doctor measured; every number is finite or None.

    Attributes:
        backend: as `mriseg.backends.describe` gives it, decisions included.
        findings: by check.
        task: the training whose cost was asked for.
        memory: what a step takes; None where no step could be taken.
        pace: how fast it trains; None where no step could be taken.
        fit: whether this backend is fit to train.
        summary: the verdict in a sentence.
    """

    backend: dict[str, Any]
    findings: tuple[Finding, ...]
    task: Workload
    memory: Memory | None
    pace: Pace | None
    fit: bool
    summary: str

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return asdict(self)

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews_machine.doctored(self)


def doctor(
    backend: Backend,
    store: Store | None = None,
    *,
    width: int = 64,
    batch_size: int = 10,
    size: tuple[int, int] | None = None,
) -> Recipe[DoctorReport]:
    """Try each operation that a training uses, and measure what a training costs.

    Args:
        backend: to try.
        store: whose training to estimate, with the default settings; None: one of BraTS2020's
            scale.
        width: of the network.
        batch_size: slices per step.
        size: height and width of a slice; None: the store's, or `SIZE`.

    Raises:
        ConfigError: a number that cannot work, or nothing in the store to train on.
        InputError: the store is empty, or nothing in it is labelled.
    """
    task, notices = _task(store, width, batch_size, size)
    for notice in notices:
        yield Notice(notice)
    free = backend.free_memory()
    findings: list[Finding] = []
    checks = dict(CHECKS)
    yield Began("check", len(checks) + backend.deterministic, "operation")
    with backend.running():
        for name, check in checks.items():
            findings.append(examine(backend, name, check))
            yield Advanced("check", len(findings), item=name)
        if backend.deterministic:
            findings.append(_repeated(backend))
            yield Advanced("check", len(findings), item=findings[-1].name)
        yield Notice(f"timing a few steps of width {width}, {task.size[0]} x {task.size[1]}")
        memory, pace, failure = _measured(backend, task, free)
    findings += failure
    fit, summary = _summary(backend, findings, task, memory)
    return DoctorReport(
        describe(backend), tuple(findings), task, memory, pace, fit=fit, summary=summary
    )


def check_fit(report: DoctorReport) -> None:
    """Raise `BackendError` with the summary, where a training would go wrong."""
    if not report.fit:
        raise BackendError(report.summary)


def examine(backend: Backend, name: str, check: Check) -> Finding:
    """Run a check on ``backend`` and exactly, and judge how far apart the results are."""
    half = torch.finfo(backend.dtype).eps
    single = torch.finfo(torch.float32).eps
    tolerance = (
        check.roundings * half
        + check.products * _EPS_TF32 * backend.tf32
        + 4 * check.addends**0.5 * single
        + check.interpolation
    )
    tolerances = tolerance, tolerance**0.5 if check.tips else tolerance
    judged = partial(Finding, name, tolerance=tolerances[0], gradient_tolerance=tolerances[1])
    expected = check.run(At(backend, exact=True))
    try:
        computed = check.run(At(backend))
        compared = _compared(backend, expected, computed, typical=check.typical)
    # Whatever a kernel throws, it is what the table is for.
    except Exception as error:
        return judged(
            None, None, verdict=Verdict.FAILS, reason=first_line(error), instead=check.instead
        )
    errors = [max(pairs, default=0.0) for pairs in compared]
    verdict = max((_judge(e, t) for e, t in zip(errors, tolerances, strict=True)), key=_ORDER.index)
    finite = [e if e < float("inf") else None for e in errors]
    return judged(
        *(error if pairs else None for error, pairs in zip(finite, compared, strict=True)),
        verdict=verdict,
        reason="gives infinity or NaN" if None in finite else "",
        instead=check.instead if verdict == Verdict.WRONG else "",
    )


_ORDER = list(Verdict)


def _judge(error: float, tolerance: float) -> Verdict:
    if error <= tolerance:
        return Verdict.RIGHT
    return Verdict.WRONG if error > min(_FAR * tolerance, _HALF) else Verdict.ROUNDS


def _compared(
    backend: Backend, expected: Outcome, computed: Outcome, *, typical: bool
) -> tuple[list[float], list[float]]:
    def errors(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> list[float]:
        pairs = zip(ours, theirs, strict=True)
        return [_error(one.detach(), backend.collect(two), typical) for one, two in pairs]

    forward = errors(expected.forward, computed.forward)
    return forward, errors(expected.gradient, computed.gradient)


def _error(expected: Tensor, computed: Tensor, typical: bool) -> float:
    """How far ``computed`` is off, as a share of ``expected``; infinite where it is NaN."""
    if expected.shape != computed.shape:
        raise ValueError(f"gives {tuple(computed.shape)}, not {tuple(expected.shape)}")
    expected, computed = expected.double(), computed.double()
    if not bool(computed.isfinite().all()):
        return float("inf")
    difference, scale = (expected - computed).abs(), expected.abs()
    share = difference.mean() / scale.mean() if typical else difference.max() / scale.max()
    return float(share) if bool(difference.any()) else 0.0


def _repeated(backend: Backend) -> Finding:
    """Whether two trainings of one step give the same bits, which determinism promises."""
    name = "the same bits twice"
    try:
        first, second = (network_as_trained(At(backend)) for _ in range(2))
        pairs = zip(first.forward + first.gradient, second.forward + second.gradient, strict=True)
        same = all(torch.equal(backend.collect(a), backend.collect(b)) for a, b in pairs)
    except Exception as error:
        return Finding(name, None, None, 0, 0, Verdict.FAILS, first_line(error))
    return Finding(name, None, None, 0, 0, Verdict.RIGHT if same else Verdict.WRONG)


def _measured(
    backend: Backend, task: Workload, free: int | None
) -> tuple[Memory | None, Pace | None, list[Finding]]:
    try:
        return *measure(backend, task, free), []
    # Out of memory is an exception of another kind on each device.
    except Exception as error:
        failed = Finding("a training step", None, None, 0, 0, Verdict.FAILS, first_line(error))
        return None, None, [failed]


def _task(
    store: Store | None, width: int, batch_size: int, size: tuple[int, int] | None
) -> tuple[Workload, tuple[str, ...]]:
    if width < 8 or width % 8:
        raise ConfigError(f"width = {width}: expected a multiple of 8, at least 8")
    if batch_size < 1:
        raise ConfigError(f"batch size = {batch_size}: expected 1 or more")
    if size is not None and min(size) < MULTIPLE:
        raise ConfigError(f"size = {size}: expected height and width, {MULTIPLE} or more each")
    if store is None:
        slices = 2 * _CASES * _TUMOUR_SLICES
        return Workload(3, 3, width, size or SIZE, batch_size, slices, _REFERENCE), ()
    config = TrainConfig(width=width, batch_size=batch_size)
    setup = plan_training(store, config)
    plans = setup.plan(epoch=0)
    source = f"{store.location}, {len(setup.split.train)} training cases, the default settings"
    channels, classes = len(setup.task.modalities), len(setup.task.regions)
    slices = len(plans) * batch_size
    frame = size or setup.task.frame
    # They name options of `mriseg train`, which this has not.
    notices = tuple(f"a training here: {text}" for text in setup.notices)
    return Workload(channels, classes, width, frame, batch_size, slices, source), notices


def _summary(
    backend: Backend,
    findings: Sequence[Finding],
    task: Workload,
    memory: Memory | None,
) -> tuple[bool, str]:
    where = f"{backend.name} in {str(backend.dtype).removeprefix('torch.')}"
    faults = [f"{f.name} ({f.reason or f.verdict})" for f in findings if f.fault]
    if faults:
        faults[3:] = [f"and {len(faults) - 3} more"] * (len(faults) > 3)
        other = "" if backend.device.type == "cpu" else "--backend cpu or "
        return False, (
            f"{where} is not fit to train: {'; '.join(faults)}. "
            f"Use {other}another version of PyTorch than {torch.__version__}"
        )
    batch = memory.safe_batch if memory else None
    if batch == 0:
        return False, (
            f"{where} has no memory for a slice of {task.size[0]} x {task.size[1]} at width "
            f"{task.width}: use a smaller --width or --size"
        )
    rough = [f.name for f in findings if f.verdict == Verdict.ROUNDS]
    sentence = [f"{where} is fit to train"]
    sentence += [f"it rounds more than expected in {', '.join(rough)}"] * bool(rough)
    sentence += [f"where {f.name} goes wrong, {f.instead}" for f in findings if f.instead]
    if batch is not None and batch < task.batch_size:
        sentence.append(f"its memory holds a batch of {batch}, not of {task.batch_size}")
    return True, "; ".join(sentence)
