"""SPKI pins (RFC 7858 section 4.2), by the documented rule.

With a name, both must hold: the chain with the name, and a pin of the leaf or of a certificate
above it. Without a name, the leaf must be pinned, and no authority is asked.
"""

import pytest

from lib import certs
from lib.clients import ask, assert_failed, assert_own_answer
from lib.sotto_process import HEARD_BY
from lib.timing import within

UNUSED_PIN = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def pinned(server, *pins, **options):
    return {"url": server.url, "pin-sha256": list(pins), **options}


def assert_accepted(sotto, server):
    assert_own_answer(ask(sotto.address, "pinned.test"), "pinned.test")
    assert server.queries


def assert_refused(sotto, server):
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "pinned.test"), reason="verify")
    assert not server.queries
    assert sotto.count("verification failures") >= 1


@pytest.mark.parametrize("position", ["only", "backup"])
def test_name_and_leaf_pin(dot_server, forward, identity, position):
    """T2"""
    server = dot_server()
    pins = [identity.pin] if position == "only" else [UNUSED_PIN, identity.pin]
    assert_accepted(forward(pinned(server, *pins)), server)


def test_right_name_but_no_pin_matches(dot_server, forward):
    """T2"""
    server = dot_server()
    assert_refused(forward(pinned(server, UNUSED_PIN)), server)


def test_pin_matches_but_the_chain_does_not(dot_server, forward, other_authority):
    """T2"""
    identity = other_authority.issue()
    server = dot_server(identity)
    assert_refused(forward(pinned(server, identity.pin)), server)


def test_pin_matches_but_the_name_does_not(dot_server, forward, authority):
    """T2"""
    identity = authority.issue(names=["other.test"])
    server = dot_server(identity)
    assert_refused(forward(pinned(server, identity.pin)), server)


def test_name_and_pin_of_an_intermediate(dot_server, forward, authority):
    """T2"""
    intermediate = authority.intermediate()
    server = dot_server(intermediate.issue())
    assert_accepted(forward(pinned(server, intermediate.pin)), server)


def test_a_pinned_certificate_that_signed_nothing_does_not_count(
    dot_server, forward, authority, tmp_path
):
    """T2: anybody can append a certificate to a chain."""
    stranger = authority.intermediate("a stranger")
    identity = authority.issue()
    chain = tmp_path / "chain.pem"
    chain.write_bytes(identity.chain_path.read_bytes() + stranger.ca_path.read_bytes())
    server = dot_server(certs.Identity(identity.certificate, chain, identity.key_path))
    assert_refused(forward(pinned(server, stranger.pin)), server)


def test_leaf_pin_alone_stands_for_the_name(dot_server, forward, other_authority):
    """T2: no name in the URL, an authority nobody knows."""
    identity = other_authority.issue()
    server = dot_server(identity, name=None)
    assert_accepted(forward(pinned(server, identity.pin)), server)


def test_intermediate_pin_alone_is_not_enough(dot_server, forward, authority):
    """T2: it would let in every server of that authority."""
    intermediate = authority.intermediate()
    server = dot_server(intermediate.issue(), name=None)
    assert_refused(forward(pinned(server, intermediate.pin)), server)


def test_a_renewed_certificate_with_the_same_key_stays_pinned(dot_server, forward, authority):
    """T2"""
    identity = authority.issue()
    server = dot_server(identity)
    sotto = forward(pinned(server, identity.pin))
    assert_accepted(sotto, server)
    server.new_identity(authority.issue(private_key=identity.private_key))
    server.open_connections()[0].close()
    assert_own_answer(ask(sotto.address, "renewed.test"), "renewed.test")


def test_a_pin_that_was_taken_back_is_refused_after_the_reload(
    dot_server, forward, identity, authority
):
    """T1: revoked by pin change; open connections do not outlive it, tickets don't help."""
    server = dot_server()
    sotto = forward(pinned(server, identity.pin))
    assert_accepted(sotto, server)
    config = sotto.config
    config["upstream"]["servers"][0]["pin-sha256"] = [UNUSED_PIN]
    sotto.reload(config)
    seen = len(server.queries)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "revoked.test"), reason="verify")
    assert len(server.queries) == seen
