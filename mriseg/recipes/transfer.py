"""Re-train a run's network for another task."""

from __future__ import annotations

from pathlib import Path

from mriseg.backends.base import Backend
from mriseg.core import rng
from mriseg.core.config import TrainConfig
from mriseg.core.transfer import Shape, TransferPlan, adapt, plan
from mriseg.errors import ConfigError
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.events import Notice, Recipe, Wrote
from mriseg.recipes.setup import settle
from mriseg.recipes.train import Start, TrainReport, train


def transfer(
    store: Store,
    source: Run,
    config: TrainConfig,
    backend: Backend,
    *,
    freeze: str = "encoder",
    new_head: bool = False,
    out: Path | None = None,
) -> Recipe[tuple[TrainReport, TransferPlan]]:
    """Train on ``store`` starting from the network of ``source``.

    Args:
        store: of the new task.
        source: the run to start from; its best weights are taken.
        config: of the training; its width must be the source's.
        backend: where to compute.
        freeze: none, encoder, encoder:K or all-but-head.
        new_head: make the head anew even where regions have the same name.
        out: the run folder; None: a new one under ``runs/``.

    Returns:
        What the training gave, and what was kept, adapted and made anew; the latter is also in
        the run's ``transfer.json``.

    Raises:
        ConfigError: the store, the configuration and the source do not fit.
    """
    if config.encoder_weights is not None:
        raise ConfigError("a transfer takes its weights from a run: leave --encoder-weights out")
    setup = settle(store, config)
    target = Shape(setup.modalities, tuple(setup.regions), config.width)
    made = plan(shape_of(source), target, freeze, new_head=new_head)
    checkpoint = source.load(source.chosen)
    generator = rng.generator(config.seed, "transfer")
    weights = adapt(made, checkpoint.weights, generator, setup.prior)
    yield Notice(
        f"from {source.path}: {made.count('kept')} tensors kept, {made.count('adapted')} adapted, "
        f"{made.count('new')} new; frozen: {', '.join(made.frozen) or 'nothing'}"
    )
    for tensor in made.tensors:
        if tensor.action != "kept":
            yield Notice(f"{tensor.name} {tensor.action}: {tensor.how}")
    known = [
        case.name
        for case in setup.index.only(setup.split.validation).cases
        if source.manifest.trained_on(case)
    ]
    if known:
        yield Notice(
            f"{source.path} was trained on {', '.join(known)}, which validate here: "
            f"their Dice says nothing of other patients"
        )
    start = Start(
        setup=setup,
        weights=weights,
        frozen=made.frozen,
        seen=source.manifest.seen,
        parent={"run": str(source.path), "freeze": freeze, "frozen": list(made.frozen)},
        report=made.to_json(),
    )
    report = yield from train(store, config, backend, out=out, start=start)
    yield Wrote(report.run / "transfer.json", "report of what was kept, adapted and new")
    return report, made


def shape_of(run: Run) -> Shape:
    """What a transfer needs to know of a run's network."""
    manifest = run.manifest
    return Shape(manifest.modalities, tuple(manifest.regions), int(manifest.model["width"]))
