"""DICOM in: headers by pydicom, voxels by dcm2niix; both come with ``pip install "mriseg[dicom]"``.

`headers`
    what a file is, and what its header says.
`conversion`
    the voxels of a series, checked before and after.
`extra`
    the libraries, or a message that names them.

Nothing of a header but geometry leaves this package for a store.
"""

from __future__ import annotations
