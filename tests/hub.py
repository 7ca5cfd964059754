"""A Hugging Face Hub on this machine: as much of its HTTP as fetching and pushing a model needs.

As huggingface_hub speaks it: repositories, revisions, files with their ETag, tokens with and
without rights, commits, and large files by git-lfs.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from mriseg.io.hub import FILES
from mriseg.io.model_sources import BASE

OWNER, READER = "hf_owner", "hf_reader"
"""Tokens: with all rights, and without the right to write."""


@dataclass
class Repo:
    """A repository: branches and tags, and the files of each commit."""

    refs: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: bool = False
    gated: bool = False

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        content = json.dumps([sorted((k, v.hex()) for k, v in files.items()), len(self.commits)])
        sha = hashlib.sha1(content.encode()).hexdigest()
        self.commits[sha], self.refs[branch] = dict(files), sha
        return sha

    def find(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """A running stub: its repositories, and the requests that it had ("GET /api/...")."""

    url: str
    repos: dict[str, Repo] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    large: dict[str, bytes] = field(default_factory=dict)
    broken: int = 0
    """A status that every request is answered with; 0: none."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *given: Any) -> None: ...

    def answer(self, status: int, value: Any = None, **headers: str) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        self.answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def serve(self) -> None:
        hub, path = self.hub, self.path.partition("?")[0]
        hub.requests.append(f"{self.command} {path}")
        self.content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        routes = ((re.fullmatch(p, f"{self.command} {path}"), method) for p, method in _ROUTES)
        match, method = next(((m, name) for m, name in routes if m), (None, ""))
        if hub.broken:
            self.refuse(hub.broken, "Broken")
        elif self.token not in ("", OWNER, READER):
            self.answer(401, {"error": "Invalid credentials"})
        elif match is None:
            self.refuse(404, "NotFound")
        else:
            getattr(self, method)(*match.groups())

    do_GET = do_HEAD = do_POST = do_PUT = serve  # noqa: N815

    def of(self, name: str, revision: str) -> tuple[Repo, str] | None:
        """A repository and a commit in it, or an answer that says why not."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and self.token != OWNER):
            self.refuse(401 if not self.token else 404, "RepoNotFound")
        elif repo.gated and self.token != OWNER:
            self.refuse(403, "GatedRepo")
        elif (sha := repo.find(revision)) is None:
            self.refuse(404, "RevisionNotFound")
        else:
            return repo, sha
        return None

    def info(self, name: str, _: str | None, revision: str | None) -> None:
        if place := self.of(name, revision or "main"):
            repo, sha = place
            names = [{"rfilename": path} for path in repo.commits[sha]]
            self.answer(200, {"id": name, "sha": sha, "private": False, "siblings": names})

    def file(self, name: str, revision: str, path: str) -> None:
        if place := self.of(name, revision):
            content = place[0].commits[place[1]].get(path)
            if content is None:
                self.refuse(404, "EntryNotFound")
            else:
                etag = f'"{hashlib.sha256(content).hexdigest()}"'
                self.answer(200, content, ETag=etag, X_Repo_Commit=place[1])

    def create(self) -> None:
        asked = json.loads(self.content)
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if not self.may_write(name):
            return
        if name in self.hub.repos:
            self.answer(409, {"url": f"{self.hub.url}/{name}", "error": "exists"})
            return
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.repos[name] = Repo(private=private)
        self.hub.repos[name].commit({".gitattributes": b""})
        self.answer(200, {"url": f"{self.hub.url}/{name}"})

    def may_write(self, name: str) -> bool:
        if not self.token:
            self.answer(401, {"error": "log in"})
        elif self.token == READER or not name.startswith("me/"):
            self.answer(403, {"error": "no right to write"})
        else:
            return True
        return False

    def validate(self) -> None:
        text = json.loads(self.content)["content"]
        front = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
        errors = [] if front and isinstance(yaml.safe_load(front[1]), dict) else [{"message": "?"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def modes(self, name: str, revision: str) -> None:
        files = json.loads(self.content)["files"]
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for file in files
        ]
        self.answer(200, {"files": modes})

    def batch(self, name: str) -> None:
        objects = [
            {
                **asked,
                "actions": {"upload": {"href": f"{self.hub.url}/lfs/{asked['oid']}", "header": {}}},
            }
            for asked in json.loads(self.content)["objects"]
        ]
        self.answer(200, {"transfer": "basic", "objects": objects})

    def large(self, oid: str) -> None:
        assert hashlib.sha256(self.content).hexdigest() == oid
        self.hub.large[oid] = self.content
        self.answer(200, {})

    def tree(self, name: str, revision: str) -> None:
        if place := self.of(name, revision):
            files = place[0].commits[place[1]]
            self.answer(
                200,
                [
                    {"type": "file", "path": path, "size": len(data), "oid": "0" * 40}
                    for path, data in files.items()
                ],
            )

    def commit(self, name: str, revision: str) -> None:
        if not self.may_write(name):
            return
        repo = self.hub.repos[name]
        files = dict(repo.commits[repo.refs[revision]])
        for line in self.content.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, revision)
        self.answer(200, {"commitOid": sha, "commitUrl": f"{self.hub.url}/{name}/commit/{sha}"})


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES = (
    (rf"GET /api/models/{_NAME}(/revision/([^/]+))?", "info"),
    (rf"GET /api/models/{_NAME}/tree/([^/]+)", "tree"),
    (rf"(?:GET|HEAD) /{_NAME}/resolve/([^/]+)/(.+)", "file"),
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate"),
    (rf"POST /api/models/{_NAME}/preupload/([^/]+)", "modes"),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /lfs/(\w+)", "large"),
    (rf"POST /api/models/{_NAME}/commit/([^/]+)", "commit"),
)


def files_of(folder: Path) -> dict[str, bytes]:
    """What of a model's folder lies on the Hub."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}


@contextmanager
def in_use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub that this process takes for the Hub, and a cache in ``folder``."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with serving() as hub:
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(folder / "cache"),
            "HF_TOKEN_PATH": str(folder / "token"),
            "HF_HUB_OFFLINE": False,
            # The Hub's own store for large files, which no stub can be.
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        yield hub


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub on loopback, at a free port, with the shipped model as ``ada/glioma``."""

    class Handler(_Handler):
        pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
        Handler.hub.repos["ada/glioma"] = Repo()
        Handler.hub.repos["ada/glioma"].commit(files_of(Path(str(BASE))))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Handler.hub
        finally:
            server.shutdown()
            thread.join()
