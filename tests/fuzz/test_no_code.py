"""Nothing that mriseg reads can run code: files that try, and modules that could."""

from __future__ import annotations

import ast
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

import mriseg
from mriseg.cli.settings import read_settings
from mriseg.errors import ConfigError, InputError, MrisegError, StoreError
from mriseg.events import finish
from mriseg.io import readers
from mriseg.io.runs import open_run
from mriseg.io.runs.encoder_weights import load_encoder_weights
from mriseg.io.store import open_store
from mriseg.recipes.verify import verify
from tests.fuzz import pickles
from tests.fuzz.seeds import Seeds

SOURCES = sorted(Path(mriseg.__file__).parent.rglob("*.py"))

# (module, call): why it cannot run what a stranger wrote.
ALLOWED = {
    # An export is compared with the model right after it was written, from the same path.
    ("torchscript.py", "torch.jit.load"),
    ("monai.py", "torch.jit.load"),
    # The suite for readers sends a case through pickle, as to another process; no file is read.
    ("readers.py", "pickle.loads"),
}
FORBIDDEN = {
    "pickle": {"load", "loads", "Unpickler"},
    "cPickle": {"load", "loads"},
    "dill": {"load", "loads"},
    "joblib": {"load"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "yaml": {"load", "unsafe_load", "full_load"},
    "torch.jit": {"load"},
    "torch.package": {"PackageImporter"},
    "runpy": {"run_path", "run_module"},
    "os": {"system", "popen"},
}


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors", ".npy", ".npz", ".bin"])
def test_pickles_in_place_of_weights_do_nothing(tmp_path: Path, ending: str) -> None:
    planted = tmp_path / "outside" / "planted"
    planted.parent.mkdir()
    for number, bomb in enumerate(pickles.bombs(planted)):
        for value in (bomb, {"features.0.weight": bomb}):
            for form, data in enumerate(pickles.files(value)):
                path = tmp_path / f"{number}-{form}{ending}"
                path.write_bytes(data)
                with pytest.raises(InputError):
                    load_encoder_weights(path)
    assert not [*planted.parent.iterdir()]


def test_the_bombs_are_live(tmp_path: Path) -> None:
    for number, bomb in enumerate(pickles.bombs(tmp_path / "planted")):
        path = tmp_path / f"{number}.pth"
        path.write_bytes(pickles.files(bomb)[1])
        torch.load(path, weights_only=False)
        [created] = tmp_path.glob("planted*")
        created.unlink()


def test_a_program_is_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(pickles.script())
    with pytest.raises(InputError, match="cannot be read"):
        load_encoder_weights(path)


def test_a_zip_bomb_is_no_weights(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(pickles.inflated(2**24))
    assert path.stat().st_size < 2**16
    with pytest.raises(InputError, match="would expand to more bytes than it has"):
        load_encoder_weights(path)


def test_unexpected_metadata_of_safetensors_is_text(tmp_path: Path, seeds: Seeds) -> None:
    tried = "__import__('os').system('touch planted')"
    data = save({"w": torch.zeros(2)}, metadata={"state": tried, "format": "pt", tried: tried})
    (tmp_path / "x.safetensors").write_bytes(data)
    assert set(load_encoder_weights(tmp_path / "x.safetensors")) == {"w"}
    run = shutil.copytree(seeds.model, tmp_path / "run")
    (run / "best.safetensors").write_bytes(data)
    with pytest.raises(InputError):
        open_run(run).load("best")


@pytest.mark.parametrize(
    "text",
    [
        '!!python/object/apply:os.system ["touch planted"]',
        "loss = \"__import__('os').system('touch planted')\"",
        'encoder_weights = "x"\n"$(touch planted)" = 1',
    ],
)
def test_settings_are_data(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.toml").write_text(text)
    try:
        settings = read_settings(tmp_path / "x.toml")
    except ConfigError:
        return
    assert settings["loss"].startswith("__import__")  # a name, which no loss has


@pytest.mark.parametrize("local", [True, False])
def test_a_store_of_zarrs_second_version_is_not_read(
    tmp_path: Path, seeds: Seeds, local: bool
) -> None:
    # That version knows a codec that unpickles (zarr 3.1 happens to refuse it). Its array lies
    # where a case's image is expected.
    root = shutil.copytree(seeds.store, tmp_path / "s.zarr")
    [name, *_] = open_store(root).cases()
    image = root / "cases" / name / "image"
    shutil.rmtree(image)
    about = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None}
    about |= {"compressor": None, "order": "C", "filters": [{"id": "pickle", "protocol": 2}]}
    image.mkdir()
    (image / ".zarray").write_text(json.dumps(about))
    bomb = pickles.Bomb(Path.touch, tmp_path / "planted")
    (image / "0").write_bytes(pickles.files(np.array([bomb], dtype=object))[0])
    with pytest.raises(StoreError):
        open_store(root if local else root.as_uri()).read_case(name)
    assert not (tmp_path / "planted").exists()


def test_a_model_card_is_not_parsed(tmp_path: Path, seeds: Seeds) -> None:
    run = shutil.copytree(seeds.model, tmp_path / "run")
    (run / "MODEL_CARD.md").write_text("---\n!!python/object/apply:os.system ['false']\n---\n")
    assert open_run(run).is_shared


def test_an_exported_file_is_checked_without_running_it(
    tmp_path: Path, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*given: object, **named: object) -> None:
        raise AssertionError("a stranger's program was loaded")

    monkeypatch.setattr(torch.jit, "load", never)
    path = tmp_path / "model.torchscript.pt"
    path.write_bytes(seeds.exported)
    assert finish(verify(path)).kind == "export"


def test_scans_that_are_pickles(tmp_path: Path) -> None:
    for number, bomb in enumerate(pickles.bombs(tmp_path / "planted")):
        for form, data in enumerate(pickles.files(bomb)):
            for ending in (".nii", ".nii.gz"):
                (tmp_path / f"scan{number}{form}_t1{ending}").write_bytes(data)
    _, listing = readers.find(tmp_path, "flat")
    for case in listing.cases:
        with pytest.raises(MrisegError):
            case.load()
    assert not (tmp_path / "planted").exists()


def _calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def _faults(path: Path) -> list[str]:
    faults = []
    for name, call in _calls(path):
        module, _, function = name.rpartition(".")
        named = {word.arg: ast.unparse(word.value) for word in call.keywords}
        loads = name in ("torch.load", "torch.hub.load_state_dict_from_url")
        if (
            name in ("eval", "exec", "compile", "__import__")
            or function in FORBIDDEN.get(module, set())
            or (loads and named.get("weights_only") != "True")
            or named.get("allow_pickle", "False") != "False"
            or named.get("trust_remote_code", "False") != "False"
            or named.get("shell", "False") != "False"
        ) and (path.name, name) not in ALLOWED:
            faults.append(f"{path.name}:{call.lineno}: {name}")
    return faults


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_could_run_what_it_reads(path: Path) -> None:
    assert not _faults(path)


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pickle.loads(data)",
        "np.load(path, allow_pickle=True)",
        "torch.jit.load(path)",
        "eval(text)",
        "yaml.load(text)",
    ],
)
def test_that_would_be_seen(tmp_path: Path, line: str) -> None:
    (tmp_path / "module.py").write_text(line)
    assert len(_faults(tmp_path / "module.py")) == 1


def test_zarr_is_asked_for_its_third_version() -> None:
    for path in SOURCES:
        for name, call in _calls(path):
            if name == "zarr.open_array":
                assert "zarr_format" in {word.arg for word in call.keywords}
