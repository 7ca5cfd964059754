"""How an object store is reached is told by the environment, as other programs are told."""

from __future__ import annotations

import os
from pathlib import Path
from unittest import mock

import pytest

from mriseg.io.store import clients
from tests.s3 import KEYS

pytest.importorskip("obstore")
pytest.importorskip("botocore")

URL = "s3://scans/folder/x.zarr"


def test_tensorstore_is_told_the_same_place_and_credentials(tmp_path: Path) -> None:
    with mock.patch.dict(os.environ, {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"}):
        assert clients.for_tensorstore(URL, "cases/a/image") == {
            "driver": "s3",
            "bucket": "scans",
            "path": "folder/x.zarr/cases/a/image/",
            "aws_credentials": {"type": "environment"},
            "aws_region": "us-east-1",
            "endpoint": "http://127.0.0.1:1",
        }
        os.environ["AWS_SKIP_SIGNATURE"] = "true"
        place = clients.for_tensorstore(URL, "cases/a/image")
        assert place is not None and place["aws_credentials"] == {"type": "anonymous"}
    (tmp_path / "credentials").write_text("[lab]\naws_access_key_id=a\naws_secret_access_key=b\n")
    (tmp_path / "config").write_text("[profile lab]\nregion=eu-west-1\n")
    files = {
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_PROFILE": "lab",
    }
    with mock.patch.dict(os.environ, files):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
            os.environ.pop(name, None)
        place = clients.for_tensorstore(URL, "")
        assert place is not None and place["aws_region"] == "eu-west-1"
        assert place["aws_credentials"] == {"type": "profile"} and "endpoint" not in place
        assert clients.endpoint() == "Amazon S3"


def test_a_server_that_answered_is_given_more_time() -> None:
    with mock.patch.dict(os.environ, {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:2"}):
        assert not clients.is_known(URL)
        first = clients.opened(URL)
        assert first is clients.opened(URL), "connections are kept"
        clients.answered(URL)
        assert clients.is_known(URL) and clients.is_known("s3://scans/other.zarr")
        assert clients.opened(URL) is not first
