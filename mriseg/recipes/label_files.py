"""The label files of a folder of masks, by which ITK-SNAP and 3D Slicer name and colour them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mriseg.core.label_tables import ITK_SNAP, SLICER, itk_snap_text, labels_of, slicer_text
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.disk.documents import first_bytes, write_text
from mriseg.io.predictions import FILE, Predictions
from mriseg.report.drawing import colour

_OURS = b"written by mriseg predict"


def write_label_files(
    record: Path, known: Predictions, regions: Mapping[str, tuple[int, ...]], digest: str
) -> Recipe[tuple[Path, ...]]:
    """Write both beside the record of masks, once for all of them.

    A file of that name that mriseg did not write stays as it is.

    Args:
        record: from `mriseg.io.predictions.record_path`.
        known: what it holds.
        regions: of the model whose labels they name.
        digest: of that model.

    Returns:
        Where they are; none where there is no mask.

    Raises:
        OutputError: they cannot be written.
    """
    if not known.masks:
        return ()
    labels = labels_of(regions, [colour(index)[1] for index in range(len(regions))])
    start, paths = record.name.removesuffix(FILE), []
    for name, text in ((ITK_SNAP, itk_snap_text(labels)), (SLICER, slicer_text(labels))):
        path = record.with_name(start + name)
        before = first_bytes(path, 256)
        if before is not None and _OURS not in before:
            yield Notice(f"{path} is there already, and mriseg did not write it: left as it is")
            continue
        write_text(path, text)
        yield Wrote(path, "labels")
        paths.append(path)
    others = sorted(
        {
            mask.model.path
            for mask in known.masks.values()
            if mask.model.digest != digest and [*mask.volumes] != [*regions]
        }
    )
    if others and paths:
        yield Notice(
            f"{ITK_SNAP} and {SLICER} name the labels of this model's masks; those of "
            f"{', '.join(others)} are of other regions"
        )
    return tuple(paths)
