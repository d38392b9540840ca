"""The opportunistic profile (RFC 8310 section 5): by name only, and never in the clear."""

import pytest

from lib.certs import DAY
from lib.clients import ask, assert_failed, assert_own_answer
from lib.sotto_process import HEARD_BY
from lib.timing import within

OPPORTUNISTIC = {"profile": "opportunistic"}

UNPROVEN = {
    "expired": dict(valid_from=-60 * DAY),
    "self-signed": dict(self_signed=True),
    "other-name": dict(names=["other.test"]),
}


@pytest.mark.parametrize("settings", UNPROVEN.values(), ids=UNPROVEN.keys())
def test_an_unproven_server_is_used_and_the_log_says_so(dot_server, forward, authority, settings):
    server = dot_server(authority.issue(**settings))
    sotto = forward(server, server_options=OPPORTUNISTIC)
    assert_own_answer(ask(sotto.address, "unproven.test"), "unproven.test")
    assert sotto.wait_log(r"connected to .*NOT verified")


def test_a_proven_server_counts_as_verified(dot_server, forward):
    sotto = forward(dot_server(), server_options=OPPORTUNISTIC)
    assert_own_answer(ask(sotto.address, "proven.test"), "proven.test")
    assert "NOT verified" not in sotto.wait_log(r"connected to ")


def test_it_never_goes_down_to_plain_dns(dot_server, forward):
    heard = []

    def plain(conn):
        while octets := conn.read_cipher():
            heard.append(octets)
            conn.send_cipher(octets)

    server = dot_server(on_connection=plain)
    sotto = forward(server, server_options=OPPORTUNISTIC)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "clear-secret.test"))
    assert heard and b"clear-secret" not in b"".join(heard)


def test_one_opportunistic_upstream_does_not_loosen_the_others(dot_server, forward, authority):
    bad = authority.issue(names=["other.test"])
    strict, loose = dot_server(bad), dot_server(bad)
    sotto = forward(strict, {"url": loose.url, **OPPORTUNISTIC})
    assert_own_answer(ask(sotto.address, "mixed.test"), "mixed.test")
    assert loose.queries and not strict.queries


def test_strict_is_the_default(dot_server, start_sotto, authority):
    server = dot_server(authority.issue(names=["other.test"]))
    arguments = ["-l", "127.0.0.1:0", "-u", server.url, "--ca-file", authority.ca_path]
    sotto = start_sotto(arguments=arguments)
    assert_failed(ask(sotto.address, "strict.test"), reason="verify")
    assert not server.queries
