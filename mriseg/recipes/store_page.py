"""The page of a local store, beside its ``report.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mriseg.core.data_set import DataCase, remarks
from mriseg.core.modalities import display_modality
from mriseg.core.task import Task
from mriseg.core.volume import SliceRef
from mriseg.errors import InputError
from mriseg.io.store import CaseAttributes, Store
from mriseg.recipes.about import Heard, about, software, without_folders
from mriseg.report import html
from mriseg.report.page import Page
from mriseg.report.pages.data import data_page
from mriseg.report.pictures import thumbnail


def write_page(store: Store, folder: Path, heard: Heard, unused: Mapping[str, str]) -> Path | None:
    """Write ``report.html`` into a local store.

    Args:
        store: which.
        folder: where it is.
        heard: what was said.
        unused: image-like file -> why it is in no case.

    Returns:
        Where the page is; None where the store has no case.

    Raises:
        OutputError: it cannot be written.
    """
    page = _page(store, heard, unused)
    if page is None:
        return None
    path = folder / html.FILE
    html.write(path, page)
    return path


def _page(store: Store, heard: Heard, unused: Mapping[str, str]) -> Page | None:
    stored = store.cases()
    if not stored:
        return None
    # A store is copied about, and does not know where its scans lie.
    noted = about(software(), heard=heard, unused=unused)
    cases = [_as_data(case) for case in stored.values()]

    def draw(name: str) -> bytes | None:
        try:
            return _drawn(store, stored[name])
        except InputError:  # the page is to judge the data by, and says where it has no picture
            return None

    return data_page(
        store.name,
        cases,
        remarks(cases),
        replace(noted, command=without_folders(noted.command)),
        regions=store.spec.regions,
        layout=store.spec.layout,
        thumbnail=draw,
    )


def _as_data(case: CaseAttributes) -> DataCase:
    geometry = case.geometry
    totals = tuple(sum(counts) for counts in zip(*case.foreground, strict=True))
    return DataCase(
        name=case.name,
        patient=case.patient,
        shape=geometry.canonical_shape,
        spacing=geometry.spacing,
        unit=geometry.unit,
        modalities=case.modalities,
        voxels=totals if case.labelled else None,
        content=case.content,
        fingerprint=tuple(sorted(case.fingerprint.items())),
    )


def _drawn(store: Store, case: CaseAttributes) -> bytes:
    """The slice with most of the mask, or the middle one."""
    depth, height, width = case.box.shape
    areas = [sum(counts) for counts in case.foreground]
    number = areas.index(max(areas)) if any(areas) else depth // 2
    task = Task((display_modality(case.modalities),), dict(store.spec.regions), (height, width))
    batch = store.read([SliceRef(case.name, number)], task)
    return thumbnail(batch.image[0, 0], batch.target[0], case.geometry.spacing[1:])
