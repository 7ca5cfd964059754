"""Requests that no page of mriseg's would send: other hosts, paths that climb, bodies that lie."""

from __future__ import annotations

import gzip
import socket
from dataclasses import dataclass
from random import Random

from tests.fuzz.bytes_ import damaged
from tests.fuzz.nifti_ import damaged_nifti, packed

# Seconds after which a request that was not answered is a defect.
WAITED = 20.0

_METHODS = (
    "GET",
    "PUT",
    "POST",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "get",
    "G\x00T",
    "",
)
_CLIMBS = ("..", "%2e%2e", "..%2f..", "%252e%252e", "....//", "%c0%ae%c0%ae", "..\\..", "%00", "~")
_GOALS = ("etc/passwd", "annotation.json", "corrections.json", "report.json", "app.py", "")
_HOSTS = ("evil.example", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}", "127.0.0.1:{port}@evil", "")
_ORIGINS = ("null", "http://evil.example", "http://127.0.0.1:{port}.evil.example", "file://", "")
_HUGE = ("1e9", "99999999999999999999", "-1", "0x10", "+5", "5, 6", "\u0661")


@dataclass(frozen=True)
class Place:
    """Where a session is: its port and token, and a case and its revision."""

    port: int
    token: str
    case: str
    revision: str
    mask: bytes


def hostile(rng: Random, place: Place) -> bytes:
    """The bytes of a request."""
    make = rng.choice((_climbing, _foreign, _lying, _bad_mask, _bad_mask, _odd, _noise))
    return make(rng, place)


def _request(
    place: Place, method: str, path: str, headers: dict[str, str], body: bytes = b""
) -> bytes:
    own = {"Host": f"127.0.0.1:{place.port}", "Connection": "close"}
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in {**own, **headers}.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body


def _some_path(rng: Random, place: Place) -> str:
    case = rng.choice((place.case, "0" * 16, rng.choice(_CLIMBS)))
    return f"/{place.token}/" + rng.choice(
        (
            "",
            "api/queue",
            f"api/cases/{case}",
            f"api/cases/{case}/mask.nii.gz",
            f"api/cases/{case}/mask?status=corrected",
            f"api/cases/{case}/skip",
            f"api/cases/{case}/image/{rng.choice(_CLIMBS)}.nii.gz",
            f"api/cases/{case}/probability/{rng.randint(-9, 99)}.nii.gz",
            "static/annotate.js",
        )
    )


def _climbing(rng: Random, place: Place) -> bytes:
    climb = "/".join(rng.choice(_CLIMBS) for _ in range(rng.randint(1, 6)))
    start = rng.choice(("", "static/", "api/", f"api/cases/{place.case}/", "static/%2f"))
    prefix = rng.choice((f"/{place.token}/", "/", f"/{place.token}//"))
    return _request(place, "GET", f"{prefix}{start}{climb}/{rng.choice(_GOALS)}", {})


def _foreign(rng: Random, place: Place) -> bytes:
    """A request of another page, whose address is right."""
    headers = {}
    if rng.random() < 0.6:
        headers["Host"] = rng.choice(_HOSTS).format(port=place.port)
    if rng.random() < 0.6 or not headers:
        headers["Origin"] = rng.choice(_ORIGINS).format(port=place.port)
    headers["If-Match"] = f'"{place.revision}"'
    headers["Content-Length"] = str(len(place.mask))
    path = f"/{place.token}/api/cases/{place.case}/mask?status=corrected"
    return _request(place, "PUT", path, headers, place.mask)


def _lying(rng: Random, place: Place) -> bytes:
    """A length that is not that of what follows."""
    path = f"/{place.token}/api/cases/{place.case}/" + rng.choice(("mask?status=accepted", "skip"))
    method = "PUT" if "mask" in path else "POST"
    headers = {"If-Match": '"another"', "Content-Length": rng.choice(_HUGE)}
    if rng.random() < 0.4:
        headers = {"If-Match": '"another"', "Transfer-Encoding": "chunked"}
        size = rng.choice(("ffffffffffffffff", "-1", "zz", "100000"))
        return _request(place, method, path, headers, f"{size}\r\n".encode() + bytes(50))
    return _request(place, method, path, headers, rng.randbytes(rng.randint(0, 200)))


def _bad_mask(rng: Random, place: Place) -> bytes:
    """Something else than a mask of the case, with the right revision."""
    plain = gzip.decompress(place.mask)
    body = rng.choice(
        (
            lambda: damaged(rng, place.mask),
            lambda: damaged_nifti(rng, plain)[: 2**21],
            lambda: packed(rng, damaged_nifti(rng, plain)[: 2**21]),
            lambda: rng.randbytes(rng.randint(0, 4000)),
            lambda: gzip.compress(plain[:348] + bytes(2**22)),
            lambda: bytes(2**23),
        )
    )()
    status = rng.choice(("corrected", "corrected", "accepted", "skipped", "", "%00"))
    # Damage may leave a mask whole; it then must not be that of this revision.
    revision = rng.choice(("another", "open", "", "x" * 3000, "\u00e9"))
    headers = {"If-Match": f'"{revision}"', "Content-Length": str(len(body))}
    path = f"/{place.token}/api/cases/{place.case}/mask?status={status}"
    return _request(place, "PUT", path, headers, body)


def _odd(rng: Random, place: Place) -> bytes:
    """Headers and methods that nobody needs."""
    names = ("X" * rng.randint(1, 9000), "If-Match", "Range", "Expect", "Upgrade", "Cookie")
    values = ("bytes=0-9999999999", "100-continue", "websocket", "\u2028", "a" * 9000, "\x01")
    headers = {rng.choice(names): rng.choice(values)}
    return _request(place, rng.choice(_METHODS), _some_path(rng, place), headers)


def _noise(rng: Random, place: Place) -> bytes:
    whole = _request(place, "GET", _some_path(rng, place), {})
    return damaged(rng, whole) if rng.random() < 0.7 else rng.randbytes(rng.randint(1, 500))


def answer_to(place: Place, request: bytes) -> tuple[int | None, bytes]:
    """The status and the body of what comes back; None where the connection was only closed.

    Raises:
        TimeoutError: nothing came back.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", place.port), timeout=WAITED) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
        except ConnectionError:
            pass  # refused before all of it was sent
        try:
            while part := connection.recv(2**16):
                answer += part
        except ConnectionError:
            pass
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else None), body
