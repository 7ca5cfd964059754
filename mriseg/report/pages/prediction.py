"""The page of a folder of masks: each case's picture, volumes, channels, and what to look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mriseg.core.label_tables import opening_lines
from mriseg.core.wording import counted
from mriseg.io import nifti
from mriseg.io.predictions import MaskRecord
from mriseg.report import methods
from mriseg.report.page import (
    About,
    Block,
    CaseEntry,
    Cell,
    Column,
    Facts,
    Flag,
    Items,
    Methods,
    Page,
    Picture,
    Section,
    Table,
    Viewer,
    Words,
    number,
)


@dataclass(frozen=True)
class ShownMask:
    """A mask on the page.

    Attributes:
        record: what made it.
        edited: whether the file was changed since, so that the volumes are no longer its own.
        picture: reads its picture; None where there is none.
        size: that its picture and volumes take in a page, in bytes.
        viewer: as in `mriseg.report.page.CaseEntry`.
        written: likewise.
    """

    record: MaskRecord
    edited: bool = False
    picture: Callable[[], bytes] | None = None
    size: int = 0
    viewer: Callable[[bool], Viewer | str] | None = None
    written: bool = False

    @property
    def empty(self) -> bool:
        """Whether no voxel is segmented."""
        return not any(self.record.volumes.values())

    @property
    def place(self) -> str:
        """Its name among the files of the page."""
        return nifti.stem(Path(self.record.mask))


def prediction_page(
    masks: Sequence[ShownMask], about: About, *, title: str, citing: Methods, start: str = ""
) -> Page:
    """The page of the masks in a folder, whenever they were made.

    Args:
        masks: at least one, those first that need a look.
        about: how the page came about.
        title: of the page.
        citing: the text to paste.
        start: what the names of the label files beside the masks begin with.
    """
    empty = sum(mask.empty for mask in masks)
    seen = sum(mask.record.trained_on for mask in masks)
    lacking = sum(bool(mask.record.missing) for mask in masks)
    tiles = (
        ("Masks", str(len(masks)), ""),
        ("Empty masks", str(empty), "look at these first" if empty else ""),
        ("Without a channel", str(lacking), "of those that the model reads" if lacking else ""),
        ("Trained on", str(seen), "say nothing of other scans" if seen else ""),
        ("Left out", str(len(about.skipped)), "see the notes" if about.skipped else ""),
    )
    lead = (
        f"Masks of {counted(len(masks), 'case')}, each on its scan's own grid. Where a "
        f"scan states its orientation, slices show the patient's right on the left. Cases that "
        f"need a look come first: empty masks, then the least certain."
    )
    entries = tuple(map(_entry, masks)) if any(mask.picture for mask in masks) else ()
    return Page(
        kind="Prediction",
        title=title,
        lead=lead,
        about=about,
        tiles=tiles,
        sections=(
            Section("Volumes", (_volumes(masks, linked=bool(entries)),)),
            _elsewhere(masks[0].record.mask, start),
        ),
        cases=entries,
        methods=citing,
    )


def _elsewhere(mask: str, start: str) -> Section:
    """How to open a scan and its mask in other programs."""
    lines = opening_lines(mask, start)
    words = (
        "In the folder of the masks, with the path of the scan (a NIfTI file) for SCAN; the label "
        "files beside the masks give the regions their names and colours."
    )
    return Section("In other programs", (Words((words,)), Facts(tuple(lines.items()))))


def citing_prediction(record: MaskRecord) -> Methods:
    """The text to paste for masks that were made like this one."""
    return methods.of_prediction(
        version=record.versions.get("mriseg", "?"),
        torch=record.versions.get("torch", "?"),
        model=record.model.path,
        digest=record.model.digest,
        modalities=record.settings.get("modalities") or record.modalities,
        regions=tuple(record.volumes),
        settings=record.settings,
    )


def _volumes(masks: Sequence[ShownMask], *, linked: bool) -> Table:
    regions = tuple(dict.fromkeys(name for mask in masks for name in mask.record.volumes))
    units = {mask.record.unit for mask in masks}
    several = len({mask.record.model.digest for mask in masks}) > 1
    unit = "" if len(units) > 1 else f", {_unit(units.pop())}"
    columns = (
        Column("case"),
        *(column for region in regions for column in _columns(region, unit)),
        Column("channels used"),
        *((Column("model"),) if several else ()),
        Column("remarks"),
    )
    rows = []
    for mask in masks:
        record = mask.record
        rows.append(
            (
                Cell(record.case, case=mask.place if linked else ""),
                *(cell for region in regions for cell in _cells(record, region)),
                Cell(", ".join(record.modalities)),
                *((Cell(record.model.path),) if several else ()),
                Cell("", flags=_flags(mask)),
            )
        )
    return Table("Volume of each region; a heading sorts", columns, tuple(rows))


def _columns(region: str, unit: str) -> tuple[Column, ...]:
    return (
        Column(f"{region}{unit}", numeric=True),
        Column(f"{region}, range{unit}"),
        Column(f"{region}, predicted Dice", numeric=True),
        Column(f"{region}, components", numeric=True),
    )


def _cells(record: MaskRecord, region: str) -> tuple[Cell, ...]:
    sure, volume = record.certainty.get(region), record.volumes.get(region)
    digits = 2 if record.unit == "mm" else 0
    if sure is None:
        return (number(volume, digits), Cell("-"), Cell("-"), Cell("-"))
    return (
        number(volume, digits),
        Cell(_range(record, region) or "-"),
        number(sure.dice, 2),
        number(sure.components, 0),
    )


def _range(record: MaskRecord, region: str) -> str:
    """The range of a region's volume, in words; empty where it is not calibrated."""
    sure = record.certainty.get(region)
    if sure is None or sure.covers is None:
        return ""
    digits = 2 if record.unit == "mm" else 0
    return f"{sure.volume_low:,.{digits}f} to {sure.volume_high:,.{digits}f}"


