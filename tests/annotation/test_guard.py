"""Only the page itself is answered: token, Host, Origin, and no more than a request may hold."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from starlette.responses import Response

from mriseg.annotation import server
from mriseg.annotation.guard import new_token
from mriseg.errors import ConfigError


class Told:
    """Stands in for the page: says which path it saw, and reads what it is sent."""

    def app(self) -> object:
        async def answer(scope, receive, send):  # type: ignore[no-untyped-def]
            await Response(scope["path"])(scope, receive, send)

        return answer


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[int, str]]:
    with server.serving(Told()) as where:  # type: ignore[arg-type]
        _, _, host, token, _ = where.split("/")
        yield int(host.split(":")[1]), token


def raw(port: int, request: bytes) -> tuple[int, bytes]:
    """What comes back of bytes that are sent as they are."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(2**16):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head + b"\r\n\r\n" + body


def get(port: int, path: str, *headers: str, host: str | None = None) -> tuple[int, bytes]:
    lines = [f"GET {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", "Connection: close"]
    return raw(port, "\r\n".join([*lines, *headers, "", ""]).encode("latin-1"))


def test_the_page_itself_is_answered(address: tuple[int, str]) -> None:
    port, token = address
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        assert get(port, f"/{token}/x/y", host=host)[0] == 200
    own = f"Origin: http://127.0.0.1:{port}"
    status, answer = get(port, f"/{token}/x/y", own)
    assert status == 200 and answer.endswith(b"/x/y")
    for name in (b"content-security-policy: default-src 'none'", b"cache-control: no-store"):
        assert name in answer
    assert b"x-content-type-options: nosniff" in answer and b"\r\nserver:" not in answer.lower()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1:{port}.evil.example", ""]
)
def test_another_host_is_refused(address: tuple[int, str], host: str) -> None:
    port, token = address
    lines = f"GET /{token}/ HTTP/1.1\r\nHost: {host.format(port=port)}\r\nConnection: close\r\n\r\n"
    status, answer = raw(port, lines.encode())
    assert status in (400, 403)
    assert status == 400 or json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert raw(port, f"GET /{token}/ HTTP/1.0\r\n\r\n".encode())[0] == 403


@pytest.mark.parametrize(
    "origin",
    ["null", "http://evil.example", "https://127.0.0.1:{port}", "http://127.0.0.1", "", "*"],
)
def test_another_origin_is_refused(address: tuple[int, str], origin: str) -> None:
    port, token = address
    status, _ = get(port, f"/{token}/", f"Origin: {origin.format(port=port)}")
    assert status == 403
    own = f"Origin: http://127.0.0.1:{port}"
    assert get(port, f"/{token}/", own, "Origin: http://evil.example")[0] == 403


def test_without_the_token_there_is_nothing(address: tuple[int, str]) -> None:
    port, token = address
    wrong = [
        "/",
        "//",
        f"/{token}",
        f"/{token[:-1]}/",
        f"/{token}x/",
        f"//{token}/",
        f"/./{token}/",
        f"/x/../{token}/",
        f"/{token.swapcase()}/",
        f"/{new_token()}/",
        "/%00/",
        "/" + "x" * 5000 + "/",
    ]
    for path in wrong:
        assert get(port, path)[0] == 404, path


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100 and min(map(len, tokens)) >= 43


def test_no_other_machine_is_listened_to(address: tuple[int, str]) -> None:
    port, _ = address
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.2", port), timeout=2).close()


def test_a_port_that_is_taken_is_named(address: tuple[int, str]) -> None:
    with (
        pytest.raises(ConfigError, match=f"port {address[0]} cannot be listened on"),
        server.serving(Told(), address[0]),  # type: ignore[arg-type]
    ):
        pass


def test_a_request_of_another_kind_is_not_answered(address: tuple[int, str]) -> None:
    port, token = address
    upgrade = "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAA"
    assert get(port, f"/{token}/", "Connection: Upgrade", *upgrade)[0] in (200, 400, 403, 426)
    assert raw(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n")[0] == 400
