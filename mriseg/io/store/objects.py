"""The files of a store in an object store such as S3, read and written through obstore.

obstore repeats what is throttled (503), broken (5xx), reset, cut off or too slow, with growing and
random pauses. What is left to this module: keys that are not seen yet or no longer, checks that
what was written is there, and errors that name the key and what to do.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import ObjectStore, WrapperStore

from mriseg.errors import reason_of
from mriseg.io.location import Location
from mriseg.io.store import clients
from mriseg.io.store.storage import PATIENCE, NotYetError, Tree, about, patiently

T = TypeVar("T")

# Requests under way at once.
_AT_ONCE = 32
# Written in one request up to here, which a server takes whole or not at all.
_ONE_PUT = 2**29
_STATUS = re.compile(r"status code: (\d{3})")
_BROKEN_OFF = re.compile(r"body error|decoding response|connection closed", re.IGNORECASE)
_CODE = re.compile(r"<Code>(\w+)</Code>")


class ObjectTree(Tree):
    """`mriseg.io.store.storage.Tree` of an object store.

    Names are keys below the location. Every method raises OSError, with the key and the URL.
    """

    def __init__(self, location: str | Location) -> None:
        """Nothing is asked of the server yet.

        Raises:
            OSError: a library is missing, or no credentials are known.
        """
        self._location = Location.of(location)
        self._store = clients.opened(str(self._location))

    def is_empty(self) -> bool:
        """Whether nothing lies at a URL."""
        listing = self._do("", lambda: _obstore().list_with_delimiter(self._store))
        return not listing["objects"] and not listing["common_prefixes"]

    def read(self, name: str) -> bytes:
        """A whole object."""
        return self._do(name, lambda: bytes(_obstore().get(self._store, name).bytes()))

    def read_each(self, names: Sequence[str]) -> list[bytes | None]:
        """Many objects at once; None for one that does not exist."""

        def read(name: str) -> bytes | None:
            try:
                return self.read(name)
            except FileNotFoundError:
                return None

        return _each(read, names)

    def folders(self, name: str) -> list[str]:
        """The names of the folders in a folder, sorted; none where it does not exist."""
        listing = self._do(name, lambda: _obstore().list_with_delimiter(self._store, name or None))
        return sorted(str(prefix).rpartition("/")[2] for prefix in listing["common_prefixes"])

    def names(self, name: str) -> list[str]:
        """The names of the objects that lie in a folder itself, sorted."""
        listing = self._do(name, lambda: _obstore().list_with_delimiter(self._store, name or None))
        return sorted(str(one["path"]).rpartition("/")[2] for one in listing["objects"])

    def files(self, name: str) -> list[str]:
        """Every object below a folder, by its name relative to that folder, sorted."""
        return sorted(self.sizes(name))

    def sizes(self, name: str) -> dict[str, int]:
        """Every object below a folder, by its name relative to that folder -> bytes."""
        start = len(name) + 1 if name else 0

        def listed() -> dict[str, int]:
            return {
                str(one["path"])[start:]: int(one["size"])
                for some in _obstore().list(self._store, name or None, chunk_size=1000)
                for one in some
            }

        return self._do(name, listed)

    def size(self, name: str) -> int | None:
        """In bytes; None where the object does not exist."""
        try:
            return self._do(name, lambda: int(_obstore().head(self._store, name)["size"]))
        except FileNotFoundError:
            return None

    def is_there(self, name: str) -> bool:
        """Whether an object exists, after some patience."""
        try:
            return patiently(lambda: self._sure_size(name)) >= 0
        except FileNotFoundError:
            return False

    def open(self, name: str) -> BinaryIO:
        """An object, read whole: a case's largest is a few megabytes."""
        return BytesIO(self.read(name))

    def write(self, name: str, data: bytes) -> None:
        """An object, whole or not at all, and there when this returns."""
        parts = len(data) > _ONE_PUT
        self._do(name, lambda: _obstore().put(self._store, name, data, use_multipart=parts))
        try:
            patiently(lambda: self._sure_size(name, len(data)))
        except NotYetError as error:
            raise OSError(
                f"{self._url(name)} has {error.size} bytes after {len(data)} were written: another "
                f"process writes there, or the server lost a part"
            ) from None

    def create(self, name: str, data: bytes) -> bool:
        """Write an object unless there is one; gives whether there was none.

        Where the server knows no such condition, it is looked for and then written.
        """
        obstore = _obstore()
        try:
            self._do(
                name,
                lambda: obstore.put(self._store, name, data, mode="create", use_multipart=False),
            )
        except FileExistsError:
            # This may be our own, where the answer was lost and the request repeated.
            return self.read(name) == data
        patiently(lambda: self._sure_size(name))
        return True

    def remove(self, name: str) -> None:
        """An object; one that does not exist is no error."""
        self._do(name, lambda: _obstore().delete(self._store, name))

    def for_tensorstore(self, name: str) -> dict[str, Any] | None:
        """A folder as tensorstore takes it; None where its credentials are of another kind."""
        return clients.for_tensorstore(str(self._location), name)

    def zarr_store(self) -> Any:
        """These files as zarr's storage, to read them."""
        return _AllWritten(self)

    def _sure_size(self, name: str, expected: int | None = None) -> int:
        size = self.size(name)
        if size is None or (expected is not None and size != expected):
            if size is None:
                raise FileNotFoundError(f"{self._url(name)} does not exist")
            raise NotYetError(size)
        return size

    def _do(self, name: str, ask: Callable[[], T]) -> T:
        """What a request gives; the library's errors as OSErrors that name the key.

        What the library does not repeat, such as an answer of which the rest never came, is
        repeated here.
        """
        from obstore.exceptions import BaseError

        for seconds in (*PATIENCE, None):
            try:
                answer = ask()
            except (OSError, BaseError) as error:
                if seconds is None or not _BROKEN_OFF.search(str(error)):
                    raise self._told(name, error) from None
                time.sleep(about(seconds))
            else:
                if not clients.is_known(
                    str(self._location)
                ):  # from now on it is worth more patience
                    clients.answered(str(self._location))
                    self._store = clients.opened(str(self._location))
                return answer
        raise AssertionError("the last attempt returns or raises")

    def _url(self, name: str) -> str:
        return f"{str(self._location).rstrip('/')}/{name}" if name else str(self._location)

    def _told(self, name: str, error: Exception) -> OSError:
        from obstore import exceptions

        url, bucket, text = self._url(name), urlsplit(str(self._location)).netloc, str(error)
        server = clients.endpoint()
        code = match[1] if (match := _CODE.search(text)) else ""
        if code == "NoSuchBucket":
            return OSError(
                f"there is no bucket {bucket!r} at {server}; make it there, or correct the URL"
            )
        if isinstance(error, exceptions.AlreadyExistsError):
            return FileExistsError(f"{url} exists already")
        if isinstance(error, FileNotFoundError | exceptions.NotFoundError):
            return FileNotFoundError(f"{url} does not exist")
        refused = exceptions.PermissionDeniedError, exceptions.UnauthenticatedError, PermissionError
        if isinstance(error, refused) or code in ("AccessDenied", "InvalidAccessKeyId"):
            return PermissionError(
                f"{server} refuses it ({code or 'no rights'}): the credentials in use may not "
                f"do this in the bucket {bucket!r}; give others (AWS_PROFILE, or "
                f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), or ask its owner for the rights"
            )
        status = match[1] if (match := _STATUS.search(text)) else ""
        if status:
            said = " ".join(filter(None, (status, code)))
            return OSError(f"{url}: {server} answers {said}, again and again; try it later")
        if "error sending request" in text or "onnect" in text:
            return OSError(
                f"{url}: {server} cannot be reached; check the network and, for a server of "
                f"your own, AWS_ENDPOINT_URL"
            )
        return OSError(f"{url}: {reason_of(error)[:300]}")


