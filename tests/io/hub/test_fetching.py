"""A model of the Hub: from a Hub on loopback, from a cache laid by hand, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub.constants as constants
import pytest

from mriseg.errors import ConfigError, InputError, MrisegError, RunError
from mriseg.io.hub import FILES
from mriseg.io.hub.address import Address
from mriseg.io.hub.fetching import address_of, fetched, pinned
from mriseg.io.model_sources import BASE, locate, spoken
from mriseg.io.runs import open_run
from tests.hub import OWNER, READER, Hub, Repo, files_of

NAME = Address("ada/glioma")


def refused(address: Address | str, kind: type[MrisegError]) -> str:
    with pytest.raises(MrisegError) as caught:
        fetched(address if isinstance(address, Address) else Address.of(address))
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def test_a_model_is_fetched_once_and_recorded_by_its_commit(hub: Hub) -> None:
    run = open_run("hf:ada/glioma")
    commit = hub.repos["ada/glioma"].refs["main"]
    assert run.path.name == commit and run.name == "glioma"
    assert run.digest() == open_run("base").digest() and run.load("best").weights
    assert spoken(run.path) == f"hf:ada/glioma@{commit}" == str(pinned(NAME))
    assert {path.name for path in run.path.iterdir()} == set(FILES) & set(files_of(Path(str(BASE))))
    # A commit never changes: nobody is asked again.
    before = len(hub.requests)
    assert locate(f"hf:ada/glioma@{commit}") == run.path
    assert len(hub.requests) == before


def test_a_branch_is_followed_and_a_commit_is_not(hub: Hub) -> None:
    repo = hub.repos["ada/glioma"]
    first = fetched(NAME)
    repo.refs["v1"] = first.name
    files = dict(repo.commits[first.name])
    second = repo.commit({**files, "README.md": b"another card"})
    assert fetched(NAME).name == second != first.name
    assert fetched(Address("ada/glioma", "v1")) == first
    assert fetched(NAME.at(first.name)) == first


def test_pickles_are_never_fetched(hub: Hub) -> None:
    files = files_of(Path(str(BASE)))
    hub.repos["ada/both"] = Repo()
    hub.repos["ada/both"].commit({**files, "pytorch_model.bin": b"\x80\x04", "train.pkl": b"\x80"})
    folder = fetched(Address("ada/both"))
    assert {path.name for path in folder.iterdir()} == set(files)
    assert not [request for request in hub.requests if "bin" in request or "pkl" in request]
    hub.repos["ada/pickled"] = Repo()
    hub.repos["ada/pickled"].commit({"run.json": b"{}", "model.pt": b"\x80"})
    message = refused("hf:ada/pickled", RunError)
    assert "as pickles alone (model.pt)" in message and "never fetched" in message


def test_what_is_no_model_of_mrisegs_is_refused(hub: Hub) -> None:
    hub.repos["ada/bert"] = Repo()
    hub.repos["ada/bert"].commit({"model.safetensors": b"", "config.json": b"{}"})
    assert "lacks run.json and best.safetensors" in refused("hf:ada/bert", RunError)


def test_a_file_that_was_changed_is_seen_by_its_digest(hub: Hub) -> None:
    files = files_of(Path(str(BASE)))
    weights = bytearray(files["best.safetensors"])
    weights[-5] ^= 1
    hub.repos["ada/glioma"].commit({**files, "best.safetensors": bytes(weights)})
    with pytest.raises(RunError, match="damaged"):
        open_run("hf:ada/glioma").load("best")
    manifest = json.loads(files["run.json"])
    manifest["created"] = "2020-01-01"
    hub.repos["ada/glioma"].commit({**files, "run.json": json.dumps(manifest).encode()})
    with pytest.raises(RunError, match="damaged or was edited"):
        open_run("hf:ada/glioma")


def test_what_the_hub_refuses_is_said_in_one_message_each(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is no such model" in refused("hf:ada/gliomas", RunError)
    assert "no such revision" in refused("hf:ada/glioma@v9", RunError)
    hub.repos["ada/glioma"].gated = True
    assert "gives access on request" in refused(NAME, RunError)
    hub.repos["ada/glioma"] = Repo(hub.repos["ada/glioma"].refs, hub.repos["ada/glioma"].commits)
    hub.repos["ada/glioma"].private = True
    assert "hf auth login" in refused(NAME, RunError)
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "may not be seen with the token" in refused(NAME, RunError)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    assert "does not know the token in use" in refused(NAME, RunError)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    assert fetched(NAME).is_dir()
    hub.repos["ada/glioma"].commit(files_of(Path(str(BASE))))
    hub.broken = 500
    assert "answered 500" in refused(NAME, RunError)


def test_without_a_network_only_what_is_pinned_is_used(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fetched(NAME)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    message = refused(NAME, InputError)
    assert "does not answer" in message
    assert f"fetched before is hf:ada/glioma@{folder.name}: name that" in message
    assert fetched(NAME.at(folder.name)) == folder
    assert "check the network" in refused("hf:ada/other", InputError)


def test_offline_the_cache_is_all_there_is(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fetched(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    before = len(hub.requests)
    assert fetched(NAME) == fetched(NAME.at(folder.name)) == folder
    message = refused("hf:ada/glioma@v9", InputError)
    assert "HF_HUB_OFFLINE forbids" in message and str(folder.parents[2]) in message
    assert len(hub.requests) == before


def test_a_cache_that_was_laid_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is carried to a machine without a network: links from snapshots to blobs."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repo = tmp_path / "models--ada--glioma"
    snapshot = repo / "snapshots" / commit
    for folder in (repo / "blobs", repo / "refs", snapshot):
        folder.mkdir(parents=True)
    for number, (name, content) in enumerate(files_of(Path(str(BASE))).items()):
        (repo / "blobs" / str(number)).write_bytes(content)
        (snapshot / name).symlink_to(Path("..", "..", "blobs", str(number)))
    (repo / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    run = open_run("hf:ada/glioma")
    assert run.path == snapshot and run.digest() == open_run("base").digest()
    (snapshot / "best.safetensors").unlink()
    assert "not in the cache" in refused(NAME.at(commit), InputError)


def test_only_a_folder_of_the_cache_has_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--ada--glioma" / "snapshots" / commit
    assert address_of(folder) == NAME.at(commit)
    for other in (
        folder.with_name("abc"),
        tmp_path / "runs" / commit,
        tmp_path / "x" / folder.name,
    ):
        assert address_of(other) is None
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert address_of(folder) is None and spoken(folder) == str(folder)


def test_without_the_library_one_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r'pip install "mriseg\[hub\]"'):
        open_run("hf:ada/glioma")
