"""Damage to tables of cases: cells, columns and rows as no program writes them."""

from __future__ import annotations

from pathlib import Path
from random import Random

from mriseg.core.drafts import Row
from mriseg.core.patients import CaseName
from mriseg.io import readers
from mriseg.io.readers.table import write_table
from tests.fuzz.bytes_ import damaged

_CELLS = (
    *("", " ", "?", "?x", "a | b", "..", "../outside/secret.txt", "/etc/passwd", "/dev/zero", "~"),
    *("~nobody/x", "s3://bucket/x.nii", "\x00", "x" * 5000, '"', "\u202egz", "seg", "T1", "case"),
    *("tumour", "files", "1e999", "-", "=1+1", "[bold]"),
)


def written_table(folder: Path) -> Path:
    """A table of the cases in a folder."""
    _, listing = readers.find(folder)
    rows = [
        Row(
            CaseName(case.name, case.patient, case.visit),
            {role: paths[0] for role, paths in case.sources.items()},
        )
        for case in listing.cases
    ]
    write_table(folder / "cases.csv", rows, [], listing.numbering)
    return folder / "cases.csv"


def damaged_table(rng: Random, data: bytes) -> bytes:
    """The table with a cell, a column, a row or some bytes changed."""
    if rng.random() < 0.3:
        return damaged(rng, data)
    lines = [line.split(",") for line in data.decode().splitlines()]
    for _ in range(rng.choice((1, 1, 2))):
        row = rng.choice(lines)
        way = rng.random()
        if way < 0.6:
            row[rng.randrange(len(row))] = rng.choice(_CELLS)
        elif way < 0.7:
            row.append(rng.choice(_CELLS))
        elif way < 0.8:
            del row[rng.randrange(len(row)) :]
        elif way < 0.9:
            lines.append(list(row))
        else:
            rng.shuffle(row)
        lines = [line for line in lines if line] or [[""]]
    separator = rng.choice((",", ",", ",", ";", "\t"))
    return "\n".join(separator.join(row) for row in lines).encode("utf-8", "surrogateescape")
