"""Clients of object stores: their addresses, credentials, patience and connections.

Credentials, regions and addresses are given as other programs take them: botocore looks for them in
the environment, in AWS's files and in the roles of a machine.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from mriseg.errors import reason_of

_LACKING = "stores at s3:// need obstore and botocore: pip install 'mriseg[cloud]'"
# How long credentials are used before they are asked for again.
_LASTS = timedelta(minutes=30)

_RETRIES = 8
_RETRY_SECONDS = 60.0
# Until a server has answered once: a wrong address shows in seconds.
_FIRST_RETRIES = 3
_CONNECT = "5s"
_ANSWER = "30s"

# Hosts and buckets that have answered in this process.
_KNOWN: set[str] = set()


def _host(url: str) -> str:
    return f"{os.environ.get('AWS_ENDPOINT_URL', '')} {urlsplit(url).netloc}"


def is_known(url: str) -> bool:
    """Whether a URL's server has answered in this process."""
    return _host(url) in _KNOWN


def answered(url: str) -> None:
    """From now on a URL's server is known, and worth more patience."""
    _KNOWN.add(_host(url))


def for_tensorstore(url: str, name: str) -> dict[str, Any] | None:
    """A folder at a URL as tensorstore takes it; None where it would find other credentials."""
    parts = urlsplit(url)
    kind = _CREDENTIALS.get(_credentials_from())
    if kind is None:
        return None
    place = {
        "driver": "s3",
        "bucket": parts.netloc,
        "path": "/".join(filter(None, (parts.path.strip("/"), name))) + "/",
        "aws_credentials": {"type": kind},
        "aws_region": _region(),
    }
    return place | ({"endpoint": _named_endpoint()} if _named_endpoint() else {})


def endpoint() -> str:
    """The server, as a message names it."""
    return _named_endpoint() or "Amazon S3"


def _named_endpoint() -> str:
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return named or os.environ.get("AWS_ENDPOINT", "")


def opened(url: str) -> Any:
    """A client for a URL; one of each is kept, with its connections.

    Until its server has answered, it gives up soon.

    Raises:
        OSError: a library is missing, or no credentials are known.
    """
    return _client(url, is_known(url), os.getpid(), _settings())


@lru_cache(maxsize=16)
def _client(url: str, known: bool, _pid: int, _settings: tuple[tuple[str, str], ...]) -> Any:
    try:
        from obstore.store import S3Store
    except ImportError:
        raise OSError(_LACKING) from None
    parts = urlsplit(url)
    if not parts.netloc:
        raise OSError(f"{url} names no bucket; a URL is s3://BUCKET/NAME.zarr")
    config: dict[str, Any] = {}
    if endpoint := _named_endpoint():
        config["endpoint"] = endpoint
    provider = None
    if not _is_anonymous():
        provider = _credentials(config)
    return S3Store(
        parts.netloc,
        prefix=parts.path.strip("/") or None,
        config=cast(Any, config),
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": _CONNECT,
            "timeout": _ANSWER,
        },
        retry_config={
            "max_retries": _RETRIES if known else _FIRST_RETRIES,
            "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=10),
                "base": 2,
            },
        },
        credential_provider=provider,
    )


# Where botocore says that credentials are from -> tensorstore's name of it.
_CREDENTIALS = {
    "": "anonymous",
    "env": "environment",
    "shared-credentials-file": "profile",
    "iam-role": "imds",
    "container-role": "ecs",
}


def _is_anonymous() -> bool:
    return os.environ.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1")


def _credentials_from() -> str:
    """Where botocore has credentials from; empty: none are used."""
    return "" if _is_anonymous() else str(_session(_settings()).get_credentials().method)


def _region() -> str:
    named = os.environ.get("AWS_REGION")
    return named or str(_session(_settings()).get_config_variable("region") or "us-east-1")


def _settings() -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith("AWS_")))


@lru_cache(maxsize=4)
def _session(_settings: tuple[tuple[str, str], ...]) -> Any:
    # Not boto3, which loads much more, and which tensorboard loads too wherever it is installed.
    import botocore.session

    return botocore.session.Session()


def _credentials(config: dict[str, Any]) -> Any:
    """Where botocore finds credentials: the environment, AWS's files, roles; and the region.

    Raises:
        OSError: botocore is missing, or finds none.
    """
    try:
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise OSError(_LACKING) from None
    said = ""
    try:
        credentials = _session(_settings()).get_credentials()
    except BotoCoreError as error:
        credentials, said = None, f" ({reason_of(error)})"
    if credentials is None:
        raise PermissionError(
            f"no credentials for s3:// are known{said}; set AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or for a public bucket AWS_SKIP_SIGNATURE=true"
        )
    config["region"] = _region()

    def provide() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            # Then they are asked for again: those of a role change by the hour.
            "expires_at": datetime.now(UTC) + _LASTS,
        }

    return provide
