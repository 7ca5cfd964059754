"""The count of operations is the arithmetic of VGG16's convolutions and their mirror's."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.core.cost import cost
from mriseg.core.segnet import SegNetConfig

# Written out, so that the network's tables are not compared with themselves.
ENCODER = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
DECODER = ((8, 8, 8), (8, 8, 4), (4, 4, 2), (2, 1), (1,))


def by_hand(config: SegNetConfig, batch: int, size: tuple[int, int]) -> list[int]:
    """Operations of each 3x3 convolution: two for each weight at each position of the output."""
    sizes = [(size[0] >> level, size[1] >> level) for level in range(5)]
    layers = list(zip([*ENCODER, *DECODER], [*sizes, *reversed(sizes)], strict=True))
    layers[-1] = ((*layers[-1][0], config.classes / config.width), size)
    operations, channels = [], config.in_channels
    for widths, (h, w) in layers:
        for width in widths:
            out = round(width * config.width)
            operations.append(2 * 9 * channels * out * h * w * batch)
            channels = out
    return operations


@settings(max_examples=12)
@given(
    width=st.sampled_from([8, 16, 24]),
    channels=st.integers(1, 4),
    classes=st.integers(1, 3),
    batch=st.integers(1, 12),
    size=st.tuples(st.integers(32, 300), st.integers(32, 300)),
)
def test_it_is_the_arithmetic(
    width: int, channels: int, classes: int, batch: int, size: tuple[int, int]
) -> None:
    config = SegNetConfig(in_channels=channels, classes=classes, width=width)
    layers = by_hand(config, batch, size)
    operations = cost(config, batch, size)
    assert len(layers) == 26
    assert operations.forward == sum(layers)
    # Each gradient costs what the layer does; the first layer's input needs none.
    assert operations.training == 3 * sum(layers) - layers[0]


def test_of_the_headline_batch() -> None:
    operations = cost(SegNetConfig(in_channels=3, classes=1, width=64), 10, (240, 240))
    assert round(operations.forward / 1e9) == 703 and round(operations.training / 1e9) == 2108
