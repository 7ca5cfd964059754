"""A model that was shared is pushed as it stands; a run with its training never is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mriseg
from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import OutputError, RunError
from mriseg.events import Notice, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.push import push
from mriseg.recipes.share import share
from mriseg.recipes.transfer import transfer
from tests import hub as stub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[stub.Hub]:
    with stub.in_use(tmp_path, monkeypatch) as hub:
        monkeypatch.setenv("HF_TOKEN", stub.OWNER)
        yield hub


def test_what_is_shared_and_pushed_is_used_by_its_address(
    trained: Run, hub: stub.Hub, tmp_path: Path
) -> None:
    finish(share(trained, tmp_path / "mine", terms="MIT"))
    events: list[object] = []
    report = finish(push(open_run(tmp_path / "mine"), "me/mine", private=True), events.append)
    assert report.address in str(events) and isinstance(events[-1], Notice)
    assert report.size_bytes == sum(p.stat().st_size for p in (tmp_path / "mine").iterdir())
    fetched = open_run(report.address)
    assert fetched.digest() == open_run(tmp_path / "mine").digest() and fetched.name == "mine"
    assert fetched.manifest.salt and fetched.is_shared
    assert (fetched.path / "README.md").read_text().startswith('---\nlibrary_name: "mriseg"\n')
    assert mriseg.info(report.address).card.terms == "MIT"  # type: ignore[union-attr]
    assert mriseg.verify(report.address).faults == []


@pytest.mark.slow
def test_what_is_learnt_from_it_names_the_commit_also_when_it_is_shared(
    hub: stub.Hub, brats_store: Store, cpu: Backend, tiny: TrainConfig, tmp_path: Path
) -> None:
    source = open_run("hf:ada/glioma")
    width = source.manifest.model["width"]
    once = tiny.model_copy(update={"epochs": 1, "width": width})
    report = finish(transfer(brats_store, source, once, cpu, out=tmp_path / "carried"))
    shared = finish(share(open_run(report.run), tmp_path / "again"))
    address = f"hf:ada/glioma@{source.path.name}"
    parent = open_run(shared.path).manifest.parent
    assert parent is not None and parent["run"] == address
    card = (shared.path / "README.md").read_text()
    assert f"transferred from `{address}`" in card and 'base_model: "ada/glioma"' in card


def test_a_run_with_its_training_is_never_pushed(trained: Run, hub: stub.Hub) -> None:
    with pytest.raises(RunError, match="with its training, its names and its paths"):
        finish(push(trained, "me/mine"))
    assert hub.requests == []


def test_a_card_that_was_spoilt_is_noticed_before_anything_is_sent(
    trained: Run, hub: stub.Hub, tmp_path: Path
) -> None:
    finish(share(trained, tmp_path / "mine"))
    card = tmp_path / "mine" / "README.md"
    card.write_text(card.read_text().replace("tags:", "tags: ["))
    with pytest.raises(OutputError, match="cannot be read as the Hub reads them"):
        finish(push(open_run(card.parent), "me/mine"))
    assert hub.requests == []


def test_damaged_weights_are_not_pushed(trained: Run, hub: stub.Hub, tmp_path: Path) -> None:
    finish(share(trained, tmp_path / "mine"))
    weights = tmp_path / "mine" / "best.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        finish(push(open_run(weights.parent), "me/mine"))
    assert hub.requests == []


def typed(words: str, folder: Path, answer: str | None, **environment: str) -> tuple[int, str]:
    """The exit code and output of a command at a terminal, or (answer None) in a script."""
    command = [sys.executable, "-m", "mriseg", *words.split()]
    settings = {**os.environ, "PYTHONPATH": str(Path(mriseg.__file__).parents[1]), **environment}
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = subprocess.run(
            command,
            cwd=folder,
            env=settings,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL if answer is None else theirs,
            timeout=300,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.slow
def test_as_typed_it_asks_first(tmp_path: Path) -> None:
    """With the settings that users have: variables of the environment."""
    with stub.serving() as hub:
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": stub.OWNER,
            "HF_HUB_DISABLE_XET": "1",
        }
        words = "share mine --model hf:ada/glioma --push me/mine"
        code, output = typed(words, tmp_path, None, **settings)
        assert code == 2 and "nobody can answer here: add --yes" in output
        assert not (tmp_path / "mine").exists() and hub.requests == []

        code, output = typed(words, tmp_path, "n", **settings)
        assert code == 1 and "not pushed; mine is kept" in output and "me/mine" not in hub.repos
        assert "without the names of cases" in output
        commit = hub.repos["ada/glioma"].refs["main"]
        assert f"hf:ada/glioma is now hf:ada/glioma@{commit}" in output

        card = tmp_path / "mine" / "README.md"
        card.write_text(card.read_text() + "\nEdited.\n")
        code, output = typed("share mine --push me/mine --private", tmp_path, "y", **settings)
        assert code == 0, output
        address = re.search(r"hf:me/mine@[0-9a-f]{40}", output)
        assert address and hub.repos["me/mine"].private
        pushed = hub.repos["me/mine"].commits[address[0][-40:]]
        assert pushed["README.md"].endswith(b"\nEdited.\n")

        code, output = typed("info hf:me/mine", tmp_path, None, **settings)
        assert code == 0 and "a model to predict with" in output
        # Now without a network, by the cache alone.
        offline = {**settings, "HF_HUB_OFFLINE": "1"}
        for command, expected in (
            (f"verify {address[0]}", 0),
            ("verify hf:me/mine", 0),
            ("verify hf:me/mine@v9", 3),
            ("verify hf:me", 2),
        ):
            code, output = typed(command, tmp_path, None, **offline)
            assert code == expected and "Traceback" not in output, output
    code, output = typed("share mine2 --model base --push me/x --yes", tmp_path, None, **settings)
    assert code == 5 and "does not answer" in output and (tmp_path / "mine2").is_dir()
