"""Contenders that take turns, and their ratios as a table and as JSON."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from mriseg.backends import Backend
from mriseg.cli.render import messages, results, say
from mriseg.engine.timing import Timing
from mriseg.io.disk.documents import write_json
from mriseg.recipes.info_machine import MachineInfo, machine

Contender = Callable[[], float]
"""Does its work once and gives the seconds that it took."""

FORMAT = "mriseg-benchmark"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Row:
    """A contender's result.

    Attributes:
        name: of the contender.
        seconds: that it took.
        ratio: its time over the base's, round by round: above 1 it is slower.
    """

    name: str
    seconds: Timing
    ratio: Timing


@dataclass(frozen=True)
class Group:
    """Contenders that did the same work in turn.

    Attributes:
        what: the work.
        base: the contender that the others are compared with.
        rows: in the order in which they ran.
    """

    what: str
    base: str
    rows: tuple[Row, ...]

    def __getitem__(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)


@dataclass(frozen=True)
class Comparison:
    """What a script found.

    Attributes:
        script: its name.
        date: local time, ISO 8601.
        machine: what it ran on, the backend among it.
        settings: the options it was given.
        groups: timed in turn.
        numbers: what else was measured: text -> number or text.
        details: what only the JSON holds.
    """

    script: str
    date: str
    machine: MachineInfo
    settings: Mapping[str, Any]
    groups: tuple[Group, ...]
    numbers: Mapping[str, Any]
    details: Mapping[str, Any]


def seconds_of(
    action: Callable[[], object],
    pieces: int = 1,
    *,
    now: Callable[[], float] = time.perf_counter,
) -> Contender:
    """A contender that calls ``action``; the seconds are of one of its ``pieces``.

    ``now`` is ``time.process_time`` where what else the machine does must not count.
    """

    def contender() -> float:
        began = now()
        action()
        return (now() - began) / pieces

    return contender


def interleaved(
    what: str, contenders: Mapping[str, Contender], *, base: str, rounds: int, warm: bool = True
) -> Group:
    """Each contender once a round, so that what else the machine does meets all of them.

    Args:
        what: the work.
        contenders: by name.
        base: the one that the others are compared with.
        rounds: that count.
        warm: begin with a round that does not.
    """
    tell = messages()
    timings: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-int(warm), rounds):
        for name, contender in contenders.items():
            seconds = contender()
            if number >= 0:
                timings[name].append(seconds)
            say(tell, f"{what}, {name}: {seconds:.4g} s{'' if number >= 0 else ' (warming up)'}")
    rows = []
    for name, all_seconds in timings.items():
        ratios = [mine / its for mine, its in zip(all_seconds, timings[base], strict=True)]
        rows.append(Row(name, Timing.of(all_seconds), Timing.of(ratios)))
    return Group(what, base, tuple(rows))


def parser_of(text: str | None, *, rounds: int | None = None) -> argparse.ArgumentParser:
    """A parser with the options that scripts share; ``rounds`` is a default."""
    parser = argparse.ArgumentParser(description=(text or "").split("\n")[0])
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here too")
    return parser


def finish(
    script: str,
    backend: Backend,
    options: argparse.Namespace,
    groups: Sequence[Group],
    numbers: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> Comparison:
    """Show what was found, and write it if that was asked for."""
    comparison = Comparison(
        script=script,
        date=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=machine(backend),
        settings=vars(options),
        groups=tuple(groups),
        numbers=dict(numbers or {}),
        details=dict(details or {}),
    )
    _show(comparison)
    if options.json is not None:
        # A report as its fields; what it is and of which version comes first.
        data = {"format": FORMAT, "version": FORMAT_VERSION, **comparison.__dict__}
        write_json(options.json, data)
    return comparison


def _show(comparison: Comparison) -> None:
    console = results()
    chosen = comparison.machine.chosen
    say(
        console,
        f"{comparison.script}: {chosen['device name']}, {comparison.machine.cores} cores, "
        f"{comparison.date}",
    )
    for group in comparison.groups:
        table = Table(title=group.what, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for name in ("median", "range", f"times that of {group.base}", "range"):
            table.add_column(name, justify="right")
        for row in group.rows:
            table.add_row(row.name, *_spread(row.seconds, " s"), *_spread(row.ratio, ""))
        console.print(table)
    for name, value in comparison.numbers.items():
        say(console, f"{name}: {_short(value) if isinstance(value, float) else value}")


def _spread(timing: Timing, unit: str) -> tuple[str, str]:
    low, high = _short(timing.low), _short(timing.high)
    return f"{_short(timing.median)}{unit}", f"{low} to {high}{unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
