"""Damage to zip files that still are zip files."""

from __future__ import annotations

import io
import zipfile
from random import Random

from tests.fuzz.bytes_ import damaged
from tests.fuzz.json_ import damaged_text


def damaged_zip(rng: Random, data: bytes) -> bytes:
    """The records again, one of them damaged, left out, doubled, climbing or a bomb."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source:
        records = {item.filename: source.read(item) for item in source.infolist()}
    name = rng.choice([*records, *(key for key in records if key.endswith("json"))])
    content = records[name]
    way = rng.randrange(6)
    if way == 0:
        del records[name]
    elif way == 1:
        records[f"../../../outside/{name}"] = records.pop(name)
    elif way == 2:
        records[name] = bytes(48_000_000)
    else:
        records[name] = (damaged_text if name.endswith("json") else damaged)(rng, content)
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(buffer, "w", kind) as target:
        for key, value in records.items():
            target.writestr(key, value)
        target.comment = rng.choice((b"", b'{"digest": "' + b"0" * 64 + b'"}', b"x" * 60_000))
    return buffer.getvalue()
