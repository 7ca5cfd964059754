"""Stores by URL, from Python and as typed; what has to be local refuses a URL before any work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from mriseg import api
from mriseg.backends import Backend
from mriseg.cli.app import app
from mriseg.errors import ConfigError, MrisegError, OutputError, StoreError
from mriseg.io import nifti
from mriseg.io.runs import Run
from mriseg.io.store import Store, open_store
from mriseg.recipes.info import StoreInfo, holds
from mriseg.testing import phantoms

# Such as fsspec may know or not; "file" is a path on this machine.
schemes = st.from_regex(r"[a-z][a-z0-9+.\-]{1,8}", fullmatch=True).filter(
    lambda scheme: scheme not in ("file", "local", "memory")
)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    phantoms.write_brats(folder, 2, shape=(8, 40, 36))
    return folder


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def type_in(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_file_url_is_written_and_read_as_its_path(workdir: Path, scans: Path) -> None:
    url = (workdir / "a b.zarr").as_uri()
    report = api.preprocess(scans, url, workers=1)
    assert report.store == str(workdir / "a b.zarr") and (workdir / "a b.zarr/report.json").exists()
    assert list(open_store(url).cases()) == list(open_store(workdir / "a b.zarr").cases())
    typed = type_in("preprocess", scans, url)
    assert typed.exit_code == 0 and "2 kept" in typed.stdout
    assert type_in("verify", url, "--sources", scans).exit_code == 0
    assert "2 cases" in type_in("info", url).stdout
    assert [path.name for path in workdir.iterdir()] == ["a b.zarr"]


def test_a_store_at_a_url_does_all_that_one_in_a_folder_does(
    workdir: Path, scans: Path, trained: Run, cpu: Backend
) -> None:
    url = "memory://mriseg-locations/x.zarr"
    first = type_in("preprocess", scans, url, "--workers", 1, "--regions", "WT,TC,ET")
    assert first.exit_code == 0 and "2 written" in first.stdout, first.output
    again = api.preprocess(scans, url, workers=1, regions="WT,TC,ET")
    assert [case.status for case in again.cases] == ["kept", "kept"] and again.store == url
    info = holds(url)
    assert isinstance(info, StoreInfo) and info.location == url and info.cases == 2
    assert not api.verify(url, sources=scans).faults
    report = api.train(url, width=8, epochs=1, batch_size=4, backend="cpu", out=workdir / "run")
    assert api.open_run(report.run).manifest.store == url
    options = ("--model", trained.path, "--no-overlays", "--backend", "cpu", "--precision", "fp32")
    predicted = type_in("predict", url, workdir / "masks", *options)
    assert predicted.exit_code == 0, predicted.output
    from_folder = api.predict(scans, workdir / "others", trained, backend=cpu)
    for result in from_folder.results:
        mask = workdir / "masks" / result.mask.name
        assert np.array_equal(nifti.read(mask)[0], nifti.read(result.mask)[0])
    assert sorted(path.name for path in workdir.iterdir()) == ["masks", "others", "run"]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scheme=schemes)
def test_no_scheme_lands_in_a_folder_of_its_name(workdir: Path, scans: Path, scheme: str) -> None:
    url = f"{scheme}://localhost:1/x.zarr"
    for given_as, error in (
        (url, OutputError),
        (Path(url), ConfigError),
        (f"./{scheme}:/x", ConfigError),
    ):
        with pytest.raises(error) as caught:
            api.preprocess(scans, given_as, workers=1)
        assert "\n" not in str(caught.value)
    with pytest.raises(StoreError):
        api.predict(url, workdir / "masks", "base")
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        "preprocess {scans} s3://bucket/x.zarr --workers 1",
        "preprocess {scans} s3:/bucket/x.zarr --workers 1",
        "preprocess s3://bucket/scans x.zarr",
        "predict s3://bucket/x.zarr masks --model base",
        "predict {scans} s3://bucket/masks --model base",
        "train {store} --out s3://bucket/run",
        "transfer {store} --from base --out s3://bucket/run",
        "transfer {store} --from base --compare --out s3://bucket/run",
        "evaluate {store} --model base --out s3://bucket/evaluation",
        "evaluate {store} --model base --csv s3://bucket/x.csv",
        "evaluate {store} --model base --json s3://bucket/x.json",
        "export torchscript --model base --out s3://bucket/x.pt",
        "share s3://bucket/model --model base",
        "verify s3://bucket/x.zarr",
        "verify {store} --sources s3://bucket/scans",
        "info s3://bucket/x.zarr",
        "demo --out s3://bucket/demo",
        "doctor --json s3://bucket/x.json",
        "bench --json s3://bucket/x.json",
        "verify {store} --json s3://bucket/x.json",
        "info {store} --json s3://bucket/x.json",
        "predict {scans} masks --model s3://bucket/run",
        "train s3://bucket/x.zarr",
        "train --resume --run s3://bucket/run",
    ],
)
def test_a_url_as_typed_ends_in_one_message_and_leaves_nothing(
    workdir: Path, scans: Path, brats_store: Store, line: str
) -> None:
    words = line.format(scans=scans, store=brats_store.location).split()
    result = type_in(*words)
    assert result.exit_code in (2, 3, 5), result.output
    (message,) = [text for text in result.stderr.splitlines() if text.startswith("error: ")]
    assert "s3:/" in message.replace("\n", "")
    assert list(workdir.iterdir()) == [], "something was written"


@pytest.mark.parametrize("convert", [str, Path])
def test_what_is_local_says_so(
    workdir: Path, brats_store: Store, convert: Callable[[str], Any]
) -> None:
    url = convert("s3://bucket/x")
    calls: list[Callable[[], object]] = [
        lambda: api.preprocess(url, "x.zarr"),
        lambda: api.train(brats_store, out=url),
        lambda: api.predict(brats_store, url, "base"),
        lambda: api.evaluate(brats_store, "base", out=url),
        lambda: api.evaluate_masks(url, workdir),
        lambda: api.export("base", out=url),
        lambda: api.share("base", url),
        lambda: api.verify(brats_store.location, sources=url),
        lambda: api.demo(url),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match="has to be local: give a path on this machine"):
            call()
    assert list(workdir.iterdir()) == []


def test_a_run_by_url_is_an_error_of_ours(workdir: Path) -> None:
    with chdir(workdir), pytest.raises(MrisegError):
        api.resume("s3://bucket/run")
