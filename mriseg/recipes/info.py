"""What a store holds; and which of mriseg's things lies at a location.

These answer at once, so they are plain functions and yield no events; and a store's without torch,
which takes longer to load than to read all that a store says of its cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mriseg.core.regions import Regions
from mriseg.errors import InputError
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.store import Store, open_store
from mriseg.io.store.listing import StoredCase, store_overview, stored_case
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview

if TYPE_CHECKING:
    from mriseg.recipes.info_runs import RunInfo, RunsInfo

__all__ = ["StoreInfo", "StoredCase", "holds", "store_info"]


@dataclass(frozen=True, repr=False)
class StoreInfo(Shown):
    """What a store holds.

    Attributes:
        location: where it is.
        layout: the reader that found its cases.
        regions: name -> label values.
        labels: label value -> name, where known.
        cases: how many are complete in it.
        patients: how many they are of.
        labelled: how many cases have a segmentation.
        slices: of all cases together.
        modalities: name -> how many cases have it.
        foreground: region -> how many slices hold a voxel of it.
        listed: the cases, by name.
    """

    location: str
    layout: str
    regions: Regions
    labels: dict[int, str]
    cases: int
    patients: int
    labelled: int
    slices: int
    modalities: dict[str, int]
    foreground: dict[str, int]
    listed: tuple[StoredCase, ...]

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return store_overview(self.location, self.layout, self.regions, self.listed)


def holds(location: str | Path | Location) -> StoreInfo | RunInfo | RunsInfo:
    """What the store, the run or the folder of runs at ``location`` holds.

    Args:
        location: a path, the name of a shipped model, or the URL of a store.

    Raises:
        InputError: it is none of them, or of a format that this version cannot read.
        ConfigError: it looks like a URL that lost a slash.
    """
    kind = what_is(location)
    if kind is Kind.STORE:
        return store_info(open_store(location))
    if kind is Kind.NOTHING:
        raise InputError(
            f"{location} does not exist; give a store, a run or a folder of runs, or nothing"
        )
    from mriseg.io.runs import open_run  # late: it loads torch
    from mriseg.recipes.info_runs import run_info, runs_info

    if kind is Kind.RUN:
        return run_info(open_run(location if isinstance(location, str) else Path(str(location))))
    if kind is Kind.RUNS:
        return runs_info(Location.of(location).path)
    raise InputError(
        f"{location} is neither a store (zarr.json) nor a run (run.json), nor a folder of runs"
    )


def store_info(store: Store) -> StoreInfo:
    """What a store says of itself and of its cases.

    Raises:
        StoreError: it cannot be read.
    """
    index = store.index()
    regions = tuple(store.spec.regions)
    listed = tuple(stored_case(case, regions) for case in store.cases().values())
    return StoreInfo(
        location=store.location,
        layout=store.spec.layout,
        regions=dict(store.spec.regions),
        labels=dict(store.spec.labels),
        cases=len(listed),
        patients=len({case.patient for case in listed}),
        labelled=sum(case.labelled for case in listed),
        slices=sum(case.shape[0] for case in index.cases),
        modalities={
            name: sum(name in case.modalities for case in listed) for name in index.modalities
        },
        foreground={
            region: sum(int((case.foreground[:, column] > 0).sum()) for case in index.cases)
            for column, region in enumerate(regions)
        },
        listed=listed,
    )
