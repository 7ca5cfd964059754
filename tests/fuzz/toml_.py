"""Settings files: right in form and wrong in content, and the other way round."""

from __future__ import annotations

from random import Random

from mriseg.core.config import AugmentConfig, TrainConfig, TransferConfig
from tests.fuzz.bytes_ import damaged
from tests.fuzz.json_ import CLIMBING

_NUMBERS = """true false nan inf -inf -1 0 1 7 0.5 1e400 1e-400 1_0 0x10 2**31 9223372036854775808
1979-05-27 07:32:00 [] {} [[]] [1,2,3] ['a','a'] [nan] {a=1} [160,192] [-32,32]"""
_VALUES = (
    *_NUMBERS.split(),
    '""',
    '"auto"',
    '"T1,FLAIR"',
    '"1h30m"',
    '"1e9h"',
    '"160x192"',
    '"9x9"',
    '"\\u0000"',
    '"\\ud800"',
    '"encoder:9"',
    f'"{"9" * 5000}"',
    f'"{"9" * 5000}h"',
    f'"{"9" * 5000}x32"',
    f'"bce*{"9" * 5000}"',
    f'"encoder:{"9" * 5000}"',
    "9" * 5000,
    '"' + "x" * 20_000 + '"',
    "[" * 5000 + "]" * 5000,
    "{a=" * 5000 + "1" + "}" * 5000,
    '["' + '","'.join("x" * 50 for _ in range(500)) + '"]',
    *(f'"{path}"' for path in CLIMBING),
)
_GOOD = """epochs = 3
modalities = ["T1", "FLAIR"]
regions = "WT,TC"
width = 16
loss = "bce+dice"
pos_weight = "auto"
size = "160x192"
learning_rate = 1e-3
[augment]
flip = 0.5
rotation = 20.0
[transfer]
transfer_part = "all"
freeze = "encoder:2"
"""
_TEXTS = (
    b"",
    b"[" * 60_000,
    b"a = " + b"[" * 60_000,
    b"a." * 30_000 + b"a = 1",
    b"[" + b"a." * 30_000 + b"a]",
    b"\xff\xfe",
    b"epochs = 1\nepochs = 2",
    b"[augment]\n[augment]",
    b"augment = 1",
    b"transfer = []",
    b'"" = 1',
    b'"a\\nb" = 1',
    b'"\\u001b[31m" = 1',
    b"epochs = 1\r",
    b"# " + b"x" * 3_000_000,
    b'!!python/object/apply:os.system ["touch planted"]',
)


def damaged_toml(rng: Random) -> bytes:
    """A settings file in which something is wrong, mostly."""
    way = rng.random()
    if way < 0.15:
        return rng.choice(_TEXTS)
    if way < 0.35:
        return damaged(rng, _GOOD.encode())
    lines = [_line(rng, TrainConfig) for _ in range(rng.choice((1, 1, 2, 4)))]
    for name, kind in (("augment", AugmentConfig), ("transfer", TransferConfig)):
        if rng.random() < 0.3:
            lines += [f"[{name}]", _line(rng, kind)]
    return "\n".join(lines).encode()


def _line(rng: Random, kind: type[TrainConfig | AugmentConfig | TransferConfig]) -> str:
    key = rng.choice([*kind.model_fields, "epoch", '"a b"', "seed.x"])
    return f"{key} = {rng.choice(_VALUES)}"
