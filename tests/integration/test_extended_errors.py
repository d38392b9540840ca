"""Extended errors (RFC 8914): on every SERVFAIL of ours, and those of the upstream passed on."""

import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import ask, assert_failed, assert_own_answer, extended_errors
from lib.faulty_dot import accept_and_freeze, answering, hold
from lib.sotto_process import HEARD_BY
from lib.timing import within

NO_REACHABLE_AUTHORITY, NETWORK_ERROR = 22, 23
STALE, BLOCKED, DNSSEC_BOGUS = 3, 15, 6


def ede(code: int, text: str = "") -> tuple[int, bytes]:
    return wire.OPTION_EDE, code.to_bytes(2, "big") + text.encode()


@pytest.mark.parametrize("tcp", [False, True])
def test_an_upstream_that_is_not_there(dot_server, forward, tcp):
    sotto = forward(dot_server(listening=False))
    with within(HEARD_BY):
        reply = ask(sotto.address, "name.test", tcp=tcp)
    assert_failed(reply, dns.rcode.SERVFAIL, "refused")
    assert extended_errors(reply)[0][0] in (NO_REACHABLE_AUTHORITY, NETWORK_ERROR)
    assert sotto.count("failed queries") == 1


def test_an_upstream_that_is_not_who_it_should_be(dot_server, forward, other_authority):
    sotto = forward(dot_server(other_authority.issue()))
    assert_failed(ask(sotto.address, "name.test"), dns.rcode.SERVFAIL, "certificate")


@pytest.mark.parametrize("how", ["query", "handshake"])
def test_an_upstream_that_says_nothing(dot_server, forward, how):
    options = {"on_query": hold} if how == "query" else {"on_connection": accept_and_freeze}
    sotto = forward(dot_server(**options), timeout=0.5)
    with within(1.5):
        reply = ask(sotto.address, "name.test")
    assert_failed(reply)


def test_none_for_a_client_without_edns(dot_server, forward):
    """There is no place for it."""
    sotto = forward(dot_server(listening=False))
    reply = ask(sotto.address, "name.test", use_edns=False)
    assert reply.rcode() == dns.rcode.SERVFAIL and reply.edns == -1


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        [(STALE, "stale answer")],
        [(BLOCKED, ""), (DNSSEC_BOGUS, "signature expired")],
        [(65535, "ünïcode")],
        [(30, "a code that is not yet assigned")],
    ],
)
def test_those_of_the_upstream_are_passed_on(dot_server, forward, options, tcp):
    """With a good answer too, all of them, in their order."""
    server = dot_server(on_query=answering(options=[ede(*option) for option in options]))
    sotto = forward(server)
    reply = ask(sotto.address, "name.test", tcp=tcp)
    assert_own_answer(reply, "name.test")
    assert [(code, text or "") for code, text in extended_errors(reply)] == options


def test_those_with_the_upstreams_servfail_are_passed_on(dot_server, forward):
    failing = answering(rcode=wire.SERVFAIL, options=[ede(DNSSEC_BOGUS, "no signatures")])
    sotto = forward(dot_server(on_query=failing))
    reply = ask(sotto.address, "name.test")
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert (DNSSEC_BOGUS, "no signatures") in extended_errors(reply)


def test_broken_and_endless_ones_do_no_harm(dot_server, forward):
    """Shorter than a code; a text of kilobytes; a hundred of them."""
    options = [(wire.OPTION_EDE, b""), (wire.OPTION_EDE, b"\0")]
    options += [ede(STALE, "x" * 4000)] + [ede(BLOCKED, "many")] * 100
    sotto = forward(dot_server(on_query=answering(options=options)))
    reply = ask(sotto.address, "name.test")
    assert_own_answer(reply, "name.test")
    assert len(reply.to_wire()) <= 1232 and len(extended_errors(reply)) < 20


def test_a_small_client_gets_the_answer_rather_than_the_remark(dot_server, forward):
    text = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xfa" + b"x" * 250)
    server = dot_server(on_query=answering(answer=[text], options=[ede(STALE, "y" * 200)]))
    reply = ask(forward(server).address, "name.test", "TXT", payload=512)
    assert len(reply.answer) == 1 and len(reply.to_wire()) <= 512
