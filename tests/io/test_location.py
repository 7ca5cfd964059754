"""A URL is never made a local path, and a local path never taken for a URL."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.errors import ConfigError
from mriseg.io.location import Location, local_path

schemes = st.from_regex(r"[A-Za-z][A-Za-z0-9+.\-]{1,8}", fullmatch=True).filter(
    lambda scheme: scheme.lower() != "file"
)
names = st.text(
    st.characters(codec="utf-8", exclude_characters='/\0\\:*?"<>|', exclude_categories=["C"]),
    min_size=1,
    max_size=12,
).filter(lambda name: name.strip(". ") == name)


@given(schemes, names, names)
def test_a_url_stays_a_url_and_is_no_path(scheme: str, bucket: str, name: str) -> None:
    url = f"{scheme}://{bucket}/{name}"
    location = Location.of(url)
    assert not location.is_local and str(location) == url and location.name == name
    assert Location.of(location) is location
    with pytest.raises(ConfigError, match="give a path on this machine"):
        _ = location.path
    for given_as in (url, location, Path(url), f"./{scheme}:/{name}"):
        with pytest.raises(ConfigError, match="a run folder has to be local"):
            local_path(given_as, "a run folder")


@given(schemes, names)
def test_a_url_that_lost_a_slash_is_refused(scheme: str, name: str) -> None:
    for given_as in (
        Path(f"{scheme}://{name}/x"),
        f"{scheme}:/{name}",
        f"./{scheme}:/{name}",
        f"zip::{scheme}:/{name}",
    ):
        with pytest.raises(ConfigError, match="lost a slash.*give the URL as text"):
            Location.of(given_as)


@given(st.lists(names, min_size=1, max_size=3))
def test_a_path_stays_what_it_is(parts: list[str]) -> None:
    for path in (Path(*parts), Path("/", *parts)):
        for given_as in (path, str(path)):
            location = Location.of(given_as)
            assert location.is_local and location.path == path == local_path(given_as)
            assert location.name == path.name


@given(st.lists(names, min_size=1, max_size=3))
def test_a_file_url_is_the_path_that_it_names(parts: list[str]) -> None:
    path = Path("/", *parts).absolute()
    for url in (path.as_uri(), path.as_uri().replace("file://", "FILE://localhost", 1)):
        assert Location.of(url) == Location(str(path))
        assert local_path(url) == path


@pytest.mark.parametrize("url", ["file://data/x.zarr", "file://", "file://server/share"])
def test_a_file_url_of_another_machine_is_refused(url: str) -> None:
    for make in (Location.of, local_path):
        with pytest.raises(ConfigError, match="three slashes"):
            make(url)


@pytest.mark.parametrize("text", ["a b", "C:/scans", "d:x", "x:y", "scan:1", "a::b", "x~/y", ""])
def test_what_is_no_url(text: str) -> None:
    assert Location.of(text).is_local and local_path(text) == Path(text)


def test_a_path_means_what_a_shell_and_the_system_make_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "far/deep").mkdir(parents=True)
    (tmp_path / "near/of").mkdir(parents=True)
    (tmp_path / "near/link").symlink_to(tmp_path / "far/deep")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "near")
    for text, meant in {
        "~/x.zarr": tmp_path / "x.zarr",
        "~": tmp_path,
        "../x": tmp_path / "x",
        "link/../x": tmp_path / "far/x",  # the link leads to far/deep
        "link": Path("link"),  # keeps its name
        "../near/link": tmp_path / "near/link",
        "..": tmp_path,
        "of/../..": tmp_path,
        ".": Path(),
    }.items():
        assert local_path(text) == local_path(Path(text)) == Location.of(text).path, text
        assert local_path(text) == meant, text
    assert [Location.of(text).name for text in (".", "..")] == ["near", tmp_path.name]
    assert Location.of("link").absolute == Location(str(tmp_path / "near/link"))
    assert Location.of("s3://a/../~").absolute.text == "s3://a/../~"


def test_it_can_be_sent_to_another_process() -> None:
    location = Location.of("memory://a/b.zarr")
    assert pickle.loads(pickle.dumps(location)) == location
