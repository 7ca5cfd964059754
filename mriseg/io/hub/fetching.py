"""A model of the Hub as a folder on this machine: in huggingface_hub's own cache.

A commit never changes, so one that is in the cache is taken from it and nobody is asked. A branch
or a tag may mean another model tomorrow: the Hub is asked which commit it is now, and what is
recorded is the commit. Weights come as safetensors alone; a pickle is never fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from mriseg.core.wording import visible
from mriseg.errors import ConfigError, InputError, OutputError, RunError, reason_of
from mriseg.io.disk.documents import write_text
from mriseg.io.hub import FILES
from mriseg.io.hub.address import Address
from mriseg.io.hub.library import UnreachableError, explained, is_offline, library

_NEEDED = ("run.json", "best.safetensors")
# Names of files that may be pickles, which run code when they are read.
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")


def fetched(address: Address) -> Path:
    """The folder of a model, fetched if it is not in the cache.

    Raises:
        RunError: there is no such model or revision, it may not be seen, or it is none of mriseg's.
        InputError: the Hub cannot be reached and the cache lacks the model.
        OutputError: the cache cannot be written.
        ConfigError: huggingface_hub is not installed.
    """
    if address.commit and (folder := _cached(address, address.commit)):
        return folder
    if is_offline():
        return _from_cache(address)
    try:
        with explained(str(address), RunError):
            commit, names = _listed(address)
            _check(address, names)
            return _downloaded(address, commit, names)
    except UnreachableError as error:
        _explain_unreachable(address, error)
    except OSError as error:
        raise OutputError(f"the cache of the Hub cannot be written: {reason_of(error)}") from error


def pinned(address: Address) -> Address:
    """The same model, named by its commit; it is then in the cache. Raises as `fetched` does."""
    return address.at(fetched(address).name)


def address_of(folder: Path) -> Address | None:
    """The model of the Hub that a folder of the cache is; None: it is another folder."""
    snapshots, repo = folder.parent, folder.parent.parent
    if snapshots.name != "snapshots" or not repo.name.startswith("models--"):
        return None
    user, _, name = repo.name.removeprefix("models--").partition("--")
    address = Address(f"{user}/{name}", folder.name)
    if not address.commit:
        return None
    try:
        # Of the cache in use: another one's name would not lead back to it.
        return address if repo.parent == _cache() else None
    except ConfigError:
        return None


def _cache() -> Path:
    return Path(library("constants").HF_HUB_CACHE)


def _repo_folder(address: Address) -> Path:
    return _cache() / f"models--{address.repo.replace('/', '--')}"


def _cached(address: Address, commit: str) -> Path | None:
    folder = _repo_folder(address) / "snapshots" / commit
    return folder if all((folder / name).is_file() for name in _NEEDED) else None


def _known_commit(address: Address) -> str | None:
    """The commit that a branch or a tag was when the Hub was last asked."""
    if address.commit:
        return address.commit
    try:
        path = _repo_folder(address) / "refs" / (address.revision or "main")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _from_cache(address: Address) -> Path:
    commit = _known_commit(address)
    if commit and (folder := _cached(address, commit)):
        return folder
    raise InputError(
        f"{address} is not in the cache ({_cache()}), and HF_HUB_OFFLINE forbids to fetch it: "
        f"unset it, or name a model that is there"
    )


def _explain_unreachable(address: Address, error: UnreachableError) -> NoReturn:
    commit = _known_commit(address)
    is_kept = bool(commit and _cached(address, commit))
    remedy = (
        f"what was fetched before is {address.at(str(commit))}: name that, or set HF_HUB_OFFLINE=1"
        if is_kept
        else "check the network, or set HF_ENDPOINT to a mirror that can be reached"
    )
    raise InputError(f"{address} cannot be fetched, the Hub does not answer ({error}); {remedy}")


def _listed(address: Address) -> tuple[str, list[str]]:
    """The commit of a model, and the names of its files."""
    info = library().HfApi().model_info(address.repo, revision=address.revision, timeout=10)
    return str(info.sha), [item.rfilename for item in info.siblings or ()]


def _check(address: Address, names: list[str]) -> None:
    lacking = [name for name in _NEEDED if name not in names]
    if not lacking:
        return
    pickles = [name for name in names if name.endswith(_PICKLES)]
    has_safetensors = any(name.endswith(".safetensors") for name in names)
    if pickles and not has_safetensors:
        raise RunError(
            f"{address} holds its weights as pickles alone ({visible(', '.join(pickles[:3]))}), "
            f"which can run code when they are read, and are never fetched; ask its owner for what "
            f"mriseg share makes, which is safetensors"
        )
    raise RunError(
        f"{address} is not a model of mriseg's: it lacks {' and '.join(lacking)}, which mriseg "
        f"share makes"
    )


def _downloaded(address: Address, commit: str, names: list[str]) -> Path:
    api: Any = library()
    for name in FILES:
        if name in names:
            path = api.hf_hub_download(
                address.repo, name, revision=commit, tqdm_class=_silent(), library_name="mriseg"
            )
    if address.revision != commit:
        _remember(address, commit)
    return Path(path).parent


def _remember(address: Address, commit: str) -> None:
    """Note which commit a branch or a tag is, where the library looks for that, too."""
    path = _repo_folder(address) / "refs" / (address.revision or "main")
    write_text(path, commit)


def _silent() -> Any:
    """A progress bar that is not shown: it would be drawn across mriseg's own."""

    class Silent(library("utils").tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **{**named, "disable": True})

    return Silent
