"""Who may ask what, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.errors import Refused
from orgloop.web.guards import (
    GUESSES,
    LOCAL_HOSTS,
    TokenGuard,
    host_name,
    require_local,
    require_operator,
    require_same_origin,
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost", "localhost"),
        ("LocalHost:4800", "localhost"),
        (" 127.0.0.1:4800 ", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("[::1]:4800", "[::1]"),
        ("evil.example:4800", "evil.example"),
        ("", ""),
        ("[", ""),
        ("[::1", ""),
        ("localhost:", ""),
        ("localhost:x", ""),
        ("localhost:80:80", ""),
        ("[::1]x", ""),
        ("localhost@evil.example", "localhost@evil.example"),
        ("evil.example#localhost", "evil.example#localhost"),
        ("127.0.0.1.evil.example", "127.0.0.1.evil.example"),
        ("localhost.", "localhost."),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


@given(st.one_of(st.text(max_size=40), st.from_regex(r"(localhost|\[::1\]|127\.0\.0\.1)(:[0-9x]*)?.?")))
def test_no_host_header_breaks_the_guard(host: str) -> None:
    refusal: Refused | None = None
    try:
        require_operator({"host": host})
    except Refused as exc:
        refusal = exc
    if refusal is None:
        name, _, port = host.strip().lower().rpartition(":")
        assert (name or port) in LOCAL_HOSTS or f"{name}:{port}" in LOCAL_HOSTS
    else:
        assert refusal.status == 403


@pytest.mark.parametrize(
    ("peer", "ok"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.168.1.2", False),
        ("203.0.113.9", False),
        ("::ffff:203.0.113.9", False),
        ("", False),
        ("nonsense", False),
    ],
)
def test_who_counts_as_this_machine(peer: str, ok: bool) -> None:
    headers = {"host": "localhost:4800"}
    if ok:
        require_local(headers, peer)
        return
    with pytest.raises(Refused, match="this machine only") as caught:
        require_local(headers, peer)
    assert (caught.value.status, bool(caught.value.hint)) == (403, True)


@pytest.mark.parametrize(
    ("origin", "ok"),
    [
        (None, True),
        ("http://localhost:4800", True),
        ("HTTP://LOCALHOST:4800", True),
        ("http://localhost", False),
        ("http://localhost:4801", False),
        ("http://127.0.0.1:4800", False),
        ("https://evil.example", False),
        ("null", False),
        ("", False),
    ],
)
def test_which_page_may_ask(origin: str | None, ok: bool) -> None:
    headers = {"host": "localhost:4800"} | ({} if origin is None else {"origin": origin})
    if ok:
        require_same_origin(headers)
        return
    with pytest.raises(Refused, match="another site"):
        require_same_origin(headers)


@pytest.mark.parametrize(
    ("given", "ok"),
    [
        ("Bearer tökén", True),
        ("bearer  tökén ", True),
        ("Bearer token", False),
        ("Bearer tökén x", False),
        ("Basic tökén", False),
        ("tökén", False),
        ("Bearer", False),
        ("", False),
        (None, False),
        ("Bearer \udcff", False),
    ],
)
def test_which_token_opens(given: str | None, ok: bool) -> None:
    headers = {} if given is None else {"authorization": given}
    if ok:
        TokenGuard("tökén").require(headers)
        return
    with pytest.raises(Refused) as caught:
        TokenGuard("tökén").require(headers)
    assert caught.value.status == 401


def test_wrong_tokens_are_few_in_a_second_and_the_right_one_always_opens(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    guard = TokenGuard("right", lambda: now)

    def tried(token: str) -> int:
        try:
            guard.require({"authorization": f"Bearer {token}"})
        except Refused as exc:
            return exc.status
        return 200

    for second in (0.0, 1.0):
        now = second
        answers = [tried(f"wrong{n}") for n in range(1_000)]
        assert answers == [401] * GUESSES + [429] * (1_000 - GUESSES)
        assert tried("right") == 200
    assert len([record for record in caplog.records if "wrong token" in record.getMessage()]) == 1


@pytest.mark.parametrize(
    "name",
    [
        "CF-Connecting-IP",
        "CF-Ray",
        "CDN-Loop",
        "Client-IP",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "Forwarded",
        "Ngrok-Auth-User-Email",
        "Tailscale-User-Login",
        "True-Client-IP",
        "Via",
        "X-Azure-ClientIP",
        "X-Client-IP",
        "X-Cluster-Client-IP",
        "X-Envoy-External-Address",
        "X-Forwarded",
        "X-Forwarded-For",
        "X-Host",
        "X-Original-Forwarded-For",
        "X-Original-Host",
        "X-Original-URL",
        "X-ProxyUser-IP",
        "X-Real-IP",
        "X-Real-Host",
        "X-Rewrite-URL",
        "X-Vercel-Forwarded-For",
    ],
)
def test_a_header_of_a_tunnel_or_proxy_says_that_this_is_not_this_machine(name: str) -> None:
    headers = {"host": "localhost:4800", name: "127.0.0.1"}
    with pytest.raises(Refused, match=name) as local:
        require_local(headers, "127.0.0.1")
    with pytest.raises(Refused, match=name) as operator:
        require_operator(headers)
    assert (local.value.status, operator.value.status) == (403, 403)
