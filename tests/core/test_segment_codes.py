from __future__ import annotations

import pytest
from pydicom.sr.codedict import codes

from mriseg.core.segment_codes import BRAIN, segment_code


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        ("WT", codes.SCT.Neoplasm),
        ("TC", codes.SCT.Neoplasm),
        ("whole tumor", codes.SCT.Neoplasm),
        ("ET", codes.NCIt.EnhancingLesion),
        ("non-enhancing tumor", codes.NCIt.NonEnhancingLesion),
        ("oedema", codes.SCT.Edema),
        ("peritumoral_edema", codes.SCT.Edema),
        ("necrosis", codes.SCT.Necrosis),
        ("lesion", codes.SCT.Lesion),
        ("hippocampus", codes.SCT.Tissue),
        ("label1", codes.SCT.Tissue),
        ("foreground", codes.SCT.Tissue),
    ],
)
def test_regions_have_the_codes_of_the_standard(region: str, kind: object) -> None:
    code = segment_code(region)
    assert code.kind == (kind.value, kind.scheme_designator, kind.meaning)  # type: ignore[attr-defined]
    abnormal = codes.SCT.MorphologicallyAbnormalStructure
    expected = abnormal if code.is_lesion else codes.SCT.Tissue
    assert code.category == (expected.value, "SCT", expected.meaning)


def test_brain_is_the_brain() -> None:
    assert BRAIN.value == codes.SCT.Brain.value
