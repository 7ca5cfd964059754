"""Who may ask: this machine's own page, by its token, and nobody else.

A page of another site can make a browser send requests to this machine. It does not know the
token, its origin is refused, and a name of its own that it lets point to this machine (DNS
rebinding) is not the Host that is expected. No path of a request ever becomes one of a file.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": POLICY,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
}

_TOKEN_BYTES = 32


def new_token() -> str:
    """A token that nobody guesses: 43 letters, digits, - and _."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


class Guard:
    """Lets through what has the right Host, Origin and token; the rest is refused unread.

    Args:
        app: what answers. It sees addresses without the token.
        token: of the session.
        port: that is listened on.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, _with_headers(send))
            return
        prefix = f"/{self._token}"
        inner = {**scope, "path": scope["path"][len(prefix) :], "root_path": ""}
        inner.pop("raw_path", None)
        await self._app(inner, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value.lower() for name, value in headers if name == b"host"]
        origins = [value.lower() for name, value in headers if name == b"origin"]
        if len(hosts) != 1 or hosts[0] not in self._hosts:
            return _refused(403, "this page is for the browser of the machine that it runs on")
        if not self._origins.issuperset(origins):
            return _refused(403, "another page asked for this")
        first, _, _ = scope["path"].lstrip("/").partition("/")
        known = secrets.compare_digest(first.encode("utf-8", "replace"), self._token.encode())
        # Nothing tells a wrong token from an address that does not exist.
        if not known or not scope["path"].startswith(f"/{self._token}/"):
            return _refused(404, "there is nothing at this address")
        return None


def _refused(status: int, message: str) -> JSONResponse:
    # What follows of the request is not read, so that the connection cannot be used further.
    return JSONResponse({"error": message}, status, {"connection": "close"})


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message["headers"], *(h for h in more if h[0] not in own)]
        await send(message)

    return sending
