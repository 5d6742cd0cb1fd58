"""The page as a program asks it: every function of its interface, its bounds, and what stands before it."""

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

import payattention as pa
from payattention.errors import UsageError
from payattention.evaluation.query import ask
from payattention.explaining.inputs import as_input
from payattention.figures.gallery.record import quantised
from payattention.studio.gate import Room
from payattention.studio.serving import check_call, is_loopback, serving
from studio_pages import Served, unpacked

client_of = pytest.importorskip("gradio_client", reason="needs gradio: pip install 'payattention[studio]'")


@pytest.fixture(scope="module")
def asked(served: Served) -> Callable[..., Any]:
    """Asks the page's interface for one of its functions."""
    client = client_of.Client(served.url, verbose=False)
    return lambda name, *given: client.predict(*given, api_name=f"/{name}")


def file(path: Path) -> Any:
    return client_of.handle_file(str(path))


@pytest.mark.float32
def test_look_says_what_explain_says(asked: Callable[..., Any], served: Served) -> None:
    told = json.loads(asked("look", file(served.picture), served.blind, ["gradient"]))
    own = pa.explain(pa.load(served.blind), served.picture)
    assert [name for name, _ in told["classes"]] == list(own.top)
    assert [p for _, p in told["classes"]] == pytest.approx(list(own.top.values()), abs=1e-5)
    sources = {(one["method"], one["target"]): one for one in told["sources"]}
    assert {method for method, _ in sources} == {"attention", "grad_cam", "activation", "gradient"}
    for level, values in {**own.maps, "combined": own.joint}.items():
        assert np.array_equal(unpacked(sources["attention", None]["maps"][level]), quantised(values))
    for target in own.top:
        of_class = pa.explain(pa.load(served.blind), served.picture, method="grad_cam", target=target)
        got = unpacked(sources["grad_cam", target]["maps"]["combined"])
        assert np.abs(got.astype(int) - quantised(of_class.joint)).max() <= 1
    assert "one map whatever the class" in told["about"]


def test_a_question_moves_what_it_can(asked: Callable[..., Any], served: Served, tmp_path: Path) -> None:
    Image.effect_noise((50, 60), 99).convert("RGB").save(other := tmp_path / "other.png")
    told = json.loads(asked("ask", file(served.picture), file(other), served.seeing))
    model = pa.load(served.seeing)
    answer = ask(model, Image.open(other), Image.open(served.picture))
    assert told["blind"] == ""
    for level, distance in answer.distance.items():
        assert told["levels"][level]["moved"] == pytest.approx(distance, rel=1e-3, abs=1e-6)
        own, both = told["levels"][level]["own"], (answer.own[level], answer.asked[level])
        assert own["high"] == pytest.approx(max(values.max() for values in both), rel=1e-4)
    told = json.loads(asked("ask", file(served.picture), file(other), served.blind))
    assert "cannot see a query" in told["blind"]
    assert {level["moved"] for level in told["levels"].values()} == {0}


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_an_attack_stays_within_its_size(asked: Callable[..., Any], served: Served, method: str) -> None:
    from payattention.studio.attacking import AttackOfOne, attacked
    from payattention.studio.uploads import picture_from

    told = json.loads(asked("attack", file(served.picture), served.blind, method, 8, "bird"))
    assert [one["title"] for one in told["versions"]] == ["as it is", f"under {method.upper()}", "under noise"]
    own = attacked(pa.load(served.blind), picture_from(served.picture), AttackOfOne(8.0, method, "bird"))
    clean = as_input(pa.load(served.blind), Image.open(served.picture))[0]
    assert torch.equal(own.versions[0].image, clean)
    for version, seen in zip(told["versions"], own.versions, strict=True):
        assert dict(version["classes"]) == pytest.approx(dict(seen.top), abs=1e-4)
        assert (seen.image - clean).abs().max() <= 8 / 255 + 1e-6
    assert own.versions[1].top.get("bird", 0) > own.versions[0].top.get("bird", 0)


