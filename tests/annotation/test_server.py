"""The server listens on this machine alone, and only while it is wanted."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from starlette.responses import Response

from mriseg.annotation.server import serving
from mriseg.errors import ConfigError


class Nothing:
    """Stands in for the page."""

    def app(self) -> Any:
        return Response("nothing")


PAGE: Any = Nothing()


def test_it_ends_with_the_block_and_its_port_is_free_again() -> None:
    with serving(PAGE) as address:
        port = int(address.split(":")[2].split("/")[0])
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        with pytest.raises(OSError):  # every other address of the machine
            socket.create_connection(("127.0.0.2", port), timeout=2).close()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    with serving(PAGE, port) as again:
        assert f":{port}/" in again and again != address  # another token


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"port {port} cannot be listened on"),
            serving(PAGE, port),
        ):
            pass
