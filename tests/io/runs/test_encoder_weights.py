"""Encoder weights from files and from a server, and messages where there are none."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from mriseg.core.pretrained import encoder_from_vgg16_bn
from mriseg.core.segnet import SegNetConfig
from mriseg.errors import InputError
from mriseg.io.runs.encoder_weights import IMAGENET_URL, load_encoder_weights
from tests.vgg import named_by_hash, serving, vgg16_bn_state


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return vgg16_bn_state()


@pytest.fixture
def tiny() -> dict[str, Tensor]:
    return {"features.0.weight": torch.arange(3.0)}


def same(left: dict[str, Tensor], right: dict[str, Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def test_a_file_of_torch_save(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save(tiny, tmp_path / "w.pth")
    assert same(load_encoder_weights(tmp_path / "w.pth"), tiny)
    assert same(load_encoder_weights(str(tmp_path / "w.pth")), tiny)


def test_a_file_of_safetensors(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    save_file(tiny, tmp_path / "w.safetensors")
    assert same(load_encoder_weights(tmp_path / "w.safetensors"), tiny)


def test_imagenet_is_downloaded_checked_and_kept(tmp_path: Path, state: dict[str, Tensor]) -> None:
    served, cache = tmp_path / "served", tmp_path / "cache"
    served.mkdir()
    torch.save(state, served / "vgg16_bn.pth")
    name = named_by_hash(served / "vgg16_bn.pth").name
    with serving(served) as address:
        url = f"{address}/{name}"
        loaded = load_encoder_weights("imagenet", url=url, cache=cache)
    assert same(loaded, state)
    config = SegNetConfig(in_channels=4, classes=1)
    assert encoder_from_vgg16_bn(loaded, config, ("T1", "T1CE", "T2", "FLAIR"))
    # The server is gone: this file comes from the cache.
    assert same(load_encoder_weights("imagenet", url=url, cache=cache), state)


def test_a_download_that_is_not_what_it_should_be(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    served, cache = tmp_path / "served", tmp_path / "cache"
    served.mkdir()
    torch.save(tiny, served / "vgg16_bn-00000000.pth")
    with serving(served) as address, pytest.raises(InputError, match="invalid hash value"):
        load_encoder_weights("imagenet", url=f"{address}/vgg16_bn-00000000.pth", cache=cache)
    assert not list(cache.iterdir())


def test_no_network_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/vgg16_bn-6c64b313.pth"
        with pytest.raises(InputError, match="give its path instead of imagenet") as caught:
            load_encoder_weights("imagenet", url=url, cache=tmp_path)
    assert url in str(caught.value)


def test_a_file_missing_on_the_server(tmp_path: Path) -> None:
    with serving(tmp_path) as address, pytest.raises(InputError, match="404"):
        load_encoder_weights("imagenet", url=f"{address}/a-00000000.pth", cache=tmp_path)


def test_the_address_is_torchvisions() -> None:
    assert IMAGENET_URL == "https://download.pytorch.org/models/vgg16_bn-6c64b313.pth"


def test_a_path_to_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no encoder weights at .*absent.pth; give"):
        load_encoder_weights(tmp_path / "absent.pth")


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"PK\x03\x04 cut off", b"\x80\x02"])
def test_a_file_of_something_else(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read"):
        load_encoder_weights(tmp_path / name)


def test_a_pickle_that_would_run_something(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (str(tmp_path / "ran"),)

    torch.save({"features.0.weight": Trap()}, tmp_path / "w.pth")
    with pytest.raises(InputError, match="cannot be read"):
        load_encoder_weights(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("saved", "content"),
    [
        ({"epoch": 3, "state_dict": {}}, "a dict of epoch, state_dict"),
        ({}, "a dict of nothing"),
        ([1, 2], "a list"),
    ],
)
def test_a_file_without_a_state_dict(tmp_path: Path, saved: object, content: str) -> None:
    torch.save(saved, tmp_path / "w.pth")
    with pytest.raises(InputError, match=f"does not hold a state dict but {content}"):
        load_encoder_weights(tmp_path / "w.pth")
