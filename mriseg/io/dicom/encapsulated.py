"""Whether compressed pixels are whole: their pieces are walked through, and none is unpacked."""

from __future__ import annotations

from mriseg.errors import InputError, reason_of
from mriseg.io.dicom.headers import DicomHeader
from mriseg.io.disk.untrusted import open_regular

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


def check_pixels(header: DicomHeader) -> None:
    """Refuse a file whose compressed pixels are cut off.

    Those that are not compressed were counted when the header was read.

    Raises:
        InputError: they are cut off, or the file cannot be read.
    """
    if header.pixels:
        return
    path = header.path
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            # 12 bytes: the element of the pixels with a length that is left open.
            place = header.pixel_place + 12
            while True:
                file.seek(place)
                start = file.read(8)
                if start[:4] == _END and len(start) == 8:
                    return
                place += 8 + int.from_bytes(start[4:], "little")
                if start[:4] != _ITEM or place > size:
                    raise InputError(f"{path.name} is cut off within its compressed pixels")
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {reason_of(error)}") from error
