"""Encoder weights from a file, or from PyTorch's server."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mriseg.errors import InputError, reason_of
from mriseg.io.location import local_path

IMAGENET_URL = "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth"
"""torchvision's VGG16-BN, trained on ImageNet (top-1 73.4 %); its name ends in its own SHA-256."""

# Characters of a library's message.
_MAX_QUOTED = 300


def load_encoder_weights(
    source: str | Path, *, url: str = IMAGENET_URL, cache: Path | None = None
) -> dict[str, Tensor]:
    """The state dict of a VGG16-BN, for `mriseg.core.pretrained.encoder_from_vgg16_bn`.

    Args:
        source: "imagenet", or a ``.pth`` or ``.safetensors`` file.
        url: where "imagenet" is downloaded from; the file's name must end in ``-`` and the
            beginning of its SHA-256, which is checked.
        cache: the folder that keeps the download; torch.hub's by default.

    Raises:
        InputError: the file cannot be read, the download failed, or it is not a state dict.
    """
    if str(source) == "imagenet":
        return _state(_download(url, cache), url)
    path = local_path(source, "a file of encoder weights")
    if not path.is_file():
        raise InputError(
            f"there are no encoder weights at {path}; give a .pth or .safetensors file of "
            f"VGG16-BN, or imagenet to download torchvision's"
        )
    return _state(_read(path), str(path))


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        _check_archive(path)
        with warnings.catch_warnings(action="ignore"):  # about TorchScript, which is then refused
            # weights_only: a pickle can run any code, and this one comes from elsewhere.
            return torch.load(path, map_location="cpu", weights_only=True)
    # A damaged pickle raises errors of all kinds (KeyError, struct.error, AssertionError).
    except Exception as error:
        raise InputError(
            f"the encoder weights in {path} cannot be read ({reason_of(error)[:_MAX_QUOTED]}); "
            f"expected a state dict saved by torch.save (.pth) or safetensors (.safetensors)"
        ) from error


def _check_archive(path: Path) -> None:
    """Refuse a small file that expands to a large one; PyTorch never compresses what it saves."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(record.file_size for record in archive.infolist()) > path.stat().st_size:
                raise ValueError("it is compressed: it would expand to more bytes than it has")


def _download(url: str, cache: Path | None) -> Any:
    folder = cache if cache is not None else Path(torch.hub.get_dir()) / "checkpoints"
    try:
        return torch.hub.load_state_dict_from_url(
            url,
            model_dir=str(folder),
            map_location="cpu",
            progress=False,
            check_hash=True,
            weights_only=True,
        )
    # URLError is an OSError; a hash that does not match is a RuntimeError.
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        raise InputError(
            f"the ImageNet weights could not be had from {url} ({reason_of(error)[:_MAX_QUOTED]}); "
            f"download that file where there is a network and give its path instead of imagenet. "
            f"A broken earlier download would be in {folder}"
        ) from error


def _state(loaded: Any, source: str) -> dict[str, Tensor]:
    if not isinstance(loaded, dict):
        content = f"a {type(loaded).__name__}"
    elif loaded and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in loaded.items()):
        return loaded
    else:
        content = f"a dict of {', '.join(map(str, list(loaded)[:3])) or 'nothing'}"
    raise InputError(
        f"{source} does not hold a state dict but {content}; save model.state_dict(), which is "
        f"names and tensors only"
    )
