"""The server of the page: where it listens and to whom, what it lets in, and how it ends."""

import asyncio
import ipaddress
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payattention.errors import PayAttentionError, UsageError
from payattention.system.extras import check_there

if TYPE_CHECKING:
    import fastapi
    import uvicorn

    from payattention.studio.service import Bounds, Studio
    from payattention.weights.named import NamedModel

LOOPBACK, PORT = "127.0.0.1", 7860
_SHORTEST = 8
"""Characters of a password."""
_WARM_AFTER = 2.0
"""Seconds after which PyTorch is imported, unless somebody asks before: the page itself comes first."""


def check_call(host: str, port: int, auth: str | None) -> tuple[str, str] | None:
    """User and password that are asked for, if any; nothing large is imported for it.

    Raises:
        UsageError: A password that is none, none where others can reach the page, no such port, or no gradio.
    """
    if not 0 <= port <= 65_535:
        raise UsageError(f"port {port}: a port is a number from 0 (any that is free) to 65535")
    known = None if auth is None else _user_and_password(auth)
    if known is None and not is_loopback(host):
        raise UsageError(
            f"host {host}: whoever reaches this machine could use the page; give it a password, --auth USER:PASSWORD"
        )
    check_there("the studio", "gradio")
    return known


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def launch(
    given: "Sequence[NamedModel]" = (),
    *,
    host: str = LOOPBACK,
    port: int = PORT,
    auth: str | None = None,
    runs: Path = Path("runs"),
    bounds: "Bounds | None" = None,
    places: Sequence[Path] = (Path(),),
    told: Callable[[str], None] = print,
) -> None:
    """Serves the page until it is interrupted.

    Args:
        given: Models to choose from beside those that come with the package and the runs.
        host: Where to listen: an address of this machine. Others than its loopback need `auth`.
        port: Where to listen; 0 for any that is free.
        auth: "USER:PASSWORD", which the page asks for.
        runs: Where runs are looked for, and new ones written.
        bounds: What questions may take.
        places: Folders whose pictures may be looked through and trained on, with all that lies in them.
        told: Is told, in a line, where the page is.

    Raises:
        UsageError: As `check_call`; or a port that is taken, or a host that is not this machine's.
    """
    with _served(given, (host, port), auth, runs, bounds, places) as (server, bound, url):
        told(f"the studio is at {url}; end it with Ctrl-C")
        server.run([bound])


@contextmanager
def serving(
    given: "Sequence[NamedModel]" = (),
    *,
    port: int = 0,
    auth: str | None = None,
    runs: Path = Path("runs"),
    bounds: "Bounds | None" = None,
    places: Sequence[Path] = (Path(),),
) -> Iterator[str]:
    """`launch` on the loopback, in a thread beside: yields its address, and ends it afterwards."""
    with _served(given, (LOOPBACK, port), auth, runs, bounds, places) as (server, bound, url):
        thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise PayAttentionError("the studio's server did not start")
            thread.join(0.01)
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join(10)


@contextmanager
def _served(
    given: "Sequence[NamedModel]",
    at: tuple[str, int],
    auth: str | None,
    runs: Path,
    bounds: "Bounds | None",
    places: Sequence[Path],
) -> "Iterator[tuple[uvicorn.Server, socket.socket, str]]":
    host, port = at
    known = check_call(host, port, auth)
    with closing(_listening(host, port)) as bound:
        from payattention.studio.service import Studio

        url = f"http://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}/"
        with closing(Studio(given, runs=runs, bounds=bounds, places=places)) as studio:
            server = _server(studio, host, known)
            warming = threading.Timer(_WARM_AFTER, studio.warm_up)
            warming.daemon = True
            warming.start()
            try:
                yield server, bound, url
            finally:
                warming.cancel()


def _server(studio: "Studio", host: str, auth: tuple[str, str] | None) -> "uvicorn.Server":
    _set_gradio(studio.folder)
    import uvicorn

    from payattention.studio.gate import Gate, Room
    from payattention.studio.page import application

    async def made() -> "fastapi.FastAPI":
        return application(studio, auth)

    # where no loop is running gradio makes four of its own, which it never closes; and the caller may run one here
    with ThreadPoolExecutor(1) as aside:
        inner = aside.submit(lambda: asyncio.run(made())).result()
    room = Room(studio.folder, studio.bounds.stored)
    gate = Gate(inner, most_bytes=studio.bounds.upload.upload, any_host=not is_loopback(host), room=room)
    settings: dict[str, Any] = {"log_level": "error", "access_log": False, "timeout_graceful_shutdown": 2}
    return uvicorn.Server(uvicorn.Config(gate, limit_concurrency=512, **settings))


def _set_gradio(folder: Path) -> None:
    """What gradio reads of the environment: its temporary folder, and that it reports to nobody and keeps no account.

    For a page that is closed here, it would work out with pandas after every answer how long the last 10,000 took.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ |= {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": str(10**9)}
    for name in ("GRADIO_SHARE", "GRADIO_ROOT_PATH", "GRADIO_MCP_SERVER", "GRADIO_SSR_MODE", "GRADIO_ALLOWED_PATHS"):
        os.environ.pop(name, None)


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        UsageError: It cannot.
    """
    plain = host.strip("[]")
    try:
        bound = socket.socket(socket.AF_INET6 if ":" in plain else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if os.name == "posix":
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # not to wait for what has just ended
            bound.bind((plain, port))
            bound.listen(128)
        except BaseException:
            bound.close()
            raise
    except PermissionError:
        raise UsageError(f"port {port}: only an administrator may listen there; take one above 1023") from None
    except OSError as error:
        if port and _taken(error):
            raise UsageError(f"port {port} is taken: end what uses it, or take another, --port {port + 1}") from None
        raise UsageError(f"host {host}: this machine cannot listen there ({error.strerror or error})") from None
    return bound


def _taken(error: OSError) -> bool:
    import errno

    return error.errno == errno.EADDRINUSE


def _user_and_password(auth: str) -> tuple[str, str]:
    user, colon, password = auth.partition(":")
    if not (user and colon and password):
        raise UsageError("auth: write USER:PASSWORD")
    if len(password) < _SHORTEST:
        raise UsageError(f"auth: the password has {len(password)} characters; take at least {_SHORTEST}")
    return user, password
