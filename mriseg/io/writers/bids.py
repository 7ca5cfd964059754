"""Masks as a BIDS derivative: a label map, a mask per region, probabilities, and their sidecars.

https://bids-specification.readthedocs.io/en/v1.11.0/derivatives/imaging.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mriseg.core.bids_labels import lookup_text
from mriseg.core.bids_output import IMAGE, MAP, MASK, PROBABILITIES, SIDECAR, TABLE, BidsForm
from mriseg.core.label_tables import labels_of
from mriseg.core.segment_codes import segment_code
from mriseg.io import nifti
from mriseg.io.disk.documents import write_json, write_text
from mriseg.io.writers.base import Output

_ABOUT = {
    MAP: "Label map of {} regions, predicted by mriseg; not for clinical use.",
    MASK: "Mask of {}, predicted by mriseg; not for clinical use.",
    PROBABILITIES: "Probability of {}, predicted by mriseg; not for clinical use.",
}


class BidsWriter:
    """A label map, and beside it what belongs to it by `mriseg.core.bids_output`."""

    suffix = IMAGE

    def write(self, output: Output, path: Path) -> None:
        """See `mriseg.io.writers.base.Writer.write`; ``output.bids`` says how files refer."""
        form, stem = output.bids, nifti.stem(path)
        assert form is not None, "what is written in BIDS has its form"
        nifti.write(path, output.labels, output.geometry)
        write_text(path.with_name(stem + TABLE), _table(form.regions, output))
        facts = _facts(output) | {"Manual": False}
        facts["regions"] = {"Description": "Regions of the model that the label is in"}
        about = _ABOUT[MAP].format(len(form.regions))
        write_json(path.with_name(stem + SIDECAR), {"Description": about, **facts})
        for region, mask in output.masks.items():
            kind = "Lesion" if segment_code(region).is_lesion else "ROI"
            self._region(output, path, region, (MASK, mask.astype(np.uint8)), {"Type": kind})
        for region, values in output.probabilities.items():
            self._region(output, path, region, (PROBABILITIES, values.astype(np.float32)), {})

    def _region(
        self,
        output: Output,
        path: Path,
        region: str,
        content: tuple[str, Any],
        more: Mapping[str, str],
    ) -> None:
        """Write one region's file and its sidecar."""
        assert output.bids is not None
        suffix, array = content
        stem = output.bids.of_region(nifti.stem(path), region, suffix)
        nifti.write(path.with_name(stem + IMAGE), array, output.geometry)
        about = {"Description": _ABOUT[suffix].format(region), **_facts(output), **more}
        write_json(path.with_name(stem + SIDECAR), about)


WRITER = BidsWriter()


def _table(regions: Mapping[str, tuple[int, ...]], output: Output) -> str:
    labels = labels_of(regions, [output.colours[region] for region in regions])
    alone = len(regions) == 1
    inside = {
        label.value: [name for name, values in regions.items() if alone or label.value in values]
        for label in labels
    }
    return lookup_text(labels, inside)


def _facts(output: Output) -> dict[str, Any]:
    """What the sidecars of all files state."""
    form: BidsForm | None = output.bids
    assert form is not None
    facts: dict[str, Any] = {
        "Model": output.made_by.model,
        "ModelDigest": output.made_by.digest,
        "SoftwareVersion": output.made_by.version,
    }
    sources = [uri for files in output.series.values() for uri in _uris(form, files)]
    if sources:
        facts["Sources"] = list(dict.fromkeys(sources))
        facts["SpatialReference"] = _uris(form, output.reference)[0]
    return facts


def _uris(form: BidsForm, files: Iterable[Path]) -> tuple[str, ...]:
    return form.uris([path.absolute() for path in files])
