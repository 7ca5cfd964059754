"""A path may be given in any way that the system understands, to every command and option."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mriseg import api
from mriseg.cli.app import app
from mriseg.core.label_tables import ITK_SNAP, SLICER
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store

# As a shell hands it over in quotes: home, a space, and the folder above a link's target.
PLACE = "~/a b/link/.."
TINY = "--width 8 --epochs 1 --batch-size 4 --backend cpu --precision fp32"
QUICK = "--backend cpu --precision fp32 --no-flips --no-adapt --no-refine"

LINES = [
    "preprocess '{P}/scans' '{P}/new.zarr' --workers 1",
    "preprocess '{P}/scans' '{P}/new.zarr' --workers 2",
    f"train '{{P}}/store.zarr' --out '{{P}}/new' --config '{{P}}/settings.toml' {TINY}",
    f"transfer '{{P}}/store.zarr' --from '{{P}}/run' --out '{{P}}/new' {TINY[10:]}",
    f"predict '{{P}}/store.zarr' '{{P}}/new' --model '{{P}}/run' {QUICK}",
    f"predict '{{P}}/scans/BraTS20_Training_001' '{{P}}/new.nii.gz' --model '{{P}}/run' {QUICK} "
    "--no-overlays",
    f"evaluate '{{P}}/store.zarr' --model '{{P}}/run' --out '{{P}}/new' --csv '{{P}}/new.csv' "
    f"--json '{{P}}/new.json' --no-pictures {QUICK}",
    "evaluate --masks '{P}/masks' --truths '{P}/masks' --json '{P}/new.json'",
    "verify '{P}/store.zarr' --sources '{P}/scans' --json '{P}/new.json'",
    "verify '{P}/run'",
    "info '{P}/store.zarr'",
    "info '{P}/run'",
    "export torchscript --model '{P}/run' --out '{P}/new.pt'",
    "export torchscript --model '{P}/run'",
    "share '{P}/new' --model '{P}/run' --evaluation 'FLAIR={P}/evaluation.json'",
]


@pytest.fixture
def far(
    brats_source: Path,
    brats_store: Store,
    trained: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """The folder that PLACE means, seen from an empty one."""
    far = tmp_path / "far"
    shutil.copytree(brats_source, far / "scans")
    shutil.copytree(brats_store.location, far / "store.zarr")
    shutil.copytree(trained.path, far / "run")
    (far / "settings.toml").write_text('modalities = "T1"\n')
    (far / "evaluation.json").write_text('{"summary": [], "cases": []}')
    (far / "deep").mkdir()
    (far / "masks").mkdir()
    for mask in (far / "scans").glob("*001/*_seg.nii.gz"):
        shutil.copy(mask, far / "masks")
    (tmp_path / "home/a b").mkdir(parents=True)
    (tmp_path / "home/a b/link").symlink_to(far / "deep")
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    return far


@pytest.mark.parametrize("line", LINES)
def test_every_command_takes_every_form_of_a_path(far: Path, line: str) -> None:
    words = shlex.split(line.replace("{P}", PLACE))
    before = set(far.iterdir())
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    named = {word.rpartition("/")[2] for word in words if "/new" in word}
    # What made a mask that is a file of its own is written beside it, its page and its tables.
    beside = ("report.json", "report.html", "volumes.csv", "volumes.json", ITK_SNAP, SLICER)
    named |= {f"new.{name}" for name in beside} if "new.nii.gz" in named else set()
    assert {path.name for path in set(far.iterdir()) - before} == named
    assert list(Path().iterdir()) == [], "something was written here"
    assert [path.name for path in Path("../home/a b").iterdir()] == ["link"]


def test_a_store_is_read_from_the_folder_beside(
    brats_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(brats_store.location, tmp_path / "x.zarr")
    (tmp_path / "y.zarr").symlink_to("x.zarr")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for given in ("../x.zarr", Path("../x.zarr"), "../here/../y.zarr", "../y.zarr"):
        store = open_store(given)
        for name in store.cases():
            assert store.read_case(name).image.any()
    # What is open stays where it is, and what is opened next too.
    monkeypatch.chdir(tmp_path)
    store = open_store("x.zarr")
    monkeypatch.chdir(tmp_path / "here")
    assert store.read_case(min(store.cases())).image.any()


def test_a_run_remembers_a_store_that_was_named_from_elsewhere(far: Path) -> None:
    report = api.train(f"{PLACE}/store.zarr", width=8, epochs=1, batch_size=4, backend="cpu")
    assert open_run(report.run).manifest.store == str(far / "store.zarr")
    assert report.run.parent == Path("runs") and report.run.name.endswith("-store")


def test_a_model_at_a_url_is_refused_as_such() -> None:
    for words in ("predict x y --model s3://a/b", "export torchscript --model s3://a/b"):
        result = CliRunner().invoke(app, words.split())
        assert result.exit_code == 2
        assert "a model (a run's folder, or base) has to be local" in " ".join(
            result.stderr.split()
        )
        assert "does not exist" not in result.stderr