def _unit(unit: str) -> str:
    return "mL" if unit == "mm" else "voxels"


def _flags(mask: ShownMask) -> tuple[Flag, ...]:
    record = mask.record
    flags = []
    if mask.empty:
        flags.append(Flag("empty mask", "warn"))
    if record.missing:
        flags.append(Flag(f"without {', '.join(record.missing)}", "warn"))
    if record.trained_on:
        flags.append(Flag("trained on it", "warn"))
    if mask.edited:
        flags.append(Flag("edited since", "warn"))
    known = {flag.text for flag in flags}
    return (*flags, *(Flag(text, "warn") for text in record.flags if text not in known))


def _entry(mask: ShownMask) -> CaseEntry:
    return CaseEntry(
        name=mask.record.case,
        place=mask.place,
        size=mask.size,
        flags=_flags(mask),
        blocks=partial(_blocks, mask),
        viewer=mask.viewer,
        written=mask.written,
    )


def _blocks(mask: ShownMask) -> tuple[Block, ...]:
    record = mask.record
    unit, digits = _unit(record.unit), 2 if record.unit == "mm" else 0
    each = (f"{name} {value:,.{digits}f} {unit}" for name, value in record.volumes.items())
    volumes = ", ".join(each)
    rows = [("volume", volumes), *_sure(record), ("channels used", ", ".join(record.modalities))]
    if record.missing:
        rows.append(("the scan lacks", ", ".join(record.missing)))
    if record.unused:
        rows.append(("not used", ", ".join(record.unused)))
    if record.session is not None and record.session.summary:
        rows.append(("prepared", record.session.summary))
    rows += [("mask", record.mask), ("model", record.model.path)]
    blocks: list[Block] = []
    if mask.picture is not None:
        alt = f"Slices of {record.case} with the mask in colour. {volumes}."
        blocks.append(Picture(mask.picture(), alt))
    if mask.edited:
        words = "The mask was edited since: picture and volumes are those of the mask as predicted."
        blocks.append(Words((words,)))
    blocks.append(Facts(tuple(rows)))
    if record.notices:
        blocks.append(Items(record.notices, "notice"))
    return tuple(blocks)


def _sure(record: MaskRecord) -> list[tuple[str, str]]:
    """What is known of how sure a mask is, in words."""
    rows = []
    for region, sure in record.certainty.items():
        if (span := _range(record, region)) and sure.covers is not None:
            share = f"for about {sure.covers * 10:.0f} in 10 patients"
            rows.append((f"range of {region}", f"{span} {_unit(record.unit)} {share}"))
        if sure.dice is not None:
            rows.append((f"predicted Dice of {region}", f"{sure.dice:.2f}"))
        rows.append((f"components of {region}", str(sure.components)))
    return rows
