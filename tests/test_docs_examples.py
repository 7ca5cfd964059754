"""The code that the documentation shows is run, and held to what the shipped code is held to."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mriseg.backends import BACKENDS
from mriseg.backends.fallback import Manner, choose, probe
from mriseg.core import losses
from mriseg.core.config import AugmentConfig, TrainConfig, TransferConfig
from mriseg.errors import ConfigError
from mriseg.events import finish
from mriseg.io import nifti
from mriseg.io.exporters import EXPORTERS, Exporter, LoadedExport
from mriseg.io.readers import READERS, Reader
from mriseg.io.trackers import TRACKERS, Tracker
from mriseg.recipes.preprocess import preprocess
from mriseg.strippers import STRIPPERS, Stripper
from mriseg.testing import (
    BackendContract,
    ExporterContract,
    ReaderContract,
    StripperContract,
    Tracked,
    TrackerContract,
    Truth,
    phantoms,
)

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

# "# path" as the first line of a block says where it goes.
_BLOCK = re.compile(r"^```python\n# (mriseg/\S+\.py)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = dict(_BLOCK.findall((DOCS / "extend.md").read_text(encoding="utf-8")))

NEW = [path for path in BLOCKS if not (ROOT / path).exists()]
"""Blocks that are whole files; the others go into a file that is there."""


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


def execute(path: str, namespace: dict[str, Any]) -> None:
    exec(compile(BLOCKS[path], f"docs/extend.md: {path}", "exec", dont_inherit=True), namespace)


def added(path: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The block as the module that it would be."""
    module = ModuleType(module_of(path))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    execute(path, module.__dict__)
    return module


def within(path: str) -> dict[str, Any]:
    """The names of the file that a block goes into, after it; the file itself is left alone."""
    module = __import__(module_of(path), fromlist=["_"])
    namespace = dict(vars(module))
    execute(path, namespace)
    return namespace


def test_all_examples_are_found() -> None:
    assert len(NEW) == 6 and len(BLOCKS) == 10


