"""Where something lies: a path on this machine, or a URL.

``Path("s3://bucket/x.zarr")`` is the relative path ``s3:/bucket/x.zarr``: a slash is lost, and what
is written there lands in a local folder ``s3:``. So whatever may be a URL is a `Location` and never
a Path, and what has to be local is made one by `local_path`, which refuses URLs, lost slash or not.

Both read a path as a shell and the system do: ``~`` is the home folder, also where quotes kept the
shell from saying so, and ``..`` is the folder above, also behind a link. The libraries below know
neither.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath
from urllib.request import url2pathname

from mriseg.errors import ConfigError

# Schemes have two letters or more here: "C:" is a drive. fsspec chains them, as in "zip::s3://x".
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-:]*[A-Za-z0-9+.\-]:")
_FILE = "file://"


@dataclass(frozen=True)
class Location:
    """A path on this machine, or a URL; make one with `Location.of`.

    Attributes:
        text: the path, without ``~`` and ``..``, or the URL. A ``file://`` URL is the path that it
            names.
    """

    text: str

    @classmethod
    def of(cls, given: str | Path | Location) -> Location:
        """The location that a user's text or path means.

        Raises:
            ConfigError: it looks like a URL that lost a slash, as a URL does that was made a Path;
                or a ``file://`` URL names another machine or no absolute path.
        """
        if isinstance(given, Location):
            return given
        text = str(given)
        if text.lower().startswith(_FILE):
            return cls(_path_in(text))
        if _lost_a_slash(text):
            raise ConfigError(
                f"{text} looks like a URL that lost a slash, which a Path takes away; give the URL "
                f"as text, with two slashes after the colon"
            )
        return cls(text if "://" in text else _followed(text))

    def __str__(self) -> str:
        return self.text

    @property
    def is_local(self) -> bool:
        """Whether it is a path in this machine's file system, and not a URL."""
        return "://" not in self.text

    @property
    def path(self) -> Path:
        """The path of a local one.

        Raises:
            ConfigError: it is a URL.
        """
        return local_path(self)

    @property
    def absolute(self) -> Location:
        """The same place, wherever the process moves to later."""
        return Location(str(self.path.absolute())) if self.is_local else self

    @property
    def name(self) -> str:
        """The last part of the path or the URL; of this folder, its name."""
        if not self.is_local:
            return self.text.rstrip("/").rpartition("/")[2]
        return self.path.name or self.path.absolute().name


def local_path(given: str | Path | Location, what: str = "") -> Path:
    """The path of something that has to lie on this machine.

    Args:
        given: a path, or a ``file://`` URL.
        what: lies there, as the subject of a sentence, such as "a run folder".

    Raises:
        ConfigError: it is another URL, or looks like one that lost a slash.
    """
    text = str(given)
    if text.lower().startswith(_FILE):
        text = _path_in(text)
    if "://" in text or _lost_a_slash(text):
        subject = f"{what} has to be local" if what else "a local path is needed here"
        raise ConfigError(
            f"{text} is a URL, and {subject}: give a path on this machine. Only stores can be "
            f"given by URL"
        )
    return Path(_followed(text))


def _followed(text: str) -> str:
    """A path's text with ``~`` and ``..`` replaced by what they mean."""
    if text.startswith("~"):
        with suppress(RuntimeError):  # a name that begins so, and is no user's
            text = str(Path(text).expanduser())
    parts = PurePath(text).parts
    if ".." not in parts:
        return text
    # Asked of the system, since what is above a link's target is not what is above the link.
    # Links after it keep their own name.
    last = len(parts) - parts[::-1].index("..")
    return str(PurePath(os.path.realpath(PurePath(*parts[:last])), *parts[last:]))


def _lost_a_slash(text: str) -> bool:
    """Whether a path begins with a folder that is called as a URL begins, such as ``s3:``."""
    if "://" in text:
        return False
    parts = PurePath(text).parts
    return bool(parts) and _SCHEME.fullmatch(parts[0]) is not None


def _path_in(url: str) -> str:
    """The absolute path that a ``file://`` URL names."""
    place = url[len(_FILE) :]
    place = place.removeprefix("localhost")
    path = url2pathname(place)
    if not place.startswith("/") or not Path(path).is_absolute():
        raise ConfigError(
            f"{url} names no path on this machine; a file URL has three slashes and an absolute "
            f"path, such as file:///data/store.zarr"
        )
    return path