def test_all_that_is_shown_comes_as_files(asked: Callable[..., Any], served: Served) -> None:
    for name, given in (
        ("look_files", (served.blind, [])),
        ("ask_files", (file(served.picture), served.blind)),
        ("attack_files", (served.blind, "fgsm", 4, "anything else")),
    ):
        with ZipFile(asked(name, file(served.picture), *given)) as archive:
            assert archive.testzip() is None
            assert {"README.txt"} < {*archive.namelist()}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("look", (None, "MODEL", []), "choose a picture first"),
        ("look", ("PICTURE", "/etc/passwd", []), "unknown model '/etc/passwd'"),
        ("look", ("PICTURE", "MODEL", ["rise"]), "rise"),
        ("look", ("TEXT", "MODEL", []), "a drawing, which is not read"),
        ("attack", ("PICTURE", "MODEL", "fgsm", 17, ""), "17"),
        ("attack", ("PICTURE", "MODEL", "fgsm", 4, "brid"), "did you mean 'bird'"),
        ("ask_files", ("PICTURE", None, "MODEL"), "choose two pictures first"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    asked: Callable[..., Any], served: Served, tmp_path: Path, name: str, given: tuple[Any, ...], message: str
) -> None:
    (text := tmp_path / "page.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    stands_for = {"PICTURE": file(served.picture), "TEXT": file(text), "MODEL": served.blind}
    with pytest.raises(Exception, match=message) as told:  # gradio_client's own
        asked(name, *(stands_for.get(one, one) if isinstance(one, str) else one for one in given))
    assert "\n" not in str(told.value).strip()
    assert "Traceback" not in str(told.value)


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_what_the_page_does_not_need_is_not_there(served: Served) -> None:
    assert status(served.url) == 200
    for path in ("gradio_api/vibe-code", "gradio_api/file=/etc/passwd", "gradio_api/proxy=http://localhost/", "docs"):
        assert status(served.url + path) in (403, 404), path
    for path in ("monitoring", "gradio_api/openapi.json", "gradio_api/component_server", "gradio_api/deep_link"):
        assert status(served.url + path) == 404, path
    assert status(served.url, Host="elsewhere.example") == 403  # a name that somebody gave this machine
    with urllib.request.urlopen(served.url, timeout=30) as page:
        assert "default-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/etc/passwd", "http://localhost:1/", "https://elsewhere.example/a.png", "../a.png"])
def test_nothing_is_read_or_fetched_that_was_not_sent(served: Served, path: str) -> None:
    named = {"path": path, "url": path, "orig_name": "a.png", "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [named, served.blind, []]}).encode()
    call = f"{served.url}gradio_api/call/look"
    question = urllib.request.Request(call, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(question, timeout=60) as answer:
        event = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{call}/{event}", timeout=60) as answer:
        told = answer.read().decode()
    assert told.startswith("event: error")
    assert "root:" not in told
    if path.startswith("http"):
        assert "addresses are not fetched" in told


def test_a_full_room_takes_no_more(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(11))
    assert Room(tmp_path, 10).is_full
    assert not Room(tmp_path, 11).is_full


def test_too_much_at_once_is_refused_before_it_is_read(served: Served) -> None:
    host, port = served.url.removeprefix("http://").strip("/").split(":")
    for path in ("queue/join", "upload"):
        with socket.create_connection((host, int(port)), 30) as line:
            head = f"POST /gradio_api/{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 99999999999\r\n\r\n"
            line.sendall(head.encode())
            assert b"413" in line.recv(1000).split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("host", "port", "auth", "message"),
    [
        ("0.0.0.0", 7860, None, "give it a password"),
        ("::", 7860, None, "give it a password"),
        ("192.168.1.2", 7860, None, "give it a password"),
        ("studio.example", 7860, None, "give it a password"),
        ("127.0.0.1", 7860, "me", "USER:PASSWORD"),
        ("127.0.0.1", 7860, "me:short", "at least 8"),
        ("127.0.0.1", 70_000, None, "port 70000"),
    ],
)
def test_who_may_come_in_is_checked_first(host: str, port: int, auth: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_call(host, port, auth)


def test_the_loopback_is_known_by_all_its_names() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "")))


def test_a_port_that_is_taken_is_told(served: Served) -> None:
    port = int(served.url.strip("/").rpartition(":")[2])
    with pytest.raises(UsageError, match=f"port {port} is taken"), serving(port=port):
        pass


def test_a_password_is_asked_for(tmp_path: Path) -> None:
    with serving(auth="me:a long password", runs=tmp_path) as url:
        assert status(f"{url}config") == 401
        assert status(f"{url}gradio_api/info") == 401
        login = urllib.request.Request(f"{url}login", data=b"username=me&password=wrong")
        codes = []
        for _ in range(11):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(login, timeout=30)
            codes.append(refused.value.code)
            refused.value.close()
        assert codes == [400] * 10 + [429]


WITHOUT_PYTORCH = """
import sys
sys.modules["torch"] = None
from payattention.studio import serving
from payattention.studio.service import Studio
serving._server(Studio(), "127.0.0.1", None)
"""


def test_the_page_is_there_before_pytorch_is(tmp_path: Path) -> None:
    words = [sys.executable, "-W", "ignore", "-c", WITHOUT_PYTORCH]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