@pytest.mark.parametrize("path", NEW)
def test_a_new_file_is_in_the_style_of_the_others(path: str) -> None:
    for command in (["check", "--no-cache"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", path, "-"],
            input=BLOCKS[path].replace("\r", ""),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


# A loss


@pytest.fixture
def with_new_loss(monkeypatch: pytest.MonkeyPatch) -> str:
    new = within("mriseg/core/losses.py")["log_cosh_dice"]
    table = MappingProxyType({**losses.LOSSES, "log_cosh_dice": new})
    monkeypatch.setattr(losses, "LOSSES", table)
    return "log_cosh_dice"


def test_the_loss_learns(with_new_loss: str) -> None:
    loss = losses.build_loss(losses.parse_loss(f"0.5*bce+{with_new_loss}"))
    target = (torch.arange(64).view(1, 1, 8, 8) % 3 == 0).float()
    logits = torch.zeros_like(target).requires_grad_()
    before = loss(logits, target)
    before.backward()
    assert logits.grad is not None
    assert 0 < loss(logits - logits.grad * 100, target) < before


@pytest.mark.parametrize("size", [0.0, 1.0, 1e4, 1e30])
def test_the_loss_is_finite_and_never_negative(with_new_loss: str, size: float) -> None:
    loss = losses.build_loss(losses.parse_loss(with_new_loss))
    for truth in (0, 1):
        for sign in (-1, 1):
            value = loss(torch.full((2, 1, 3, 3), sign * size), torch.full((2, 1, 3, 3), truth))
            assert torch.isfinite(value) and value >= 0


# A data layout


class TestByProtocol(ReaderContract):
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = added("mriseg/io/readers/by_protocol.py", monkeypatch)
        entries = READERS._targets | {"by-protocol": f"{module.__name__}:READER"}
        monkeypatch.setattr(READERS, "_targets", entries)

    @property
    def reader(self) -> Reader:  # type: ignore[override]
        return READERS["by-protocol"]

    def write(self, root: Path) -> Truth:
        truth = {}
        for index in range(2):
            images, brats = phantoms.head(np.random.default_rng([5, index]), (9, 14, 12))
            shown = {"T1": np.rint(images["t1"]), "FLAIR": np.rint(images["flair"])}
            labels = (brats > 0).astype(np.uint8)
            for folder, image in zip(("p3", "p7"), shown.values(), strict=True):
                phantoms.write_nifti(root / folder / f"s{index}.nii.gz", image, dtype=np.int16)
            phantoms.write_nifti(root / "p9" / f"s{index}.nii.gz", labels)
            truth[f"s{index}"] = (shown, labels)
        return truth

    def test_labels_are_read_as_labels_and_the_images_say_where(self, root: Path) -> None:
        self.write(root)
        images, brats = phantoms.head(np.random.default_rng(6), (9, 14, 12))
        where = root / "p3" / "s2.nii.gz"
        phantoms.write_nifti(where, images["t1"])
        # Floats, of another origin.
        labels = (brats > 0) * np.float32(0.999999999)
        phantoms.write_nifti(root / "p9" / "s2.nii.gz", labels, origin=(5, 0, 0))
        loaded = self.reader.find(root, self.options).cases[2].load()
        assert loaded.labels is not None and loaded.labels.dtype == np.uint8
        assert loaded.labels.sum() == (brats > 0).sum()
        assert loaded.geometry == nifti.read(where)[1]
        assert "affine" in loaded.notices[0]


# A backend


class TestPlain(BackendContract):
    name = "plain"

    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = added("mriseg/backends/plain.py", monkeypatch)
        entries = BACKENDS._targets | {"plain": f"{module.__name__}:BACKEND"}
        monkeypatch.setattr(BACKENDS, "_targets", entries)


# A form of an operation


def test_the_form_of_unpooling_is_right_and_chosen() -> None:
    repeat = within("mriseg/core/ops.py")["REPEAT"]
    for dtype in (torch.float32, torch.bfloat16):
        manner = Manner(torch.device("cpu"), dtype, deterministic=True)
        assert probe(repeat, manner).reason == ""
        assert choose(manner, (repeat,)).ops is repeat


# An export format


class TestBundle(ExporterContract):
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = added("mriseg/io/exporters/bundle.py", monkeypatch)
        entries = EXPORTERS._targets | {"bundle": f"{module.__name__}:EXPORTER"}
        monkeypatch.setattr(EXPORTERS, "_targets", entries)

    @property
    def exporter(self) -> Exporter:  # type: ignore[override]
        return EXPORTERS["bundle"]

    def test_the_card_can_be_read_without_torch(self, path: Path, exported: LoadedExport) -> None:
        with zipfile.ZipFile(path) as bundle:
            assert json.loads(bundle.read("card.json")) == exported.metadata


# A tracker


class TestBook(TrackerContract):
    @pytest.fixture(autouse=True)
    def registered(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        module = added("mriseg/io/trackers/book.py", monkeypatch)
        entries = TRACKERS._targets | {"book": f"{module.__name__}:TRACKER"}
        monkeypatch.setattr(TRACKERS, "_targets", entries)
        monkeypatch.setenv("TRAINING_BOOK", str(tmp_path / "book"))

    @property
    def tracker(self) -> Tracker:  # type: ignore[override]
        return TRACKERS["book"]

    def tracked(self, id: str) -> Tracked:
        folder = Path(os.environ["TRAINING_BOOK"], id)
        page = json.loads((folder / "training.json").read_text("utf-8"))
        epochs = {int(epoch): numbers for epoch, numbers in page["epochs"].items()}
        files = frozenset(path.name for path in folder.iterdir()) - {"training.json"}
        return Tracked(page["settings"], epochs, files, page["status"] == "running")

    def test_without_a_folder_it_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TRAINING_BOOK")
        with pytest.raises(ConfigError, match="set TRAINING_BOOK"):
            self.tracker.check()


# A skull stripper


class TestByDepth(StripperContract):
    @pytest.fixture(autouse=True)
    def registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = added("mriseg/strippers/by_depth.py", monkeypatch)
        monkeypatch.setitem(STRIPPERS._targets, "by-depth", f"{module.__name__}:STRIPPER")

    @property
    def stripper(self) -> Stripper:  # type: ignore[override]
        return STRIPPERS["by-depth"]


# A command


def test_the_command_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import typer

    from mriseg import api
    from mriseg.cli.commands import use as module
    from mriseg.cli.group import Command, Commands

    phantoms.write_brats(tmp_path / "brats", 2, shape=(8, 16, 14))
    finish(preprocess(tmp_path / "brats", tmp_path / "out.zarr", workers=1))
    added("mriseg/recipes/volumes.py", monkeypatch)
    monkeypatch.setattr(api, "volumes", within("mriseg/api/_use.py")["volumes"], raising=False)
    # An app of its own: the real one must not get a command that is not there.
    scratch = typer.Typer(cls=Commands)
    scratch.callback()(lambda: None)
    namespace = dict(vars(module))
    execute("mriseg/cli/commands/use.py", namespace)
    namespace["volumes"].__module__ = module.__name__
    scratch.command(cls=Command)(namespace["volumes"])
    done = CliRunner().invoke(scratch, ["volumes", str(tmp_path / "out.zarr")])
    assert done.exit_code == 0, done.output
    assert re.search(r"^BraTS20_Training_001: WT \d+\.\d$", done.stdout, re.MULTILINE)
    refused = CliRunner().invoke(scratch, ["volumes", str(tmp_path)])
    assert refused.exit_code == 3 and "not an mriseg store" in refused.output


# The README


def test_the_readmes_python_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    phantoms.write_brats(Path("brats"), 4, shape=(8, 40, 36))
    phantoms.write_brats(Path("new"), 1, seed=1, shape=(8, 40, 36))
    phantoms.write_nnunet(Path("hippocampus"), 2, shape=(8, 40, 36))
    finish(preprocess(Path("hippocampus"), Path("hippocampus.zarr"), workers=1))
    for block in blocks:
        # As it is written, but for how much is computed.
        small, changes = re.subn(
            r'\bbudget="\w+"', "epochs=1, width=8, slices_per_epoch=2, batch_size=2", block
        )
        assert changes == block.count("mriseg.train(") + block.count("mriseg.transfer(")
        small = small.replace('"out.zarr")', '"out.zarr", workers=1)', 1)
        exec(compile(small, "README.md", "exec", dont_inherit=True), {"__name__": "__main__"})
    assert list(Path("masks").glob("*.nii.gz"))


# Links to code

_CODE_LINK = re.compile(r"\[`([\w.]+)`\]\(([^)#]+\.py)\)")


def _defined(path: Path) -> set[str]:
    """Names that a module defines or passes on, methods and attributes as ``Class.method``."""
    names: set[str] = set()

    def visit(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    visit(node.body, f"{node.name}.")
            elif isinstance(node, ast.Assign):
                names.update(prefix + t.id for t in node.targets if isinstance(t, ast.Name))
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(prefix + node.target.id)

    visit(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return names


def _astray(page: Path) -> list[str]:
    problems = []
    for name, target in _CODE_LINK.findall(page.read_text(encoding="utf-8")):
        path = (page.parent / target).resolve()
        if name in (path.stem, path.parent.name, path.name, target.removeprefix("../")):
            continue
        # `nifti.read` in nifti.py is its function read.
        local = name.removeprefix(f"{path.stem}.")
        if not path.is_file() or local not in _defined(path):
            problems.append(f"{name} is not in {target}")
    return problems


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_what_a_page_links_to_is_there(page: Path) -> None:
    assert _astray(page) == []


def test_a_wrong_link_is_detected(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("class A:\n    def b(self): ...\n")
    page = tmp_path / "page.md"
    page.write_text("[`A.b`](code.py) [`code`](code.py) [`A.c`](code.py) [`B`](none.py)")
    assert _astray(page) == ["A.c is not in code.py", "B is not in none.py"]


def test_settings_that_pages_name_exist() -> None:
    """``name = value`` in prose is a setting of a training."""
    pattern = re.compile(r"`(\w+) = [^`]+`")
    configs = (TrainConfig, AugmentConfig, TransferConfig)
    for page in (ROOT / "README.md", DOCS / "data.md", DOCS / "results.md"):
        for name in pattern.findall(page.read_text(encoding="utf-8")):
            known = {key for config in configs for key in config.model_fields}
            assert name in known, f"{page.name}: {name}"


@pytest.mark.parametrize("package", ["core", "io"])
def test_a_packages_docstring_lists_its_modules(package: str) -> None:
    folder = ROOT / "mriseg" / package
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    heads = [line for line in text.splitlines() if line.startswith("`")]
    listed = re.findall(r"`(\w+)`", "\n".join(heads))
    entries = (path for path in folder.iterdir() if not path.name.startswith("_"))
    assert sorted(listed) == sorted(path.stem for path in entries)
