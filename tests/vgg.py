"""A VGG16-BN with random weights and torchvision's names, and a server for its file."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import torch
from torch import Tensor, nn

# Configuration D of Simonyan and Zisserman 2014 (arXiv 1409.1556); 0 is a max-pooling.
_LAYOUT = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


def vgg16_bn() -> nn.Module:
    """The convolutional part, under the name ``features``; PyTorch's own initial weights."""
    layers: list[nn.Module] = []
    channels = 3
    for width in _LAYOUT:
        if not width:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    vgg = nn.Module()
    vgg.features = nn.Sequential(*layers)
    return vgg


def vgg16_bn_state(seed: int = 0) -> dict[str, Tensor]:
    """Its state with random numbers that keep activations alive, and a bit of a classifier."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, tensor in vgg16_bn().state_dict().items():
        if not tensor.is_floating_point():
            state[name] = tensor + 7
        elif tensor.ndim == 4:
            deviation = (2 / tensor[0].numel()) ** 0.5
            state[name] = torch.randn(tensor.shape, generator=generator) * deviation
        else:
            # Variances must be positive, and gains and shifts differ from what they start as.
            state[name] = torch.rand(tensor.shape, generator=generator) * 0.5 + 0.5
    return state | {"classifier.6.bias": torch.zeros(1000)}


def named_by_hash(path: Path) -> Path:
    """``path`` renamed so that its name ends as a download that PyTorch checks must."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"{path.stem}-{digest[:8]}{path.suffix}"))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which ``folder`` is served, on this machine alone."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
