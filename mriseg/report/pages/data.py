"""The page of a store, to judge a data set by before a network learns from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mriseg.core.data_set import DataCase
from mriseg.core.regions import Regions, described
from mriseg.core.wording import counted
from mriseg.report import methods
from mriseg.report.page import (
    About,
    Block,
    Card,
    Cards,
    Cell,
    Column,
    Facts,
    Flag,
    Items,
    Page,
    Picture,
    Section,
    Table,
    Words,
    number,
)

# Pictures on the page; a sheet of more is slow to open and no longer looked at.
MOST_PICTURES = 300
# Rows of its table; a browser takes seconds to sort more.
MOST_ROWS = 2000


def data_page(
    name: str,
    cases: Sequence[DataCase],
    remarks: Mapping[str, Sequence[str]],
    about: About,
    *,
    regions: Regions,
    layout: str,
    thumbnail: Callable[[str], bytes | None],
) -> Page:
    """The page of a store's cases.

    Args:
        name: of the store.
        cases: at least one, by name.
        remarks: what stands out, from `mriseg.core.data_set.remarks`.
        about: how the page came about.
        regions: of the store.
        layout: of the scans.
        thumbnail: the picture of a case; None where it cannot be drawn.
    """
    labelled = sum(case.voxels is not None for case in cases)
    patients = len({case.patient for case in cases})
    tiles = (
        ("Cases", str(len(cases)), f"of {counted(patients, 'patient')}"),
        ("With a segmentation", str(labelled), ""),
        ("To look at", str(len(remarks)), "they differ from the others" if remarks else ""),
        ("Left out", str(len(about.skipped)), "see the notes" if about.skipped else ""),
        ("Files not used", str(len(about.unused)), "see the notes" if about.unused else ""),
    )
    sections = [Section("What stands out", _outstanding(remarks))]
    sections.append(Section("The cases, a slice each", _sheet(cases, remarks, thumbnail)))
    sections.append(Section("Table of cases", _tabled(cases, remarks, regions)))
    labels = tuple((region, described(values)) for region, values in regions.items())
    sections.append(Section("Regions", (Facts((*labels, ("layout", layout))),)))
    return Page(
        kind="Data set",
        title=name,
        lead=(
            "What preprocessing stored: of each case the slice with most of its mask, its size, "
            "spacing and channels. Look for masks beside their lesion, and for scans unlike the "
            "others."
        ),
        about=about,
        tiles=tiles,
        sections=tuple(sections),
        methods=methods.of_data(version=about.versions.get("mriseg", "?"), layout=layout),
    )


def _outstanding(remarks: Mapping[str, Sequence[str]]) -> tuple[Block, ...]:
    if not remarks:
        words = (
            "No case differs from the others in size, spacing, channels or segmentation, and none "
            "looks like a copy of another."
        )
        return (Words((words,)),)
    rows = tuple(f"{name}: {'; '.join(texts)}" for name, texts in remarks.items())
    if len(rows) <= MOST_ROWS:
        return (Items(rows, "case"),)
    words = f"The first {MOST_ROWS} of {len(rows)} cases that stand out."
    return (Words((words,)), Items(rows[:MOST_ROWS], "case"))


def _sheet(
    cases: Sequence[DataCase],
    remarks: Mapping[str, Sequence[str]],
    thumbnail: Callable[[str], bytes | None],
) -> tuple[Block, ...]:
    shown = _chosen(cases, remarks, MOST_PICTURES)
    cards = []
    for case in shown:
        data = thumbnail(case.name)
        masked = "with its mask in colour" if case.voxels is not None else "without a mask"
        picture = Picture(data, f"A slice of {case.name} {masked}.") if data else None
        texts = remarks.get(case.name, ())
        lines = (f"{_size(case)} voxels", _spacing(case), ", ".join(case.modalities))
        cards.append(Card(case.name, picture, lines, tuple(Flag(text, "warn") for text in texts)))
    blocks: list[Block] = [Cards(tuple(cards))]
    if len(shown) < len(cases):
        words = (
            f"{len(shown)} of {len(cases)} cases: those that stand out, and others evenly chosen."
        )
        blocks.insert(0, Words((words,)))
    return tuple(blocks)


def _chosen(
    cases: Sequence[DataCase], remarks: Mapping[str, Sequence[str]], most: int
) -> Sequence[DataCase]:
    if len(cases) <= most:
        return cases
    outstanding = [case for case in cases if case.name in remarks][:most]
    rest = [case for case in cases if case.name not in remarks]
    room = most - len(outstanding)
    picks = {round(number * (len(rest) - 1) / max(room - 1, 1)) for number in range(room)}
    names = {case.name for case in outstanding} | {rest[pick].name for pick in picks}
    return [case for case in cases if case.name in names]


def _tabled(
    cases: Sequence[DataCase], remarks: Mapping[str, Sequence[str]], regions: Regions
) -> tuple[Block, ...]:
    """The table of all cases, or of as many as a page can hold; then it says so."""
    shown = _chosen(cases, remarks, MOST_ROWS)
    table = _table(shown, remarks, regions)
    if len(shown) == len(cases):
        return (table,)
    words = (
        f"{len(shown)} of {len(cases)} cases: those that stand out, and others evenly chosen. "
        f"All of them: mriseg info --json FILE."
    )
    return (Words((words,)), table)


def _table(
    cases: Sequence[DataCase], remarks: Mapping[str, Sequence[str]], regions: Regions
) -> Table:
    sized = any(case.unit == "mm" for case in cases)
    volume = "mL" if all(case.unit == "mm" for case in cases) else "mL or voxels"
    columns = (
        Column("case"),
        Column("patient"),
        Column("slices", numeric=True),
        Column("rows", numeric=True),
        Column("columns", numeric=True),
        *(Column(name, numeric=True) for name in (("between slices", "pixel") if sized else ())),
        Column("channels"),
        *(Column(f"{region}, {volume if sized else 'voxels'}", numeric=True) for region in regions),
        Column("remarks"),
    )
    rows = []
    for case in cases:
        z, y, x = case.shape
        known, sides = case.unit == "mm", (case.spacing[0], max(case.spacing[1:]))
        volumes = case.voxels or (None,) * len(regions)
        each = case.spacing[0] * case.spacing[1] * case.spacing[2] / 1000 if known else 1.0
        rows.append(
            (
                Cell(case.name),
                Cell(case.patient),
                number(z, 0),
                number(y, 0),
                number(x, 0),
                *(number(side if known else None, 2) for side in (sides if sized else ())),
                Cell(", ".join(case.modalities)),
                *(
                    number(None if count is None else count * each, 2 if known else 0)
                    for count in volumes
                ),
                Cell("", flags=tuple(Flag(text, "warn") for text in remarks.get(case.name, ()))),
            )
        )
    return Table("Sizes in voxels, spacings in mm; a heading sorts", columns, tuple(rows))


def _size(case: DataCase) -> str:
    return " x ".join(map(str, case.shape))


def _spacing(case: DataCase) -> str:
    if case.unit != "mm":
        return "no voxel size stated"
    return f"{' x '.join(f'{side:.3g}' for side in case.spacing)} mm"
