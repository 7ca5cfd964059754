"""Where a NIfTI file says that its voxels lie, field by field as the file has it.

A header may state two places (the sform and the qform), each with a code of the world that it leads
to, in a unit of its own. mriseg computes with one affine, `mriseg.core.volume.Geometry.affine`, but
other programs prefer another form, and so a mask repeats all that its scan states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

# The constraints hold where a value is read from a file; see `mriseg.io.disk.schemas`.
Number = Annotated[float, Field(allow_inf_nan=False)]
Row = tuple[Number, Number, Number, Number]
# NIfTI knows 0 to 5. Files from strangers have others, which programs take as "some world".
Code = Annotated[int, Field(ge=-(2**15), lt=2**15)]


@dataclass(frozen=True)
class SpatialHeader:
    """The fields of a NIfTI header that place its voxels, in the file's own unit.

    Attributes:
        version: of NIfTI, 1 or 2: NIfTI-2 states these numbers with twice the digits.
        sform: the rows ``srow_x``, ``srow_y`` and ``srow_z``.
        sform_code: which world the sform leads to; 0: the sform says nothing.
        quaternion: ``quatern_b``, ``quatern_c`` and ``quatern_d``, the qform's rotation.
        offset: ``qoffset_x``, ``qoffset_y`` and ``qoffset_z``.
        qform_code: which world the qform leads to; 0: the qform says nothing.
        pixdim: its first four numbers: the sign of the qform's third axis, and the voxel's size.
        unit: NIfTI's code: 0 unknown, 1 metre, 2 millimetre, 3 micrometre.
    """

    version: Literal[1, 2]
    sform: tuple[Row, Row, Row]
    sform_code: Code
    quaternion: tuple[Number, Number, Number]
    offset: tuple[Number, Number, Number]
    qform_code: Code
    pixdim: Row
    unit: Annotated[int, Field(ge=0, le=7)]

    @property
    def states_a_place(self) -> bool:
        """Whether either form counts."""
        return self.sform_code != 0 or self.qform_code != 0
