"""Nobody waits a minute for a Hub that is not there."""

import socket
from collections.abc import Iterator

import pytest
import timm
import torch
from huggingface_hub import constants

from payattention.models.timm_backbones import pretrained
from payattention.system import reaching
from payattention.system.reaching import answers, not_waiting


@pytest.fixture
def open_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_who_answers(open_port: int, closed_port: int) -> None:
    assert answers(f"http://127.0.0.1:{open_port}/some/path")
    assert not answers(f"http://127.0.0.1:{closed_port}")


def test_a_name_that_has_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> list[object]:
        raise OSError("no address")

    monkeypatch.setattr(reaching, "getaddrinfo", nowhere)
    assert not answers("https://huggingface.co")


def test_a_host_that_swallows_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # until its queue is full, and the next is left without an answer
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        monkeypatch.setattr(reaching, "_PATIENCE", 0.2)
        assert not answers(f"http://127.0.0.1:{port}")
        for one in waiting:
            one.close()


@pytest.mark.parametrize(
    ("proxies", "asked"),
    [
        ({}, "https://huggingface.co"),
        ({"no": "127.0.0.1"}, "https://huggingface.co"),
        ({"ftp": "http://proxy"}, "https://huggingface.co"),
        ({"https": "http://proxy", "no": "huggingface.co"}, "https://huggingface.co"),
        ({"https": "http://proxy"}, None),
        ({"all": "http://proxy"}, None),
    ],
)
def test_a_proxy_that_is_asked_instead(
    proxies: dict[str, str], asked: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http", "https", "ftp", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    for name, proxy in proxies.items():
        monkeypatch.setenv(f"{name}_proxy", proxy)
    hosts: list[str] = []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://huggingface.co")
    monkeypatch.setattr(reaching, "answers", lambda address: hosts.append(address) or False)
    with not_waiting():
        assert constants.is_offline_mode() == (asked is not None)
    assert hosts == ([] if asked is None else [asked])


@pytest.mark.parametrize("reachable", [True, False])
def test_the_client_asks_its_cache_alone(
    reachable: bool, open_port: int, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{open_port if reachable else closed_port}")
    monkeypatch.setattr(reaching, "getproxies", dict)
    offline: list[bool] = []
    monkeypatch.setattr(
        timm, "create_model", lambda *_, **__: offline.append(constants.is_offline_mode()) or torch.nn.Identity()
    )
    pretrained.create_pretrained("resnet10t", {})
    assert offline == [not reachable]
    assert not constants.HF_HUB_OFFLINE


def test_who_has_chosen_to_stay_offline_stays(open_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{open_port}")
    with not_waiting():
        assert constants.is_offline_mode()
    assert constants.HF_HUB_OFFLINE
