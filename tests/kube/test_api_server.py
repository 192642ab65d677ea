"""The way to an API server, tried on a small server of HTTP."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from ringfence_kube.api import Api
from ringfence_kube.connection import Target, connect
from ringfence_kube.errors import ClusterError, ForbiddenError, NotFoundError, UnreachableError

PAGES = {
    "": {
        "apiVersion": "v1",
        "kind": "PodList",
        "metadata": {"continue": "more"},
        "items": [{"metadata": {"name": "a"}}],
    },
    "more": {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [{"metadata": {"name": "b"}}]},
}


class Server(BaseHTTPRequestHandler):
    """Answers a few paths; `seen` holds what was asked."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, str]]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        self.seen.append((self.command, self.path, self.headers.get("Authorization", "")))
        if path == "/pods":
            self.answer(200, PAGES["more" if "continue=more" in query else ""])
        elif path == "/html":
            self.answer(200, "<html>")
        elif path == "/log":
            self.pieces(b"one\ntw", b"o\nthree")
        else:
            code = 403 if path == "/secret" else 404
            self.answer(code, {"kind": "Status", "code": code, "message": f"{path} is not for you"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append((self.command, self.path, ""))
        self.answer(201, {**body, "made": True})

    def do_DELETE(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.command, self.path, ""))
        self.answer(409, {"kind": "Status", "message": "another UID"})

    def answer(self, code: int, body: Any) -> None:
        text = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def pieces(self, *pieces: bytes) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in (*pieces, b""):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Server.seen = []
    found = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=found.serve_forever, daemon=True)
    thread.start()
    yield found
    found.shutdown()
    found.server_close()
    thread.join()


def kubeconfig(path: Path, **servers: str) -> str:
    """Write a kubeconfig with a context for each server, the first being the current one."""
    body = {
        "current-context": next(iter(servers)),
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in servers.items()],
        "users": [{"name": "ann", "user": {"token": "t0ken"}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": "ann", "namespace": f"of-{name}"}} for name in servers
        ],
    }
    path.write_text(yaml.safe_dump(body))
    return str(path)


@pytest.fixture
def api(server: ThreadingHTTPServer, tmp_path: Path) -> Api:
    file = kubeconfig(tmp_path / "config", here=f"http://127.0.0.1:{server.server_port}")
    return connect(Target(kubeconfig=file)).api


def test_all_pages_of_a_list_are_read_and_each_object_says_what_it_is(api: Api) -> None:
    found = api.items("/pods", labelSelector="a=b")

    assert [(each["kind"], each["metadata"]["name"]) for each in found] == [("Pod", "a"), ("Pod", "b")]
    assert Server.seen[0] == ("GET", "/pods?labelSelector=a%3Db&limit=500", "Bearer t0ken")


def test_a_refusal_is_quoted_in_the_servers_words(api: Api) -> None:
    with pytest.raises(ForbiddenError, match="/secret is not for you"):
        api.get("/secret")
    with pytest.raises(NotFoundError):
        api.get("/nothing")
    assert api.find("/nothing") is None


def test_what_is_no_api_server_is_called_so(api: Api) -> None:
    with pytest.raises(UnreachableError, match="not an answer of an API server"):
        api.get("/html")


def test_lines_come_whole_however_they_are_cut(api: Api) -> None:
    assert list(api.lines("/log", {})) == [b"one", b"two", b"three"]


def test_a_log_that_may_not_be_read_is_a_refusal(api: Api) -> None:
    with pytest.raises(ForbiddenError):
        api.lines("/secret", {})


def test_an_object_is_made_with_its_fields_checked(api: Api) -> None:
    assert api.create("/pods", {"kind": "Pod"}) == {"kind": "Pod", "made": True}
    assert Server.seen[-1][1] == "/pods?fieldManager=ringfence-client&fieldValidation=Strict"


def test_another_object_of_the_name_is_no_error_of_a_deletion(api: Api) -> None:
    api.delete("/pods/a", uid="x")

    assert Server.seen[-1][:2] == ("DELETE", "/pods/a")


def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    api = connect(Target(kubeconfig=kubeconfig(tmp_path / "config", away="http://127.0.0.1:9"))).api

    with pytest.raises(UnreachableError, match=r"no answer from the API server at http://127.0.0.1:9: .*refused"):
        api.get("/version")


def test_the_context_says_which_server_and_which_namespace(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", one="http://127.0.0.1:1", two="http://127.0.0.1:2")

    assert connect(Target(kubeconfig=file)).namespace == "of-one"
    assert connect(Target(kubeconfig=file, context="two")).namespace == "of-two"
    assert connect(Target(kubeconfig=file, context="two", namespace="mine")).namespace == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{}", "does not lead to a cluster"), ("a: [", "cannot be read"), ("\x00", "cannot be read")],
)
def test_a_kubeconfig_that_is_none_is_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config").write_text(text)

    with pytest.raises(ClusterError, match=words):
        connect(Target(kubeconfig=str(tmp_path / "config")))


def test_a_context_that_there_is_not_is_a_sentence(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path / "config", one="http://127.0.0.1:1")

    with pytest.raises(ClusterError, match="nowhere"):
        connect(Target(kubeconfig=file, context="nowhere"))
