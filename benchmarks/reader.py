"""A simulated reader: whether the order of `mriseg annotate`'s queue is worth more than chance.

For each start, a run that knows a few patients of the store, the others are divided by chance into
patients who are held out and a pool. The reader corrects the first 5, 10 and 15 of the pool, in
the queue's order or in a random one, and the start is transferred to those; a correction is the
store's own segmentation. Both orders have the same steps, and are measured on the same patients.

With ``--out`` what is done is not done again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from mriseg import api
from mriseg.backends import Backend, select
from mriseg.cli.render import drawing, results, say
from mriseg.core import rng
from mriseg.core.certainty import uncertainty
from mriseg.core.queue import Candidate, describe, order
from mriseg.core.regions import label_map
from mriseg.core.sampling import patients
from mriseg.core.statistics import difference, per_patient, verdict
from mriseg.core.train_settings import training_config
from mriseg.engine.segmenter import Segmenter
from mriseg.events import completed
from mriseg.io.disk.documents import write_json
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.certainty import Judge
from mriseg.recipes.load import load
from mriseg.recipes.predict import PredictOptions

QUEUE, RANDOM = "queue", "random"
# The plain network: the same for both orders, and several times faster.
PLAIN = PredictOptions(flips=False, adapt=False, refine=False)


@dataclass(frozen=True)
class Reader:
    """One start: whom it does not know, divided.

    Attributes:
        store: of everybody.
        start: the run that is transferred.
        seed: of the division, the random order and the transfers.
        held: names of the cases held out.
        pool: patient -> names of the cases that can be corrected.
        config: of each transfer.
        backend: where to compute.
        out: the folder of this start.
    """

    store: Store
    start: Run
    seed: int
    held: tuple[str, ...]
    pool: Mapping[str, tuple[str, ...]]
    config: Mapping[str, Any]
    backend: Backend
    out: Path

    def orders(self) -> dict[str, list[str]]:
        """Order -> the pool's patients, whom the reader corrects first to last."""
        path = self.out / "orders.json"
        if not path.exists():
            chance = sorted(self.pool, key=lambda name: rng.derive(self.seed, "reader", name))
            write_json(path, {QUEUE: self._queue(), RANDOM: chance})
        orders: dict[str, list[str]] = json.loads(path.read_text())
        return orders

    def _queue(self) -> list[str]:
        """As `mriseg annotate` orders them, by the masks of the start."""
        segmenter, judge = Segmenter(load(self.start), PLAIN), Judge(self.start, PLAIN)
        candidates = []
        for patient, cases in self.pool.items():
            case = self.store.read_case(cases[0])
            segmented = completed(segmenter.segmenting(case, self.backend))
            mask = label_map(segmented.masks, self.start.manifest.regions)
            unsure = uncertainty(judge.certainty(case, segmented))
            candidates.append(Candidate(patient, unsure, describe(case, mask)))
        return order(candidates)

    def dice(self, name: str, corrected: Sequence[str] = ()) -> dict[str, float]:
        """Patient held out -> Dice of the start, or after a transfer to corrected patients."""
        path = self.out / f"{name}.json"
        if not path.exists():
            run = self.start
            with drawing() as draw:
                if corrected:
                    run = self._transferred(name, corrected, draw)
                report = api.evaluate(
                    self.store, run, PLAIN, cases=self.held, backend=self.backend, on_event=draw
                )
            rows = ((score.case, score.dice) for score in report.scores)
            write_json(path, per_patient(rows))
        scores: dict[str, float] = json.loads(path.read_text())
        return scores

    def _transferred(self, name: str, corrected: Sequence[str], draw: Any) -> Run:
        # What was stopped is begun again: it takes a minute.
        shutil.rmtree(self.out / name, ignore_errors=True)
        chosen = {case for patient in corrected for case in self.pool[patient]}
        left_out = sorted(set(self.store.cases()) - chosen)
        settings = {**self.config, "seed": self.seed, "validation": 0.0, "exclude": left_out}
        report = api.transfer(
            self.store,
            self.start,
            training_config(settings, {"width": self.start.manifest.model["width"]}),
            backend=self.backend,
            out=self.out / name,
            on_event=draw,
        )
        run = open_run(report.run)
        assert set(run.manifest.train) == chosen, "the corrected patients alone train"
        return run


def divided(args: argparse.Namespace, store: Store, seed: int, start: Run) -> Reader:
    """The patients that a start does not know, some held out by chance and the others its pool."""
    index = store.index()
    seen = start.manifest.seen_among(index.cases)
    groups = {
        min(case.patient for case in group): tuple(case.name for case in group)
        for group in patients(index.cases)
        if not any(case.name in seen for case in group)
    }
    names = sorted(groups, key=lambda name: rng.derive(seed, "held out", name))
    held = [case for name in names[: args.held] for case in groups[name]]
    out = args.out / f"seed-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    return Reader(
        store=store,
        start=start,
        seed=seed,
        held=tuple(sorted(held)),
        pool={name: groups[name] for name in sorted(names[args.held :])},
        config=json.loads(args.settings),
        backend=select("cpu"),
        out=out,
    )


def simulate(args: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Row of the table -> for each start, patient held out -> Dice."""
    store = open_store(args.store)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed, path in enumerate(args.starts):
        reader = divided(args, store, seed, open_run(path))
        rows.setdefault("start", []).append(reader.dice("start"))
        for name, people in reader.orders().items():
            for size in args.sizes:
                dice = reader.dice(f"{name}-{size}", people[:size])
                rows.setdefault(f"{name}-{size}", []).append(dice)
    return rows


def show(rows: Mapping[str, list[dict[str, float]]], sizes: Sequence[int]) -> dict[str, Any]:
    """The table, and per size the difference between the orders, in pairs by patient."""
    table = Table("corrected", "order", "Dice", "by seed", box=box.SIMPLE)
    summary: dict[str, Any] = {}
    for name, seeds in rows.items():
        means = [fmean(dice.values()) for dice in seeds]
        kind, _, size = name.partition("-")
        table.add_row(
            size or "0", kind, f"{fmean(means):.3f}", ", ".join(f"{m:.3f}" for m in means)
        )
        summary[name] = {"dice": fmean(means), "seeds": means}
    console = results()
    console.print(table)
    for size in sizes:
        queue, chance = (
            per_patient(pair for dice in rows[f"{kind}-{size}"] for pair in dice.items())
            for kind in (QUEUE, RANDOM)
        )
        gap = difference(queue, chance, np.random.default_rng(0))
        text = verdict(gap, "the queue's order", "random order")
        say(console, f"{size} corrected, {gap.patients} patients held out: {text}")
        summary[f"difference-{size}"] = {**vars(gap), "verdict": text}
    return summary


def main() -> None:
    """Simulate, and show what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("store", help="labelled cases")
    parser.add_argument("--starts", nargs="+", required=True, help="runs, one per seed")
    parser.add_argument("--sizes", nargs="+", type=int, default=[5, 10, 15], help="corrected")
    parser.add_argument("--held", type=int, default=15, help="patients held out")
    parser.add_argument("--settings", default="{}", help="of each transfer, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder of runs and results")
    args = parser.parse_args()
    rows = simulate(args)
    write_json(args.out / "reader.json", {"rows": rows, **show(rows, args.sizes)})


if __name__ == "__main__":
    sys.exit(main())
