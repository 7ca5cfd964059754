"""The server of the page: on this machine's own address alone, and in a thread."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from mriseg.annotation.app import Page
from mriseg.annotation.guard import Guard, new_token
from mriseg.errors import ConfigError, MrisegError, reason_of

ADDRESS = "127.0.0.1"

# Seconds in which the server comes up, and those that it gives requests when it ends.
_PATIENCE, _GRACE = 20.0, 2
# Connections at a time; a browser opens six.
_MOST_CONNECTIONS = 64


@contextmanager
def serving(page: Page, port: int | None = None) -> Iterator[str]:
    """Serve the page until the block ends; its address, with the token.

    Args:
        page: what is served.
        port: to listen on; None: a free one.

    Raises:
        ConfigError: the port is taken.
    """
    listening = _listening(port)
    number, token = listening.getsockname()[1], new_token()
    config = uvicorn.Config(
        Guard(page.app(), token, number),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + _PATIENCE
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise MrisegError("the server of the page did not start")
            time.sleep(0.01)
        yield f"http://{ADDRESS}:{number}/{token}/"
    finally:
        server.should_exit = True
        thread.join(_GRACE + _PATIENCE)
        listening.close()


def _listening(port: int | None) -> socket.socket:
    """A socket on this machine's own address."""
    listening = socket.socket()
    try:
        listening.bind((ADDRESS, port or 0))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigError(
            f"port {port} cannot be listened on ({reason_of(error)}); name another with --port, "
            f"or leave it out for a free one"
        ) from None
    return listening