def _each(read: Callable[[str], T], names: Sequence[str]) -> list[T]:
    if len(names) < 2:
        return [read(name) for name in names]
    with ThreadPoolExecutor(min(_AT_ONCE, len(names)), thread_name_prefix="mriseg-get") as pool:
        return list(pool.map(read, names))


class _AllWritten(WrapperStore[Any]):
    """zarr's storage of a store's arrays, in which no chunk is missing.

    zarr reads zeros where one is. Here it is asked for again, and then an error.
    """

    def __init__(self, tree: ObjectTree) -> None:
        super().__init__(ObjectStore(tree._store, read_only=True))
        self._tree = tree

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        from obstore.exceptions import BaseError

        for seconds in (*PATIENCE, None):
            try:
                value = await self._store.get(key, prototype, byte_range)
            except (OSError, BaseError) as error:
                if seconds is None or not _BROKEN_OFF.search(str(error)):
                    raise self._tree._told(key, error) from None
                value = None
            if value is not None or "/c/" not in key:
                return cast("Buffer | None", value)
            if seconds is not None:
                await asyncio.sleep(about(seconds))
        raise FileNotFoundError(f"{self._tree._url(key)} does not exist")


def _obstore() -> Any:
    # Late: only stores at such URLs need it.
    import obstore

    return obstore
