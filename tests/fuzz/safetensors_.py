"""Damage to safetensors that knows its header (https://huggingface.co/docs/safetensors)."""

from __future__ import annotations

import json
import struct
from random import Random

from tests.fuzz.bytes_ import EDGES, damaged
from tests.fuzz.json_ import blank, damaged_text, damaged_values, resealed, text


def damaged_safetensors(rng: Random, data: bytes) -> bytes:
    """The header, the state that mriseg keeps in it, or any byte."""
    way = rng.random()
    if way < 0.25:
        return damaged(rng, data)
    size = struct.unpack("<Q", data[:8])[0]
    header, rest = json.loads(data[8 : 8 + size]), data[8 + size :]
    state = header.get("__metadata__", {}).get("state")
    if state is not None:
        header["__metadata__"]["state"] = json.dumps(blank(json.loads(state)))
    if way < 0.35:
        return struct.pack("<Q", rng.choice(EDGES)) + data[8:]
    if way < 0.75 and "__metadata__" in header:
        state = damaged_text(rng, header["__metadata__"]["state"].encode())
        header["__metadata__"]["state"] = state.decode("utf-8", "replace")
        written = json.dumps(header).encode()
    elif way < 0.85:
        names = [name for name in header if name != "__metadata__"]
        one, other = rng.choice(names), rng.choice(names)
        header[one], header[other] = header[other], header[one]
        written = json.dumps(header).encode()
    elif way < 0.9:
        rest = rng.randbytes(len(rest))  # NaN and infinity among them
        written = json.dumps(header).encode()
    else:
        written = text(damaged_values(rng, header))
    return resealed(struct.pack("<Q", len(written)) + written + rest)
