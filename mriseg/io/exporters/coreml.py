"""CoreML: a package for Macs, iPhones and iPads, without Python.

It is converted on any system, and takes one slice of the training's frame at a time. The file is a
zip file of the ``.mlpackage``, a folder as CoreML has it; the metadata is in it as ``mriseg.json``
and in the model's own description, and the digest in its comment. Where Apple's runtime is not, the
saved program is evaluated by `mriseg.io.exporters.mil`.
"""

from __future__ import annotations

import io
import json
import platform
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from mriseg.core.deploy import Arithmetic, Deployed, UncheckedDeployed
from mriseg.core.padding import padded_size
from mriseg.errors import ExportError
from mriseg.io.exporters.archive import holds, inspect_archive, seal_archive
from mriseg.io.exporters.base import ExportInspection, LoadedExport
from mriseg.io.exporters.extras import COREML
from mriseg.io.exporters.mil import evaluate
from mriseg.io.exporters.program import INPUTS, OUTPUT, full, quiet

METADATA = "mriseg.json"
_PACKAGE = "model.mlpackage"
# What an .mlpackage is made of; the converter's other files are for debugging it.
_PARTS = ("Manifest.json", "Data/")


class CoreMl:
    """Writes and loads CoreML; see `mriseg.io.exporters.base.Exporter`."""

    name = "coreml"
    suffix = ".mlpackage.zip"
    summary = "a package for Macs and iPhones, without Python; one slice of the frame at a time"
    sizes: Literal["any", "frame"] = "frame"

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """See `Exporter.export`. In float32: halved, probabilities move by 0.0005."""
        tools = _coremltools()
        text = json.dumps(metadata, indent=1)
        example = _example(network)
        with _silent(), tempfile.TemporaryDirectory(prefix="mriseg-") as folder:
            program = torch.export.export(_Frame(Arithmetic(network.unchecked)).eval(), example)
            model = tools.convert(
                # PyTorch exports for training, which the converter does not take.
                program.run_decompositions({}),
                convert_to="mlprogram",
                minimum_deployment_target=tools.target.iOS16,
                compute_precision=tools.precision.FLOAT32,
                inputs=[
                    tools.TensorType(name, value.shape)
                    for name, value in zip(INPUTS, example, strict=True)
                ],
                outputs=[tools.TensorType(OUTPUT)],
                skip_model_load=True,
            )
            model.user_defined_metadata["mriseg"] = text
            model.save(str(Path(folder) / _PACKAGE))
            _pack(Path(folder) / _PACKAGE, text, path)
        seal_archive(path)

    def load(self, path: Path) -> LoadedExport:
        """See `Exporter.load`. For files just written."""
        tools = _coremltools()
        # The model reads its weights from there for as long as it is used.
        folder = tempfile.TemporaryDirectory(prefix="mriseg-")
        try:
            with quiet(), zipfile.ZipFile(path) as archive:
                archive.extractall(folder.name)
                metadata = json.loads(archive.read(METADATA))
                model = _Model(tools, folder)
        # What it raises depends on where it stumbles.
        except Exception as error:
            folder.cleanup()
            raise ExportError(f"{path} cannot be loaded by coremltools: {error}") from None

        def predict(image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> Tensor:
            assert foreground is not None
            return model.predict(dict(zip(INPUTS, (image, mean, std, foreground), strict=True)))

        return LoadedExport(full(predict, model.modalities), metadata, model.runtime)

    def matches(self, path: Path) -> bool:
        """See `Exporter.matches`."""
        return holds(path, METADATA, ".mlmodel", f"{_PACKAGE}/Manifest.json")

    def inspect(self, path: Path) -> ExportInspection:
        """See `Exporter.inspect`: the file is a zip file, and is read as one."""
        return inspect_archive(path, METADATA)


class _Frame(nn.Module):
    """One slice, as large as the frame: nothing is padded, and the converter knows each size."""

    def __init__(self, module: UncheckedDeployed) -> None:
        super().__init__()
        self.module = module

    def forward(self, image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor) -> Tensor:
        x = self.module.normalise(image, mean, std, foreground)
        holds = (x.abs().amax((1, 2, 3), keepdim=True) > 0).to(x.dtype)
        return torch.sigmoid(self.module.network(x)) * holds


class _Model:
    """A package on the disk, run by Apple's runtime or evaluated."""

    def __init__(self, tools: Any, folder: tempfile.TemporaryDirectory[str]) -> None:
        # It lives as long as this object does.
        self._folder, package = folder, Path(folder.name) / _PACKAGE
        on_a_mac = platform.system() == "Darwin"
        self._model = tools.models.MLModel(str(package), skip_model_load=not on_a_mac)
        spec = self._model.get_spec()
        self.modalities = int(spec.description.input[0].type.multiArrayType.shape[1])
        self._function = None
        self.runtime = f"CoreML of macOS {platform.mac_ver()[0]}"
        if not on_a_mac:
            read = COREML.library("coremltools.converters.mil.frontend.milproto.load")
            program = read.load(spec, spec.specificationVersion, self._model.weights_dir)
            self._function = program.functions["main"]
            self.runtime = "an evaluation of the saved program; Apple's runtime is not here"

    def predict(self, given: dict[str, Tensor]) -> Tensor:
        """Probabilities [1, r, h, w] of one slice."""
        given = {name: value.float() for name, value in given.items()}
        if self._function is None:
            arrays = {name: value.numpy() for name, value in given.items()}
            return torch.from_numpy(self._model.predict(arrays)[OUTPUT])
        with torch.inference_mode():
            return evaluate(self._function, given)[OUTPUT]


@contextmanager
def _silent() -> Iterator[None]:
    """Without the converter's own progress bars, which it draws wherever it runs."""
    with quiet(), redirect_stderr(io.StringIO()):
        yield


def _coremltools() -> Any:
    with _silent():
        return COREML.library()


def _example(network: Deployed) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    m, (h, w) = len(network.modalities), padded_size((1, 1), network.frame)
    return torch.zeros((1, m, h, w)), torch.zeros((1, m)), torch.ones((1, m)), torch.ones((1, h, w))


def _pack(package: Path, metadata: str, path: Path) -> None:
    """A package's own files and the metadata as a zip file, unpacked and without times."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo(METADATA), metadata)
        for file in sorted(package.rglob("*")):
            name = file.relative_to(package).as_posix()
            if file.is_file() and name.startswith(_PARTS):
                archive.writestr(zipfile.ZipInfo(f"{_PACKAGE}/{name}"), file.read_bytes())


EXPORTER = CoreMl()
