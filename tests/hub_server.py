"""A Hub on this machine: of the real one's interface, the little that its client needs to push and to fetch."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml

TOKEN = "hf_of_the_tests"


class Hub:
    """Repositories, each a list of commits, each the files' bytes by name.

    Attributes:
        private: Those that only the token's owner sees.
        gated: Those that nobody may read.
        upload: "regular", a file in the commit, or "lfs", beside it.
        tags: Commits' numbers by the names of their tags.
        asked: The methods and paths of all requests.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, list[dict[str, bytes]]] = {}
        self.private: set[str] = set()
        self.gated: set[str] = set()
        self.large: dict[str, bytes] = {}
        self.upload = "regular"
        self.tags: dict[str, int] = {}
        self.asked: list[str] = []
        self.url = ""

    def put(self, name: str, files: Mapping[str, bytes]) -> None:
        """One more commit."""
        commits = self.repositories.setdefault(name, [])
        commits.append({**(commits[-1] if commits else {}), **files})

    def commit_of(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        commits = {sha(name, number): files for number, files in enumerate(self.repositories[name])}
        newest = list(commits.items())[-1:] or [(sha(name, -1), {})]
        wanted = sha(name, self.tags[revision]) if revision in self.tags else revision
        return newest[0] if revision == "main" else next((c for c in commits.items() if c[0] == wanted), None)


def sha(name: str, number: int) -> str:
    """What the commit of that number is called."""
    return hashlib.sha1(f"{name} {number}".encode()).hexdigest()


class RefusedError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str = "", message: str = "", body: object = None) -> None:
        self.status, self.body = status, body
        self.headers = {"X-Error-Code": code, "X-Error-Message": message}


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.asked.append(f"{self.command} /{path}")
        body = self._body()
        try:
            status, headers, content = self._answer(path.split("/"), body)
        except RefusedError as problem:
            status, headers, content = problem.status, problem.headers, json.dumps(problem.body or {}).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while length := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(length))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    do_GET = do_HEAD = do_POST = do_PUT = _handle  # noqa: N815

    def _answer(self, parts: list[str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        match parts:
            case [user, name, "resolve", revision, *file]:
                return self._file(f"{user}/{name}", revision, "/".join(file))
            case ["lfs", oid]:
                self.hub.large[oid] = body
                return 200, {}, b""
            case [user, _, "info", "lfs", "objects", "batch"]:
                return _json({"transfer": "basic", "objects": [self._place(o) for o in json.loads(body)["objects"]]})
            case ["api", "repos", "create"]:
                return self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                return _validated(json.loads(body)["content"])
            case ["api", "models", user, name, "preupload", _]:
                self._check_writer(f"{user}/{name}")
                files = [file["path"] for file in json.loads(body)["files"]]
                mode = {file: self.hub.upload if file.endswith(".safetensors") else "regular" for file in files}
                return _json({"files": [{"path": f, "uploadMode": m, "shouldIgnore": False} for f, m in mode.items()]})
            case ["api", "models", user, name, "commit", _]:
                return self._commit(f"{user}/{name}", body)
            case ["api", "models", user, name, *rest]:
                return self._told(f"{user}/{name}", *rest)
        raise RefusedError(404)

    def _file(self, name: str, revision: str, file: str) -> tuple[int, dict[str, str], bytes]:
        commit, files = self._seen(name, revision)
        if file not in files:
            raise RefusedError(404, "EntryNotFound")
        content = files[file]
        return 200, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}, content

    def _told(self, name: str, kind: str = "revision", revision: str = "main", *_: str) -> tuple[int, dict, bytes]:
        commit, files = self._seen(name, revision)
        if kind == "tree":
            return _json([{"type": "file", "path": f, "size": len(c), "oid": "0"} for f, c in files.items()])
        listed = [{"rfilename": file} for file in files]
        return _json({"id": name, "sha": commit, "private": name in self.hub.private, "siblings": listed})

    def _seen(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        known = name in self.hub.repositories and (name not in self.hub.private or self._trusted)
        if not known:
            raise RefusedError(404 if self._trusted else 401, "RepoNotFound")
        if name in self.hub.gated:
            raise RefusedError(403, "GatedRepo", "Access to it is restricted")
        commit = self.hub.commit_of(name, revision)
        if commit is None:
            raise RefusedError(404, "RevisionNotFound")
        return commit

    @property
    def _trusted(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _check_writer(self, name: str) -> None:
        if not self._trusted:
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        if name not in self.hub.repositories:
            raise RefusedError(404, "RepoNotFound")

    def _create(self, asked: dict) -> tuple[int, dict[str, str], bytes]:
        if not self._trusted:
            raise RefusedError(401, "", "Invalid credentials in Authorization header")
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            raise RefusedError(409, body={"url": f"{self.hub.url}/{name}"})
        self.hub.repositories[name] = []
        if asked.get("visibility") == "private" or asked.get("private"):
            self.hub.private.add(name)
        return _json({"url": f"{self.hub.url}/{name}"})

    def _place(self, wanted: dict) -> dict:
        return {**wanted, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{wanted['oid']}", "header": {}}}}

    def _commit(self, name: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self._check_writer(name)
        files = {}
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        self.hub.put(name, files)
        commit = sha(name, len(self.hub.repositories[name]) - 1)
        return _json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})


def _json(value: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _validated(content: str) -> tuple[int, dict[str, str], bytes]:
    """Of a card's head, what the Hub verifies: the licence, and the results' form."""
    head = yaml.safe_load(content.split("---")[1])
    wrong = [] if "license" in head else ["no license"]
    for model in head.get("model-index", []):
        for result in model["results"]:
            kinds = {"task": dict, "dataset": dict, "metrics": list}
            wrong += [f"{key} is missing" for key, kind in kinds.items() if not isinstance(result.get(key), kind)]
            wrong += ["a data set has a type and a name"] if not {"type", "name"} <= result["dataset"].keys() else []
    if wrong:
        raise RefusedError(400, body={"errors": [{"message": message} for message in wrong]})
    return _json({"errors": [], "warnings": []})


@contextmanager
def hub_on_loopback(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """Runs a Hub, which this process's client then asks, with the token, keeping what it fetches in `cache`."""
    from huggingface_hub import constants
    from huggingface_hub.utils import close_session

    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    close_session()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        close_session()
