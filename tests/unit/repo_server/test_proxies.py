"""Whose word about the client's address is believed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server import proxies
from repo_server.proxies import FORWARDED, TrustedProxies


def seen(trusted: list[str], peer: str, **headers: str) -> dict[str, Any]:
    """What the application sees of a request from ``peer``."""
    found: dict[str, Any] = {}

    def app(environ: Any, _: Any) -> list[bytes]:
        found.update(environ)
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", **{f"HTTP_{key}": text for key, text in headers.items()}}
    TrustedProxies(app, trusted)(environ, lambda *_: lambda _: None)
    return found


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "client"),
    [
        ([], "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (["127.0.0.1"], "203.0.113.9", "198.51.100.1", "203.0.113.9"),
        (["127.0.0.1"], "127.0.0.1", "198.51.100.1", "198.51.100.1"),
        (
            ["127.0.0.1"],
            "127.0.0.1",
            "10.0.0.1, 198.51.100.1",
            "198.51.100.1",
        ),  # the left is its own word
        (["127.0.0.1", "10.0.0.0/8"], "127.0.0.1", "198.51.100.1, 10.9.9.9", "198.51.100.1"),
        (["127.0.0.1"], "127.0.0.1", "nonsense", "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", "198.51.100.1, ", "127.0.0.1"),
        (["127.0.0.1"], "127.0.0.1", "", "127.0.0.1"),
        (["unix"], "", "2001:db8::1", "2001:db8::1"),
        (["127.0.0.1"], "", "198.51.100.1", ""),
        (["unix"], "127.0.0.1", "198.51.100.1", "127.0.0.1"),
        (["::1/128"], "::1", "198.51.100.1", "198.51.100.1"),
    ],
)
def test_the_client_behind_a_proxy(trusted: list[str], peer: str, forwarded_for: str, client: str) -> None:
    assert seen(trusted, peer, X_FORWARDED_FOR=forwarded_for)["REMOTE_ADDR"] == client


@given(st.text(max_size=60), st.sampled_from(["203.0.113.9", "::2", "", "not an address"]))
def test_whatever_a_stranger_says_the_address_is_the_peers(text: str, peer: str) -> None:
    found = seen(["127.0.0.1", "10.0.0.0/8"], peer, X_FORWARDED_FOR=text, X_REAL_IP=text, FORWARDED=text)
    assert found["REMOTE_ADDR"] == peer
    assert found[FORWARDED] is True
    assert not [name for name in found if "FORWARDED" in name and name != FORWARDED]


@pytest.mark.parametrize(("peer", "scheme"), [("127.0.0.1", "https"), ("203.0.113.9", "http")])
def test_the_scheme_is_believed_from_the_same_peers(peer: str, scheme: str) -> None:
    assert seen(["127.0.0.1"], peer, X_FORWARDED_PROTO="https")["wsgi.url_scheme"] == scheme
    assert seen(["127.0.0.1"], peer, X_FORWARDED_PROTO="gopher")["wsgi.url_scheme"] == "http"


def test_a_direct_request_is_left_as_it_is() -> None:
    found = seen(["127.0.0.1"], "127.0.0.1", HOST="x")
    assert (found["REMOTE_ADDR"], FORWARDED in found) == ("127.0.0.1", False)


def test_networks_are_checked() -> None:
    with pytest.raises(ValueError, match="host bits"):
        proxies.networks(["10.0.0.1/8"])
