"""The cases of a store as people see them: sizes, spacings and volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mriseg.core import heads
from mriseg.core.heads import Head
from mriseg.core.regions import Regions, described
from mriseg.core.volume import volume_unit
from mriseg.core.wording import counted
from mriseg.io.location import Location
from mriseg.io.store.attributes import CaseAttributes, StoreSpec
from mriseg.overview.values import PAGE, Column, Overview


@dataclass(frozen=True)
class StoredCase:
    """A case of a store.

    Attributes:
        name: the case's.
        patient: whose scan it is.
        modalities: those it has.
        labelled: whether it has a segmentation.
        size: voxels of the whole scan along x, y and z (to the left, the back and the head).
        spacing: of its voxels along them, in ``unit``.
        unit: "mm", or "px" where the scan states no voxel size.
        voxels: region -> how many voxels it has; empty if not labelled.
        volumes: region -> the same in mL, or in voxels where the scan states no voxel size.
        notices: what was accepted although it is unusual.
        head: what its scans show: "stripped", "whole" or "unclear".
    """

    name: str
    patient: str
    modalities: tuple[str, ...]
    labelled: bool
    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    unit: str
    voxels: dict[str, int]
    volumes: dict[str, float]
    notices: tuple[str, ...]
    head: Head


def stored_case(case: CaseAttributes, regions: Sequence[str]) -> StoredCase:
    """A case as people see it, from what the store keeps of it."""
    geometry = case.geometry
    voxels = {
        region: sum(row[column] for row in case.foreground)
        for column, region in enumerate(regions)
        if case.labelled
    }
    z, y, x = geometry.canonical_shape
    return StoredCase(
        name=case.name,
        patient=case.patient,
        modalities=case.modalities,
        labelled=case.labelled,
        size=(x, y, z),
        spacing=geometry.spacing[::-1],
        unit=geometry.unit,
        voxels=voxels,
        volumes={region: geometry.volume_of(count).value for region, count in voxels.items()},
        notices=case.notices,
        head=case.head,
    )


def store_overview(
    location: str, layout: str, regions: Regions, cases: Sequence[StoredCase]
) -> Overview:
    """What a store shows of itself.

    Args:
        location: where it is.
        layout: the reader that read its cases.
        regions: name -> labels.
        cases: all of them.
    """
    patients = len({case.patient for case in cases})
    labelled = sum(case.labelled for case in cases)
    units = " or ".join(dict.fromkeys(volume_unit(case.unit) for case in cases)) or "mL"
    place = Location.of(location)
    digits = 2 if "mL" in units else 0
    volumes = [Column(f"volume_{region}", f"{region} ({units})", digits) for region in regions]
    return Overview(
        title=f"store {location}: {counted(len(cases), 'case')} of "
        f"{counted(patients, 'patient')}, {labelled} labelled",
        facts=(
            ("layout", layout),
            ("regions", ", ".join(f"{name} ({described(of)})" for name, of in regions.items())),
            ("heads", heads.described(heads.counted_heads([case.head for case in cases]))),
        ),
        records=[_record(case) for case in cases],
        columns=(
            *(Column("case", "case"), Column("patient", "patient")),
            *(Column("modalities", "modalities"), Column("size", "size (x, y, z)")),
            *volumes,
        ),
        page=place.path / PAGE if place.is_local else None,
    )


def spec_overview(location: str, spec: StoreSpec, cases: Mapping[str, CaseAttributes]) -> Overview:
    """What an open store shows of itself, from what it keeps of its cases."""
    listed = [stored_case(case, tuple(spec.regions)) for case in cases.values()]
    return store_overview(location, spec.layout, spec.regions, listed)


def _record(case: StoredCase) -> dict[str, Any]:
    values = asdict(case)
    voxels, volumes = values.pop("voxels"), values.pop("volumes")
    return {
        "case": values.pop("name"),
        **values,
        **{f"voxels_{region}": count for region, count in voxels.items()},
        **{f"volume_{region}": value for region, value in volumes.items()},
    }
