"""An overview as HTML for a notebook, and as text for a terminal.

The HTML brings no style of its own beyond alignment, so that it looks as the notebook does, light
or dark; and no script. Text from files (names, reasons) is escaped, and what does not print is
written out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from mriseg.core.wording import visible
from mriseg.overview.values import Column, Overview, cell, is_number

# Rows of a table that are shown; all are in the records.
HTML_ROWS, TEXT_ROWS = 20, 10

_LEFT, _RIGHT = "text-align:left", "text-align:right"


def as_html(overview: Overview) -> str:
    """The overview as a piece of HTML."""
    parts = [f"<p><strong>{_safe(overview.title)}</strong></p>"]
    facts = [(term, value) for term, value in overview.facts if value]
    if facts:
        rows = (
            f'<tr><th style="{_LEFT}">{_safe(term)}</th>'
            f'<td style="{_LEFT}">{_safe(value)}</td></tr>'
            for term, value in facts
        )
        parts.append(f"<table><tbody>{''.join(rows)}</tbody></table>")
    if overview.columns and overview.records:
        parts.append(_table(overview))
    parts += [f"<p>{_safe(text)}</p>" for text in _closing(overview, HTML_ROWS)]
    return f"<div>{''.join(parts)}</div>"


def as_text(overview: Overview) -> str:
    """The overview as lines of text."""
    lines = [overview.title]
    facts = [(term, value) for term, value in overview.facts if value]
    width = max((len(term) for term, _ in facts), default=0)
    lines += [f"  {term:<{width}}  {value}" for term, value in facts]
    if overview.columns and overview.records:
        lines += _aligned(overview)
    return visible("\n".join([*lines, *_closing(overview, TEXT_ROWS)]))


def _closing(overview: Overview, rows: int) -> list[str]:
    """What stands below the table."""
    more = len(overview.records) - rows
    hidden = f"and {more} more: to_pandas() has all" if overview.columns and more > 0 else ""
    page = f"page: {overview.page}" if overview.page else ""
    return [*filter(None, [hidden, *overview.notes, page])]


def _table(overview: Overview) -> str:
    cells, numeric = _cells(overview, HTML_ROWS)
    align = [_RIGHT if number else _LEFT for number in numeric]
    headings = _row("th", [column.heading for column in overview.columns], align)
    rows = "".join(_row("td", row, align) for row in cells)
    return f"<table><thead>{headings}</thead><tbody>{rows}</tbody></table>"


def _row(tag: str, texts: Sequence[str], align: Sequence[str]) -> str:
    cells = (
        f'<{tag} style="{style}">{_safe(text)}</{tag}>'
        for text, style in zip(texts, align, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _aligned(overview: Overview) -> list[str]:
    cells, numeric = _cells(overview, TEXT_ROWS)
    headings = [column.heading for column in overview.columns]
    # Made visible before they are aligned: what is written out is longer.
    rows = [[visible(text).replace("\n", " ") for text in row] for row in [headings, *cells]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides: list[Callable[[str, int], str]] = [str.rjust if each else str.ljust for each in numeric]
    lines = (
        "  ".join(side(text, width) for side, text, width in zip(sides, row, widths, strict=True))
        for row in rows
    )
    return [f"  {line}".rstrip() for line in lines]


def _cells(overview: Overview, rows: int) -> tuple[list[list[str]], list[bool]]:
    """The first rows as text, and which columns hold numbers."""
    columns: Sequence[Column] = overview.columns
    cells = [
        [cell(record.get(column.key), column.digits) for column in columns]
        for record in overview.records[:rows]
    ]
    numeric = [all(is_number(record.get(c.key)) for record in overview.records) for c in columns]
    return cells, numeric


def _safe(text: str) -> str:
    return escape(visible(text))
