"""MONAI: a bundle that ``python -m monai.bundle run`` runs on whole scans, without mriseg.

It is a zip file, as MONAI itself hands bundles on. In it are the network as TorchScript
(`mriseg.core.deploy_scan.DeployedScan`), the configurations that MONAI reads and the metadata as
``mriseg.json``. To write and to check it takes no MONAI; to run it, ``monai``, ``pytorch-ignite``,
``fire`` and ``nibabel``.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mriseg import __version__
from mriseg.core.deploy import Deployed
from mriseg.core.deploy_scan import DeployedScan
from mriseg.errors import ExportError
from mriseg.io.exporters.archive import holds, inspect_archive, seal_archive
from mriseg.io.exporters.base import ExportInspection, LoadedExport
from mriseg.io.exporters.torchscript import quiet, write_script

FOLDER, METADATA = "mriseg_bundle", "mriseg.json"
_MODEL, _INFERENCE = "models/model.ts", "configs/inference.json"
# What the tests run it with.
_RUNS_WITH = {"monai": "1.6.1", "pytorch-ignite": "0.5.5", "nibabel": "5.3.2"}


class Monai:
    """Writes and loads MONAI bundles; see `mriseg.io.exporters.base.Exporter`."""

    name = "monai"
    suffix = ".monai.zip"
    summary = "a bundle for python -m monai.bundle run: whole scans in, masks out, without mriseg"
    sizes: Literal["any", "frame"] = "any"

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        """See `Exporter.export`."""
        texts = {
            METADATA: metadata,
            "configs/metadata.json": _metadata(network, metadata),
            _INFERENCE: inference(network, metadata),
        }
        with zipfile.ZipFile(path, "w") as archive, tempfile.TemporaryDirectory() as folder:
            for name, value in texts.items():
                _add(archive, name, json.dumps(value, indent=1).encode())
            _add(archive, "docs/README.md", _readme(network, metadata).encode())
            model = Path(folder) / "model.ts"
            write_script(DeployedScan(network), metadata, model)
            _add(archive, _MODEL, model.read_bytes())
        seal_archive(path)

    def load(self, path: Path) -> LoadedExport:
        """See `Exporter.load`. For files just written: TorchScript is a program, not data."""
        try:
            with (
                quiet(),
                zipfile.ZipFile(path) as archive,
                archive.open(f"{FOLDER}/{_MODEL}") as model,
            ):
                script = torch.jit.load(model, "cpu")  # type: ignore[no-untyped-call]
                metadata = json.loads(archive.read(f"{FOLDER}/{METADATA}"))
        except (zipfile.BadZipFile, RuntimeError, ValueError, KeyError) as error:
            raise ExportError(f"{path} cannot be loaded as a MONAI bundle: {error}") from None

        def predict(image: Tensor, mean: Tensor, std: Tensor, foreground: Tensor | None) -> Tensor:
            with torch.inference_mode():
                result: Tensor = script.slices(image, mean, std, foreground)
            return result

        def predict_scan(volume: Tensor) -> Tensor:
            with torch.inference_mode():
                result: Tensor = script(volume.permute(0, 3, 2, 1)[None])
            return result[0].permute(0, 3, 2, 1)

        runtime = f"torch.jit of PyTorch {torch.__version__}, which MONAI calls"
        return LoadedExport(predict, metadata, runtime, predict_scan)

    def matches(self, path: Path) -> bool:
        """See `Exporter.matches`."""
        return holds(path, *(f"{FOLDER}/{name}" for name in (METADATA, _MODEL, _INFERENCE)))

    def inspect(self, path: Path) -> ExportInspection:
        """See `Exporter.inspect`: the file is a zip file, and is read as one."""
        return inspect_archive(path, f"{FOLDER}/{METADATA}")


def inference(network: Deployed, metadata: dict[str, Any]) -> dict[str, Any]:
    """What ``python -m monai.bundle run --config_file configs/inference.json`` does."""
    names = list(network.modalities)
    return {
        "imports": ["$import glob", "$import os", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "scans",
        "output_dir": "masks",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "modalities": names,
        "thresholds": [region.get("threshold", 0.5) for region in metadata.get("regions", ())]
        or [0.5] * len(network.regions),
        "ending": ".nii.gz",
        "folders": "$sorted(glob.glob(os.path.join(@dataset_dir, '*', '')))",
        "datalist": "$[{m: os.path.join(f, m + @ending) for m in @modalities} for f in @folders]",
        "network_def": "$torch.jit.load(@bundle_root + '/models/model.ts', map_location=@device)",
        "preprocessing": {"_target_": "Compose", "transforms": _reading(names)},
        "dataset": {
            "_target_": "Dataset",
            "data": "@datalist",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": {"_target_": "Compose", "transforms": _WRITING},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network_def",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def _reading(names: list[str]) -> list[dict[str, Any]]:
    return [
        {"_target_": "LoadImaged", "keys": names, "ensure_channel_first": True},
        {"_target_": "ConcatItemsd", "keys": names, "name": "image"},
        {"_target_": "DeleteItemsd", "keys": names},
        # mriseg's own: rows from anterior to posterior, columns from right to left.
        {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS", "labels": None},
    ]


_WRITING: list[dict[str, Any]] = [
    {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "image",
        "nearest_interp": False,
        "to_tensor": True,
    },
    {
        "_target_": "Lambdad",
        "keys": "pred",
        "func": "$lambda p: p > p.new_tensor(@thresholds)[:, None, None, None]",
    },
    {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": "mask",
        "output_dtype": "$__import__('numpy').uint8",
        "resample": False,
        "separate_folder": False,
        "data_root_dir": "@dataset_dir",
    },
]


def _metadata(network: Deployed, metadata: dict[str, Any]) -> dict[str, Any]:
    """What MONAI's schema of metadata asks for."""
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/"
        "0.8.1/meta_schema_20240725.json",
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by mriseg {__version__}"},
        "monai_version": _RUNS_WITH["monai"],
        "pytorch_version": torch.__version__.partition("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {k: v for k, v in _RUNS_WITH.items() if k != "monai"},
        "name": str(metadata.get("run", "mriseg")),
        "task": f"segmentation of {', '.join(network.regions)} in MRI of the brain",
        "description": "A SegNet with its normalisation, padding and sigmoid.",
        "authors": "",
        "copyright": "",
        "intended_use": str(metadata.get("notice", "")),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "magnitude",
                    "modality": "MR",
                    "num_channels": len(network.modalities),
                    "spatial_shape": ["*", "*", "*"],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(i): name for i, name in enumerate(network.modalities)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "probabilities",
                    "format": "segmentation",
                    "num_channels": len(network.regions),
                    "spatial_shape": ["*", "*", "*"],
                    "dtype": "float32",
                    "value_range": [0, 1],
                    "is_patch_data": False,
                    "channel_def": {str(i): name for i, name in enumerate(network.regions)},
                }
            },
        },
    }


def _readme(network: Deployed, metadata: dict[str, Any]) -> str:
    files = ", ".join(f"{name}.nii.gz" for name in network.modalities)
    return f"""# {metadata.get("run", "A model")}: a SegNet, exported by mriseg

{metadata.get("notice", "")}

Put each scan, without its skull, into a folder of its own under `scans/`: {files}.

    python -m monai.bundle run --config_file configs/inference.json --bundle_root . \\
        --dataset_dir scans --output_dir masks

The mask of a folder has one volume for each region: {", ".join(network.regions)}.
`mriseg.json` says what the network was trained on and how its input must be.
"""


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    # Not by a path, which would add its time.
    archive.writestr(zipfile.ZipInfo(f"{FOLDER}/{name}"), content)


EXPORTER = Monai()
