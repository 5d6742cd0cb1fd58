"""The gate: a question at which the program behind it fails is asked once more, and no more."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from payattention.studio.gate import Gate, Message, Receive, Room, Send

SCOPE = {"type": "http", "path": "/gradio_api/queue/join", "method": "POST", "headers": [(b"host", b"127.0.0.1")]}


class Program:
    """Fails so many times, as a server does that has met an error; then it says what it was asked."""

    def __init__(self, failures: int) -> None:
        self.failures, self.heard = failures, list[bytes]()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        self.heard.append((await receive())["body"])
        failed = len(self.heard) <= self.failures
        await send({"type": "http.response.start", "status": 500 if failed else 200, "headers": []})
        await send({"type": "http.response.body", "body": b"failed" if failed else self.heard[-1]})
        if failed:
            raise KeyError("a session")


def asked(program: Program, folder: Path) -> list[Any]:
    """Status and body that are sent back to a question in two parts."""
    parts = [
        {"type": "http.request", "body": b"where", "more_body": True},
        {"type": "http.request", "body": b"?", "more_body": False},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return parts.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    gate = Gate(program, most_bytes=100, any_host=False, room=Room(folder, 100))
    asyncio.run(gate(SCOPE, receive, send))
    return [sent[0]["status"], sent[1]["body"]]


@pytest.mark.parametrize("failures", [0, 1])
def test_a_question_is_asked_once_more(failures: int, tmp_path: Path) -> None:
    program = Program(failures)
    assert asked(program, tmp_path) == [200, b"where?"]
    assert program.heard == [b"where?"] * (failures + 1)


def test_what_goes_while_it_is_counted_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_bytes(bytes(100))
    (tmp_path / "going").write_bytes(bytes(100))
    stat = Path.stat

    def gone(path: Path, **how: Any) -> Any:
        if path.name == "going":
            raise FileNotFoundError(path)
        return stat(path, **how)

    monkeypatch.setattr(Path, "stat", gone)
    assert [Room(tmp_path, most).is_full for most in (99, 100)] == [True, False]


def test_who_fails_twice_has_failed(tmp_path: Path) -> None:
    program = Program(2)
    with pytest.raises(KeyError, match="a session"):
        asked(program, tmp_path)
    assert len(program.heard) == 2
