"""The name of a model on the Hub is read as a user means it, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.errors import ConfigError
from mriseg.io.hub.address import Address, is_address, repo_of

_TEXT = st.text("ab1._-/\\@~ ", max_size=6)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize("text", ["hf:ada/glioma", "hf:ada/glioma@v1.0", "hf:a_b/c.d-e@refs/pr/1"])
def test_a_name_comes_back_as_it_was_typed(text: str) -> None:
    assert is_address(text) and str(Address.of(text)) == text
    assert Address.of(text).commit is None


def test_a_commit_in_full_is_one() -> None:
    address = Address.of(f"hf:ada/glioma@{COMMIT}")
    assert address.commit == COMMIT and address.name == "glioma"
    assert Address.of("hf:ada/glioma").at(COMMIT) == address
    assert Address.of(f"hf:ada/glioma@{COMMIT[:7]}").commit is None


@pytest.mark.parametrize(
    "text",
    [
        *("hf:", "hf:glioma", "hf:ada/glioma@", "hf:ada/glioma/x", "hf://ada/glioma", "hf:a//b"),
        *("hf:../x", "hf:ada/..", "hf:ada/a--b", "hf:ada/x.", "hf:ada/x@../../etc", "hf:ada/x@-v"),
        *("hf:ada/x@a b", "hf:ada/x@a@b", "hf:ada/" + "x" * 96, "hf:ada/glioma\n", "ada/glioma"),
    ],
)
def test_another_form_is_refused_with_the_right_one(text: str) -> None:
    with pytest.raises(ConfigError, match="expected hf:USER/NAME"):
        Address.of(text)


def test_a_folder_is_never_taken_for_a_name() -> None:
    assert not is_address(Path("hf:ada/glioma")) and not is_address("./hf:ada/glioma")


@settings(max_examples=50)
@given(_TEXT.map(lambda text: f"a{text}/b"), st.none() | _TEXT)
def test_whatever_is_accepted_stays_in_its_folder(repo: str, revision: str | None) -> None:
    try:
        address = Address.of(f"hf:{repo}" + ("" if revision is None else f"@{revision}"))
    except ConfigError:
        return
    for text in (address.repo, address.revision or "x"):
        assert not text.startswith("/") and ".." not in text and "\\" not in text
    assert Address.of(str(address)) == address


def test_a_place_to_push_to_has_no_revision() -> None:
    assert repo_of("hf:ada/glioma") == repo_of("ada/glioma") == "ada/glioma"
    for text in ("ada/glioma@main", "glioma", ""):
        with pytest.raises(ConfigError, match="expected USER/NAME"):
            repo_of(text)
