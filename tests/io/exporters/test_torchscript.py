"""TorchScript files: the contract of all exporters, and that they need torch alone."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
import torch

from mriseg.core.deploy import Deployed
from mriseg.errors import UnknownNameError
from mriseg.io.exporters import EXPORTERS, LoadedExport
from mriseg.io.exporters.torchscript import EXPORTER
from mriseg.testing import ExporterContract
from mriseg.testing.exporters import a_deployed, slices

# -I: no PYTHONPATH, user packages or current folder; the installed package is blocked too.
ALONE = """
import sys
sys.modules["mriseg"] = None
try:
    import mriseg
    sys.exit("mriseg can be imported")
except ImportError:
    pass
import torch
model = torch.jit.load("model.pt")
given = torch.jit.load("given.pt")
with torch.inference_mode():
    for i in range(2):
        found = model(given.image[:3 - 2 * i, :, i:], given.mean, given.std)
        assert (found - given.expected[i]).abs().max() < 1e-5, i
print(model.metadata())
"""


class TestTorchScript(ExporterContract):
    exporter = EXPORTER

    def test_it_loads_without_mriseg(self, network: Deployed, path: Path, tmp_path: Path) -> None:
        folder = tmp_path / "empty"
        folder.mkdir()
        (folder / "model.pt").write_bytes(path.read_bytes())
        image, mean, std, _ = slices(3, 45, 70)
        expected = [network(image, mean, std), network(image[:1, :, 1:], mean, std)]
        _hold(folder / "given.pt", image=image, mean=mean, std=std, expected=expected)
        done = subprocess.run(
            [sys.executable, "-I", "-W", "ignore", "-c", ALONE],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads(network.metadata())

    def test_plain_torch_shows_names_and_metadata(self, path: Path, network: Deployed) -> None:
        extra = {"mriseg.json": ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.jit.load(path, _extra_files=extra)
        assert model.modalities == ["T1", "FLAIR"]
        assert model.regions == ["WT", "TC", "ET"]
        assert model.frame == (64, 96)
        assert model.metadata() == network.metadata()
        assert json.loads(extra["mriseg.json"]) == json.loads(network.metadata())
        assert not model.training
        assert not any(p.requires_grad for p in model.parameters())

    def test_the_metadata_need_no_torch(self, path: Path, network: Deployed) -> None:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            [name] = [name for name in archive.namelist() if name.endswith("/mriseg.json")]
            assert json.loads(archive.read(name)) == json.loads(network.metadata())

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ((torch.rand(1, 3, 9, 9), [1, 1], [1, 1]), r"image has shape \[1, 3, 9, 9\]"),
            ((torch.rand(1, 2, 9, 9), [1, 1, 1], [1, 1]), r"mean has shape \[3\]"),
            ((torch.rand(1, 2, 9, 9), [1, 1], [1, 0]), "std must be above 0"),
            ((torch.full((1, 2, 9, 9), torch.nan), [1, 1], [1, 1]), "NaN or infinity"),
        ],
        ids=["channels", "mean", "std", "nan"],
    )
    def test_unusable_input_is_reported(
        self, exported: LoadedExport, given: tuple[torch.Tensor, list[int], list[int]], message: str
    ) -> None:
        image, mean, std = given
        with pytest.raises(torch.jit.Error, match=f"ValueError: .*{message}"):
            exported.predict(image, torch.tensor(mean), torch.tensor(std), None)

    def test_it_can_run_at_lower_precision(self, path: Path, network: Deployed) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = torch.jit.load(path)
        given = slices(2, 40, 40)
        probabilities = model.to(torch.bfloat16)(*given)
        assert probabilities.dtype == torch.float32
        assert (probabilities - network(*given)).abs().mean() < 0.02

    def test_pytorchs_warnings_about_torchscript_are_not_passed_on(self, tmp_path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            EXPORTER.export(a_deployed(), {}, tmp_path / "model.pt")
            EXPORTER.load(tmp_path / "model.pt")


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownNameError, match="no export format 'torchscrip'; known: .*torchscript"
    ):
        EXPORTERS["torchscrip"]


class _Holder(torch.nn.Module):
    """Tensors in a file that plain torch loads without pickle."""

    def __init__(self, **tensors: torch.Tensor | list[torch.Tensor]) -> None:
        super().__init__()
        for name, value in tensors.items():
            setattr(self, name, value)

    def forward(self) -> int:
        return 0


def _hold(path: Path, **tensors: torch.Tensor | list[torch.Tensor]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(_Holder(**tensors)), path)
