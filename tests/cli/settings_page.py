"""The tables of settings in docs/cli.md, made from the fields that declare the settings.

``python -m tests.cli.settings_page`` rewrites them in the page; test_settings.py compares.
"""

from __future__ import annotations

import re
from pathlib import Path

from mriseg.cli.settings import option_names, options_of
from mriseg.core.config import AugmentConfig, TrainConfig, TransferConfig
from mriseg.core.settings import Config, settings_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
_TABLE = re.compile(r"(?<=<!-- settings: )(\w+)( -->\n).*?(?=<!-- end of settings -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """``page`` with each table between its two comments made again."""
    return _TABLE.sub(lambda match: f"{match[1]}{match[2]}{_TABLES[match[1]]}", page)


def _options(kind: type[Config]) -> str:
    rows = []
    for name, (field, setting) in options_of(kind).items():
        first, *others = option_names(name, field)
        typed = " ".join(filter(None, (first, setting.metavar.replace("|", "\\|"))))
        cell = ", ".join(f"`{each}`" for each in (typed, *others))
        rows.append((cell, f"`{name}`", setting.text, setting.unit, setting.default_text(field)))
    return _table(("option", "key", "meaning", "unit", "default"), rows)


def _keys(kind: type[Config]) -> str:
    """The settings that are not options of the command line."""
    options = options_of(kind)
    return _table(
        ("key", "meaning", "unit", "default"),
        [
            (f"`{name}`", setting.text, setting.unit, setting.default_text(field))
            for name, (field, setting) in settings_of(kind).items()
            if name not in options
        ],
    )


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---",) * len(columns), *rows]
    # In a code span a bar is escaped as well: tables are cut before code is read.
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


_TABLES = {
    "train": _options(TrainConfig),
    "file": _keys(TrainConfig),
    "augment": _keys(AugmentConfig),
    "transfer": _options(TransferConfig),
}


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
