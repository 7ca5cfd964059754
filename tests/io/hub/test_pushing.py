"""A model's folder on the Hub: what is sent, what is left there, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import huggingface_hub.constants as constants
import pytest

from mriseg.errors import ConfigError, MrisegError, OutputError
from mriseg.io.hub.fetching import fetched
from mriseg.io.hub.pushing import check_card, push, pushable
from mriseg.io.model_sources import BASE
from tests.hub import OWNER, READER, Hub, files_of

_CARD = "---\nlibrary_name: mriseg\n---\n\n# Model card: mine\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, with files in it that are nobody else's business."""
    folder = tmp_path / "mine"
    shutil.copytree(str(BASE), folder)
    (folder / "MODEL_CARD.md").unlink()
    (folder / "README.md").write_text(_CARD)
    (folder / "notes.txt").write_text("patients: ...")
    return folder


@pytest.fixture(autouse=True)
def owner(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", OWNER)


def refused(folder: Path, repo: str, kind: type[MrisegError]) -> str:
    with pytest.raises(MrisegError) as caught:
        push(folder, repo)
    assert type(caught.value) is kind, caught.value
    return str(caught.value)


def test_what_was_pushed_is_what_is_fetched(hub: Hub, model: Path) -> None:
    pushed = push(model, "me/mine", private=True)
    assert pushed.url == f"{hub.url}/me/mine" and hub.repos["me/mine"].private
    folder = fetched(pushed.address)
    assert files_of(folder) == files_of(model)
    assert "notes.txt" not in hub.repos["me/mine"].commits[folder.name]


def test_a_second_push_replaces_the_first_and_leaves_what_is_others(hub: Hub, model: Path) -> None:
    first = push(model, "me/mine")
    repo = hub.repos["me/mine"]
    assert not repo.private and first.address.commit
    repo.commit({**repo.commits[first.address.commit], "figure.png": b"png"})
    (model / "certainty.json").unlink()
    second = push(model, "hf:me/mine")
    assert second.address.commit
    names = set(repo.commits[second.address.commit])
    assert names == {path.name for path in pushable(model)} | {"figure.png", ".gitattributes"}


def test_no_token_and_no_network_are_noticed_before_anything_is_sent(
    hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "needs a token: log in with: hf auth login" in refused(model, "me/mine", ConfigError)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    assert "expected USER/NAME" in refused(model, "mine", ConfigError)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(model, "me/mine", ConfigError)
    assert hub.requests == []


def test_what_the_hub_refuses_is_said_in_one_message_each(
    hub: Hub, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no right to do this" in refused(model, "others/mine", OutputError)
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "no right to do this" in refused(model, "me/mine", OutputError)
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    assert "does not know the token" in refused(model, "me/mine", OutputError)
    monkeypatch.setenv("HF_TOKEN", OWNER)
    (model / "README.md").write_text("---\n- a list\n---\n")
    assert "Invalid metadata" in refused(model, "me/mine", OutputError)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    message = refused(model, "me/mine", OutputError)
    assert "does not answer" in message and f"{model} is kept" in message


@pytest.mark.parametrize(
    "top", ["---\n[\n---\n", "---\na: [1\n---\n", "---\nmodel-index: [{results: 3}]\n---\n"]
)
def test_a_card_that_the_hub_cannot_read_is_refused(model: Path, top: str) -> None:
    check_card(model / "README.md")
    (model / "README.md").write_text(top + "# Card\n")
    with pytest.raises(OutputError, match=r"README\.md: the lines between --- at its top"):
        check_card(model / "README.md")
