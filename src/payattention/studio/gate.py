"""What stands before the page's server: which addresses there are, what may be sent to them, what a browser may do.

The program behind the page opens far more addresses than the page uses: what is not listed here is not there.
"""

import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_OPEN = {"/", "/config", "/favicon.ico", "/login", "/logout", "/login_check", "/robots.txt", "/theme.css"}
_API = "/gradio_api/"
_OPEN_API = {
    *("app_id", "cancel", "info", "login_check", "queue/data", "queue/join", "reset", "startup-events", "theme.css"),
    *("run/predict", "token", "upload", "upload_progress", "user"),
}
_ASK = f"{_API}queue/join"
_OPEN_BELOW = ("/assets/", "/static/", "/svelte/", *(f"{_API}{name}" for name in ("call/", "file=", "heartbeat/")))
_SMALL = 1 << 20
"""Bytes of whatever is sent that is no upload."""
_LOGINS, _SECONDS = 10, 60.0
"""Attempts at a password, and the time that they are counted over."""

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio makes functions of the page's texts
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
"""A browser sends nothing anywhere but to the page's own server, whatever is written into the page."""
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Room(NamedTuple):
    """A folder, and how many bytes it may hold before more is refused."""

    folder: Path
    most: int

    @property
    def is_full(self) -> bool:
        """Whether there are that many; files may go while they are counted."""
        files = (Path(place, name) for place, _, names in os.walk(self.folder) for name in names)
        return sum(map(_size, files)) > self.most


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # it has gone
        return 0


class Gate:
    """An ASGI application before another.

    Args:
        inner: The page.
        most_bytes: Of an upload.
        any_host: Whether it goes by any name; by default only by this machine's own, so that no page elsewhere can
            reach it by a name that it gives this machine's address to.
        room: Where uploads lie until they go.
    """

    def __init__(self, inner: Callable[..., Awaitable[None]], *, most_bytes: int, any_host: bool, room: Room) -> None:
        self.inner, self.most_bytes, self.any_host, self.room = inner, most_bytes, any_host, room
        self._logins: deque[float] = deque()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        most = self.most_bytes + _SMALL if scope["path"] == f"{_API}upload" else _SMALL
        refusal = self._refusal(scope, headers, most)
        if refusal is not None:
            await _refused(send, *refusal)
            return
        received, sent = _at_most(receive, most), _with_headers(send)
        if scope["path"] == _ASK:
            await self._asked_twice(scope, received, sent)
        else:
            await self.inner(scope, received, sent)

    async def _asked_twice(self, scope: Message, receive: Receive, send: Send) -> None:
        """Asks once more where the page's program fails at a question before it says a word.

        That was seen now and then while pictures were still on their way; a question that was lost so would be one that
        nobody answers.
        """
        body = await _whole(receive)
        if not await self._answered(scope, _again(body, receive), send):
            await self.inner(scope, _again(body, receive), send)

    async def _answered(self, scope: Message, receive: Receive, send: Send) -> bool:
        """Whether the page's program answered; of a failure nothing is sent on."""
        failed = False

        async def unless_failed(message: Message) -> None:
            nonlocal failed
            failed = failed or message.get("status") == 500
            if not failed:
                await send(message)

        try:
            await self.inner({**scope}, receive, unless_failed)
        except Exception:
            if not failed:
                raise
        return not failed

    def _refusal(self, scope: Message, headers: dict[bytes, str], most: int) -> tuple[int, str] | None:
        """Status and reason, in a line, of what is not let in."""
        path = scope["path"]
        if not self.any_host and not _is_own_name(headers.get(b"host", "")):
            return 403, "this page goes by the name of this machine only"
        if not is_open(path):
            return 404, "there is nothing at this address"
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > most:
            return 413, f"too much at once: at most {most // (1 << 20):,} MB may be sent there"
        if path == f"{_API}upload" and self.room.is_full:
            return 507, "too many uploads lie here already: they go after an hour"
        if path == "/login" and scope["method"] == "POST" and not self._may_try():
            return 429, f"too many attempts at the password: wait {_SECONDS:g} s"
        return None

    def _may_try(self) -> bool:
        now = time.monotonic()
        while self._logins and self._logins[0] < now - _SECONDS:
            self._logins.popleft()
        if len(self._logins) >= _LOGINS:
            return False
        self._logins.append(now)
        return True


def is_open(path: str) -> bool:
    """Whether the page has something at an address."""
    plain = path.rstrip("/") or "/"
    own = plain in _OPEN or (plain.removeprefix(_API) in _OPEN_API and plain.startswith(_API))
    return own or path.startswith(_OPEN_BELOW)


def _is_own_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in ("localhost", "::1") or name.startswith("127.")


def _at_most(receive: Receive, most: int) -> Receive:
    """What is received, until it is too much: then it looks as if the sender had gone."""
    count = 0

    async def counted() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        return message if count <= most else {"type": "http.disconnect"}

    return counted


async def _whole(receive: Receive) -> Message:
    """All that is sent, as one message; the sender's going, if that is what comes."""
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return message
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return {"type": "http.request", "body": b"".join(parts), "more_body": False}


def _again(first: Message, receive: Receive) -> Receive:
    """What was received, once more, and then what comes after it."""
    waiting = [first]

    async def received() -> Message:
        return waiting.pop() if waiting else await receive()

    return received


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
        await send(message)

    return sent


async def _refused(send: Send, status: int, reason: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), *_HEADERS, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": reason.encode()})
