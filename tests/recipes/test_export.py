"""Exporting a run: the file is the model, or there is no file."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from mriseg.backends import select
from mriseg.core.deploy import Deployed
from mriseg.core.identity import Identity
from mriseg.core.segnet import SegNetConfig
from mriseg.errors import ExportError, OutputError, RunError, UnknownNameError
from mriseg.events import Event, Wrote, finish
from mriseg.io.exporters import EXPORTERS
from mriseg.io.exporters.base import LoadedExport, Predict
from mriseg.io.exporters.torchscript import EXPORTER, TorchScript
from mriseg.io.runs import Checkpoint, Manifest, Run, create_run
from mriseg.recipes.export import describe, export
from mriseg.recipes.export_check import LIMIT
from mriseg.recipes.keeper import Position
from mriseg.recipes.load import load
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.share import share
from mriseg.testing import phantoms
from mriseg.testing.exporters import a_deployed

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
SECRETS = ("/home/someone/vgg.pth", "/data/patients/out.zarr", "TCGA_XX_0001", "c0ffee")


def a_run(
    folder: Path,
    change: Callable[[dict[str, torch.Tensor]], None] | None = None,
    which: str = "best",
) -> Run:
    """A run of two modalities and three regions that looks trained."""
    weights = copy.deepcopy(a_deployed().unchecked.network.state_dict())
    if change is not None:
        change(weights)
    manifest = Manifest(
        config={"width": 8, "encoder_weights": SECRETS[0], "exclude": [SECRETS[2]]},
        model=SegNetConfig(in_channels=2, classes=3, width=8).model_dump(),
        modalities=("T1", "FLAIR"),
        regions={"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)},
        unit="mm",
        frame=(64, 64),
        incomplete=False,
        store=SECRETS[1],
        train=(SECRETS[2],),
        validation=(SECRETS[2],),
        seen=(Identity(SECRETS[2], SECRETS[2], SECRETS[3]),),
        versions={"mriseg": "0.1.0", "torch": torch.__version__, "python": "3.11"},
        created="2026-01-02T10:15:00",
        parent={"run": SECRETS[1]},
    )
    run = create_run(folder / "20260102-101500-out", manifest)
    run.save(which, Checkpoint(weights, {}, {}))
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return a_run(tmp_path)


def _metadata_section() -> str:
    text = (DOCS / "export.md").read_text(encoding="utf-8")
    return text.partition("\n## Metadata\n")[2].partition("\n## ")[0]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_writes_a_checked_file_into_the_run(run: Run) -> None:
    events: list[Event] = []
    report = finish(export(run), events.append)
    assert report.path == run.path / "model.torchscript.pt"
    assert report.format == "torchscript"
    assert 0 <= report.largest_difference <= LIMIT
    assert report.size_bytes == report.path.stat().st_size > 1e6
    [wrote] = [event for event in events if isinstance(event, Wrote)]
    assert wrote.path == report.path
    assert names(run.path) == {"run.json", "best.safetensors", "model.torchscript.pt"}


def test_out_is_made_and_replaced(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder" / "my.model.pt"
    assert finish(export(run, out=out)).path == out
    out.write_bytes(b"older")
    finish(export(run, "torchscript", out))
    assert EXPORTER.load(out).metadata == describe(run)
    assert names(out.parent) == {out.name}
    assert names(run.path) == {"run.json", "best.safetensors"}


def test_before_the_first_validation_the_last_weights_are_taken(tmp_path: Path) -> None:
    finish(export(a_run(tmp_path, which="last")))


def test_a_network_that_was_never_trained_is_not_handed_on(tmp_path: Path) -> None:
    run = a_run(tmp_path)
    weights = run.load("best").weights
    (run.path / "best.safetensors").unlink()
    # As a transfer leaves it that fails before its first step.
    run.save("last", Checkpoint(weights, {}, {"position": vars(Position())}))
    before = names(run.path)
    for hand_on in (export(run), share(run, tmp_path / "shared")):
        with pytest.raises(RunError, match="has not been trained|has no best"):
            finish(hand_on)
    with pytest.raises(RunError, match="mriseg train --resume .*out, or name another run"):
        load(run)
    assert names(run.path) == before and not (tmp_path / "shared").exists()
    run.save("last", Checkpoint(weights, {}, {"position": vars(Position(step=1))}))
    finish(export(run))


def test_what_cannot_be_exported_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=f"{tmp_path} is a folder; name a file"):
        finish(export(run, out=tmp_path))
    with pytest.raises(UnknownNameError, match="no export format 'onxx'; known: coreml, monai"):
        finish(export(run, "onxx"))
    (run.path / "best.safetensors").write_bytes(b"torn")
    with pytest.raises(RunError, match="is damaged"):
        finish(export(run))
    assert names(run.path) == {"run.json", "best.safetensors"}


def test_metadata_say_what_a_user_must_know(run: Run) -> None:
    metadata = describe(run)
    assert metadata["format"] == "mriseg-export"
    assert metadata["version"] == 1
    assert "not for clinical use" in metadata["notice"].lower()
    assert metadata["modalities"] == ["T1", "FLAIR"]
    assert metadata["regions"][1] == {
        "name": "TC",
        "labels": [1, 4],
        "threshold": 0.5,
        "min_component_share": 0.0,
    }
    assert metadata["run"] == run.name
    assert metadata["training"] == {"width": 8, "encoder_weights": "vgg.pth"}
    assert metadata["versions"]["export"]["torch"] == torch.__version__
    assert set(metadata) == {
        key
        for row in re.findall(r"^\| (`.*?) \|", _metadata_section(), re.MULTILINE)
        for key in re.findall(r"`(\w+)`", row)
        if key not in {"image", "mean", "std", "foreground"}
    }


def test_metadata_say_the_size_of_the_pixels_and_the_check_resamples_nothing(
    run: Run, tmp_path: Path
) -> None:
    assert describe(run)["spacing"] is None
    manifest = replace(run.manifest, spacing=(0.4, 0.5))
    fine = create_run(tmp_path / "fine", manifest)
    fine.save("best", run.load("best"))
    assert finish(export(fine)).largest_difference < LIMIT
    assert describe(fine)["spacing"] == [0.4, 0.5]


def test_the_file_holds_no_secrets(run: Run) -> None:
    report = finish(export(run))
    text = json.dumps(describe(run))
    content = report.path.read_bytes()
    for secret in (*SECRETS, str(run.path), str(DOCS.parent)):
        assert secret not in text
        assert secret.encode() not in content


# What could be wrong with an exporter


class Sabotaged(TorchScript):
    """Writes another network than it was given, or loads another function than is in the file."""

    def __init__(
        self,
        change: Callable[[Deployed], object] = lambda network: None,
        wrap: Callable[[Predict], Predict] = lambda predict: predict,
    ) -> None:
        self.change = change
        self.wrap = wrap

    def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
        network = copy.deepcopy(network)
        self.change(network)
        super().export(network, metadata, path)

    def load(self, path: Path) -> LoadedExport:
        exported = super().load(path)
        return LoadedExport(self.wrap(exported.predict), exported.metadata)


def other_weights(network: Deployed) -> None:
    network.unchecked.network.head.bias.data += 1e-3


def swapped_channels(network: Deployed) -> None:
    first = network.unchecked.network.get_parameter("encoder.1.0.conv.weight")
    first.data = first.data.flip(1)


def other_frame(network: Deployed) -> None:
    network.unchecked.frame = (96, 64)


def other_multiple(network: Deployed) -> None:
    network.unchecked._multiple = 64


def not_a_number(network: Deployed) -> None:
    network.unchecked.network.head.bias.data.fill_(torch.nan)


def fails(*_: object) -> torch.Tensor:
    raise RuntimeError("no kernel")


WRONG = {
    "weights": Sabotaged(other_weights),
    "channels": Sabotaged(swapped_channels),
    "frame": Sabotaged(other_frame),
    "multiple": Sabotaged(other_multiple),
    "nan": Sabotaged(not_a_number),
    "no-foreground": Sabotaged(wrap=lambda predict: lambda i, m, s, f: predict(i, m, s, None)),
    "all-foreground": Sabotaged(
        wrap=lambda predict: lambda i, m, s, f: predict(i, m, s, i[:, 0] > 300 if f is None else f)
    ),
    "mean": Sabotaged(wrap=lambda predict: lambda i, m, s, f: predict(i, m + 0.5, s, f)),
    "shape": Sabotaged(wrap=lambda predict: lambda *given: predict(*given)[:, :1]),
    "failing": Sabotaged(wrap=lambda predict: fails),
}


def use(exporter: TorchScript, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "a_plugin", exporter)  # type: ignore[arg-type]
    monkeypatch.setattr(exporter, "EXPORTER", exporter, raising=False)
    monkeypatch.setattr(EXPORTERS, "_targets", {"torchscript": "a_plugin:EXPORTER"})


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_file_is_not_kept(run: Run, wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use(WRONG[wrong], monkeypatch)
    with pytest.raises(ExportError, match="torchscript file"):
        finish(export(run))
    assert names(run.path) == {"run.json", "best.safetensors"}


def test_a_right_file_of_the_same_kind_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Sabotaged(), monkeypatch)
    finish(export(run))


def test_a_wrong_file_leaves_the_older_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = finish(export(run)).path
    before = path.read_bytes()
    use(WRONG["weights"], monkeypatch)
    with pytest.raises(ExportError, match="differ by up to"):
        finish(export(run))
    assert path.read_bytes() == before


def test_a_model_that_marks_nothing_is_checked_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sure(weights: dict[str, torch.Tensor]) -> None:
        weights["head.bias"] -= 40

    run = a_run(tmp_path, sure)
    finish(export(run))

    def louder(network: Deployed) -> None:
        network.unchecked.network.head.weight.data *= 1.1

    use(Sabotaged(louder), monkeypatch)
    with pytest.raises(ExportError, match="logarithms"):
        finish(export(run))


def test_other_metadata_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgetful(TorchScript):
        def export(self, network: Deployed, metadata: dict[str, Any], path: Path) -> None:
            super().export(network, {}, path)

    use(Forgetful(), monkeypatch)
    with pytest.raises(ExportError, match="other metadata"):
        finish(export(run))


# The documentation's example


def test_the_example_without_mriseg_gives_the_mask_of_predict(run: Run, tmp_path: Path) -> None:
    text = (DOCS / "export.md").read_text(encoding="utf-8")
    [example] = re.findall(r"<!-- example -->\n```python\n(.*?)```", text, re.DOTALL)
    images, _ = phantoms.head(np.random.default_rng(0), (10, 40, 36), modalities=("t1", "flair"))
    case = phantoms.write_brats_case(
        tmp_path / "scans" / "BraTS20_Training_001", images, None, orientation="LAS"
    )
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name, modality in (("T1", "t1"), ("FLAIR", "flair")):
        [path] = case.glob(f"*_{modality}.nii.gz")
        (folder / f"{name}.nii.gz").write_bytes(path.read_bytes())
    finish(export(run, out=folder / "model.torchscript.pt"))
    alone = "import sys; sys.modules['mriseg'] = None\n" + example
    done = subprocess.run(
        [sys.executable, "-I", "-W", "ignore", "-c", alone],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr

    backend = select("cpu", precision="fp32")
    # The file's network is the same for every scan, and sees nothing but its slice.
    options = PredictOptions(
        overlays=False, probabilities=True, flips=False, adapt=False, refine=False
    )
    report = finish(predict(tmp_path / "scans", tmp_path / "masks", run, backend, options))
    [prob] = [p for p in (tmp_path / "masks").iterdir() if p.name.endswith("_prob_WT.nii.gz")]
    expected = nib.as_closest_canonical(nib.load(prob)).get_fdata() > 0.5
    image = nib.load(folder / "mask.nii.gz")
    assert np.allclose(image.affine, nib.as_closest_canonical(nib.load(prob)).affine)
    mask = image.get_fdata() > 0
    assert 0.02 < expected.mean() < 0.5
    # Another order of channels in memory rounds otherwise; see the page.
    assert (mask != expected).mean() < 1e-3
    assert report.results[0].unit == "mm"
