"""The name of a model on the Hub: ``hf:USER/NAME`` or ``hf:USER/NAME@REVISION``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mriseg.errors import ConfigError

PREFIX = "hf:"

# As the Hub allows them: no two dots or dashes in a row, no dot or dash at an end.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_]|[.-](?![.-]))*(?<![.-])"
_REPO = re.compile(rf"(?=.{{1,96}}$){_PART}/{_PART}")
# A branch, a tag or a commit; never a path that leads elsewhere.
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_](?:[A-Za-z0-9_./-]*[A-Za-z0-9_])?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Address:
    """A model on the Hub.

    Attributes:
        repo: "USER/NAME".
        revision: a branch, a tag or a commit; None: the newest commit.
    """

    repo: str
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> Address:
        """What ``hf:USER/NAME[@REVISION]`` names.

        Raises:
            ConfigError: it is of another form.
        """
        rest = text.removeprefix(PREFIX)
        repo, at, revision = rest.partition("@")
        named = _REPO.fullmatch(repo) and (not at or _REVISION.fullmatch(revision))
        if not text.startswith(PREFIX) or not named:
            raise ConfigError(
                f"{text} is not the name of a model on the Hub: expected hf:USER/NAME or "
                f"hf:USER/NAME@REVISION, where REVISION is a commit, a tag or a branch"
            )
        return cls(repo, revision or None)

    @property
    def commit(self) -> str | None:
        """The commit, where the revision is one in full and so never means another."""
        return self.revision if self.revision and _COMMIT.fullmatch(self.revision) else None

    @property
    def name(self) -> str:
        """The last part of the name."""
        return self.repo.rpartition("/")[2]

    def at(self, commit: str) -> Address:
        """The same model at a commit."""
        return Address(self.repo, commit)

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def is_address(given: object) -> bool:
    """Whether a text means a model on the Hub; "./hf:x" and a Path are folders."""
    return isinstance(given, str) and given.startswith(PREFIX)


def repo_of(text: str) -> str:
    """The "USER/NAME" that a user typed, with or without "hf:" before it.

    Raises:
        ConfigError: it is of another form, or names a revision.
    """
    repo = text.removeprefix(PREFIX)
    if not _REPO.fullmatch(repo):
        raise ConfigError(f"{text} is not a place on the Hub: expected USER/NAME")
    return repo
