"""One round of learning on from corrections: preprocess, keep aside, train, measure, write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from mriseg.backends import describe
from mriseg.backends.base import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.improvement import Judgement, Sides, judge, prospect, sides
from mriseg.core.keywords import ScanKeywords
from mriseg.core.regions import join_labels
from mriseg.core.sampling import CaseEntry, patients
from mriseg.core.statistics import per_patient
from mriseg.core.wording import counted, duration
from mriseg.errors import InputError
from mriseg.events import Notice, Recipe
from mriseg.io import improvements
from mriseg.io.corrections import (
    Correction,
    read_corrections,
    update_corrections,
)
from mriseg.io.disk.documents import plain, write_csv
from mriseg.io.improvements import Round
from mriseg.io.model_sources import spoken
from mriseg.io.predictions import ModelName
from mriseg.io.runs import Run
from mriseg.io.store import Store, open_store
from mriseg.recipes.about import Heard, about, machine_of
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import begun_or_resumed
from mriseg.recipes.setup import versions
from mriseg.recipes.transfer import transfer
from mriseg.report import html
from mriseg.report.pages.improvement import Pair, improvement_page


@dataclass(frozen=True)
class Result:
    """What a round gave: the new run, who learnt, and both models on the others."""

    new: Run
    sides: Sides
    judgement: Judgement
    pairs: tuple[Pair, ...]


@dataclass(frozen=True)
class RoundWork:
    """A round: what it begins with and where it goes."""

    run: Run
    corrections: Path
    out: Path
    backend: Backend
    config: TrainConfig
    scans: ScanKeywords

    def all(self, usable: Mapping[str, Correction]) -> Recipe[Result]:
        """Preprocess, keep aside, train, measure."""
        store = yield from self._preprocessed(usable)
        groups, two = yield from self._divided(store)
        test = sorted(case.name for name in two.test for case in groups[name])
        known = {case.name for name in (*two.learn, *two.test) for case in groups[name]}
        left_out = {*test, *(set(store.cases()) - known)}
        new = yield from self._trained(store, tuple(sorted(left_out)))
        # Before anything is measured: what trained must not be what tests.
        mixed = sorted({*new.manifest.train} & left_out)
        if mixed:
            raise InputError(f"{new.path} was trained on {', '.join(mixed)}, which test it")
        old_dice = yield from self._measured(store, self.run, test)
        new_dice = yield from self._measured(store, new, test)
        both = sorted(old_dice.keys() & new_dice.keys())
        if not both:
            raise InputError("no patient that was kept aside could be measured with both models")
        old_dice, new_dice = ({name: d[name] for name in both} for d in (old_dice, new_dice))
        judgement = judge(old_dice, new_dice)
        yield Notice(judgement.verdict)
        pairs = tuple(Pair(name, old_dice[name], new_dice[name]) for name in both)
        self._record(new, two, judgement)
        return Result(new, two, judgement, pairs)

    def written(self, result: Result, heard: Heard) -> Path:
        """Write the result as JSON, as a table and as a page; where the page is."""
        judgement, model = result.judgement, spoken(self.run.path)
        content = {
            "old": model,
            "new": str(result.new.path),
            "learnt": result.sides.learn,
            "held_out": result.sides.test,
            **vars(judgement),
            "scores": result.pairs,
        }
        improvements.write_result(self.out, plain(content))
        write_csv(self.out / improvements.CSV, [vars(pair) for pair in result.pairs])
        noted = about(
            versions(),
            heard=heard,
            settings=self.config.model_dump(mode="json", exclude={"exclude"}),
            machine=machine_of(describe(self.backend)),
        )
        page = improvement_page(
            judgement, result.pairs, noted, model=model, learnt=len(result.sides.learn)
        )
        path = self.out / html.FILE
        html.write(path, page)
        return path

    def _preprocessed(self, usable: Mapping[str, Correction]) -> Recipe[Store]:
        """The corrected cases as a store: the same way through as for any segmentations."""
        regions = _as_drawn(self.run)
        place = self.out / improvements.CASES
        sources = dict.fromkeys(item.source for item in usable.values())
        for source in sources:
            files = {
                name: self.corrections / item.mask
                for name, item in usable.items()
                if item.source == source
            }
            where = Path(source)
            if not where.exists():
                raise InputError(
                    f"the scans of {counted(len(files), 'correction')} are not at {source}, seen "
                    f"from the current folder: run the command where mriseg annotate was run, or "
                    f"put them back"
                )
            scans: ScanKeywords = {**self.scans, "regions": regions, "labels": files}
            yield from preprocess(where, place, preparation=self.run.manifest.preparation, **scans)
        store = open_store(place)
        changed = [name for name, item in usable.items() if _is_another_scan(store, item)]
        if changed:
            raise InputError(
                f"{', '.join(changed)}: the scan is not the one that was corrected; put that back, "
                f"or correct the new one"
            )
        return store

    def _divided(self, store: Store) -> Recipe[tuple[dict[str, list[CaseEntry]], Sides]]:
        """The cases by patient; who learns and who tests, recorded before anything is learnt."""
        manifest, record = self.run.manifest, read_corrections(self.corrections)
        learnt = improvements.read_chain(self.corrections).learnt
        index = store.index()
        seen = manifest.seen_among(index.cases)
        groups: dict[str, list[CaseEntry]] = {}
        held: set[str] = set()
        barred: set[str] = set()
        for group in patients(index.cases):
            names = {case.patient for case in group}
            is_held = bool(names & set(record.held_out))
            is_seen = any(case.name in seen for case in group)
            key = min(names & set(record.held_out)) if is_held else min(names)
            if is_held and is_seen:
                yield Notice(
                    f"{key} is kept aside and {self.run.name} was trained on it all the same: "
                    f"neither learnt from nor measured"
                )
                continue
            groups[key] = group
            if is_held:
                held.add(key)
            elif is_seen or names & learnt or any(manifest.validated_on(c.name) for c in group):
                barred.add(key)
        two = sides(groups, held_out=held, barred=barred)
        kept = {case.patient for name in two.test for case in groups[name]}
        update_corrections(
            self.corrections,
            lambda now: replace(now, held_out=tuple(sorted({*now.held_out, *kept}))),
        )
        yield Notice(
            f"{counted(len(two.learn), 'patient')} to learn from, {len(two.test)} kept aside for "
            f"good: {', '.join(two.test)}"
        )
        if hint := prospect(len(two.test)):
            yield Notice(hint)
        return groups, two

    def _trained(self, store: Store, left_out: tuple[str, ...]) -> Recipe[Run]:
        config = self.config.model_copy(update={"exclude": left_out})
        path = self.out / improvements.MODEL
        if config.budget is not None:
            yield Notice(f"the training takes {duration(config.budget)}, and then the measuring")
        begin = partial(transfer, store, self.run, config, self.backend, out=path)
        return (yield from begun_or_resumed(path, store, self.backend, begin))

    def _measured(self, store: Store, run: Run, cases: Sequence[str]) -> Recipe[dict[str, float]]:
        """Patient -> Dice, the mean over regions and cases."""
        patient = {case.name: case.patient for case in store.index().cases}
        report = yield from evaluate(store, run, self.backend, cases=cases)
        return per_patient((patient[score.case], score.dice) for score in report.scores)

    def _record(self, new: Run, two: Sides, judgement: Judgement) -> None:
        """Which model is in use from now on, for `mriseg annotate` and the next round."""
        one = Round(
            old=ModelName(spoken(self.run.path.absolute()), self.run.digest()),
            new=ModelName(str(new.path.absolute()), new.digest()),
            learnt=two.learn,
            held_out=two.test,
            better=judgement.better,
            verdict=judgement.verdict,
            when=datetime.now().astimezone().isoformat(timespec="seconds"),
        )
        improvements.update_chain(self.corrections, lambda chain: chain.with_round(one))


def _as_drawn(run: Run) -> str:
    """The regions of a run, by the labels of the masks that people correct.

    As numbers of the files' own, so that no label is taken for one of BraTS's years. Of a single
    region a mask is of 0 and 1, whatever its label was.
    """
    regions = run.manifest.regions
    if len(regions) == 1:
        return f"{next(iter(regions))}=1"
    return ",".join(f"{name}={join_labels(labels)}" for name, labels in regions.items())


def _is_another_scan(store: Store, correction: Correction) -> bool:
    """Whether a case of a store is of other images than those that were corrected."""
    stored = store.stored(correction.case)
    if stored is None or not correction.scan:
        return False
    digests = {file.sha256 for file in stored.sources}
    return not digests >= {file.sha256 for file in correction.scan}
