"""A folder of a model to the Hub: its weights, its manifest and its card, in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mriseg.errors import ConfigError, OutputError, first_line
from mriseg.io.hub import FILES
from mriseg.io.hub.address import Address, repo_of
from mriseg.io.hub.library import LOGIN, UnreachableError, endpoint, explained, is_offline, library


@dataclass(frozen=True)
class Pushed:
    """A model that was handed to the Hub.

    Attributes:
        address: the model, at the commit that was made.
        url: its page.
    """

    address: Address
    url: str


def check_push(repo: str) -> str:
    """The place to push to, "USER/NAME", if nothing that is known beforehand forbids to push there.

    Raises:
        ConfigError: the name is of another form, nobody is logged in, the Hub must not be asked, or
            huggingface_hub is not installed.
    """
    name = repo_of(repo)
    if is_offline():
        raise ConfigError("HF_HUB_OFFLINE is set, which forbids to push: unset it")
    if not library().get_token():
        raise ConfigError(f"pushing to {endpoint()} needs a token: {LOGIN}")
    return name


def pushable(folder: Path) -> list[Path]:
    """The files of a folder that are pushed."""
    return [folder / name for name in FILES if (folder / name).is_file()]


def check_card(path: Path) -> None:
    """Make sure that the Hub can read the front matter of a card.

    Raises:
        OutputError: it cannot, as where it was edited by hand.
    """
    try:
        library().ModelCard.load(path)
    except Exception as error:  # of YAML, of the library, of its own validation
        raise OutputError(
            f"{path}: the lines between --- at its top cannot be read as the Hub reads them: "
            f"{first_line(error)}"
        ) from None


def push(folder: Path, repo: str, *, private: bool = False) -> Pushed:
    """Make a commit on the Hub of a folder's model; the repository is made where there is none.

    Files that mriseg wrote there before and that the folder lacks are removed; others stay.

    Args:
        folder: of the model.
        repo: "USER/NAME".
        private: a repository that is made is seen by its owner alone.

    Raises:
        ConfigError: see `check_push`.
        OutputError: the Hub refuses, or cannot be reached.
    """
    repo = check_push(repo)
    api = library().HfApi(library_name="mriseg")
    files = [path.name for path in pushable(folder)]
    try:
        with explained(f"hf:{repo}", OutputError):
            api.create_repo(repo, private=private or None, exist_ok=True)
            commit = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                allow_patterns=files,
                delete_patterns=[name for name in FILES if name not in files],
                commit_message="Model from mriseg share",
            )
    except UnreachableError as error:
        raise OutputError(
            f"hf:{repo} was not pushed, the Hub does not answer ({error}); {folder} is kept: push "
            f"it again later"
        ) from error
    except (ValueError, OSError, RuntimeError) as error:
        raise OutputError(f"hf:{repo} was not pushed: {first_line(error)}") from error
    return Pushed(Address(repo, commit.oid), f"{endpoint()}/{repo}")
