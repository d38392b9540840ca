"""Strict profile: no query leaves for a server that does not prove who it is."""

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from lib.certs import DAY
from lib.clients import Bystanders, ask, ask_many, assert_failed, assert_own_answer
from lib.sotto_process import HEARD_BY
from lib.timing import within

# What is wrong: how the certificate is made, the name in the URL, words of the reason.
WRONG = {
    "expired": (dict(valid_from=-60 * DAY), "dot.test", "expired"),
    "not-yet-valid": (dict(valid_from=2 * DAY), "dot.test", "not yet|activ"),
    "self-signed": (dict(self_signed=True), "dot.test", "issuer|self-signed|not trusted|unknown"),
    "unknown-ca": (dict(other_ca=True), "dot.test", "issuer|not trusted|unknown"),
    "other-name": (dict(names=["other.test"]), "dot.test", "dot.test"),
    "name-only-in-cn": (dict(names=[], common_name="dot.test"), "dot.test", "dot.test"),
    "name-in-cn-beside-others": (
        dict(names=["other.test"], common_name="dot.test"),
        "dot.test",
        "dot.test",
    ),
    "wildcard-too-high": (dict(names=["*.test"]), "a.dot.test", "a.dot.test"),
    "wildcard-too-low": (dict(names=["*.dot.test"]), "dot.test", "dot.test"),
    "wildcard-for-all": (dict(names=["*"]), "dot.test", "dot.test"),
    "no-ip-san": (dict(names=["dot.test", "127.0.0.1"]), None, "127.0.0.1"),
    "ip-only-in-cn": (dict(names=[], common_name="127.0.0.1"), None, "127.0.0.1"),
    "other-ip-san": (dict(names=[], ips=["127.0.0.2"]), None, "127.0.0.1"),
    "for-clients-only": (dict(purpose=ExtendedKeyUsageOID.CLIENT_AUTH), "dot.test", "purpose|key"),
    "missing-intermediate": (
        dict(intermediate=True, send_intermediates=False),
        "dot.test",
        "issuer|not trusted|unknown",
    ),
}
RIGHT = {
    "name": (dict(names=["dot.test"]), "dot.test"),
    "name-in-another-case": (dict(names=["DOT.test"]), "dot.TEST"),
    "one-of-many-names": (dict(names=["a.test", "dot.test", "b.test"]), "dot.test"),
    "wildcard": (dict(names=["*.dot.test"]), "a.dot.test"),
    "ip-san": (dict(names=[], ips=["127.0.0.1"]), None),
    "rsa": (dict(key="rsa"), "dot.test"),
    "intermediate": (dict(intermediate=True), "dot.test"),
}


def each(cases):
    return pytest.mark.parametrize("case", cases.values(), ids=cases.keys())


@pytest.fixture
def make_identity(authority, other_authority):
    def make(other_ca=False, intermediate=False, **options):
        issuer = other_authority if other_ca else authority
        if intermediate:
            issuer = issuer.intermediate()
        return issuer.issue(**options)

    return make


@each(WRONG)
def test_no_query_leaves_for_a_wrong_certificate(dot_server, forward, make_identity, case):
    """T1: the only upstream; the client hears why."""
    settings, name, reason = case
    server = dot_server(make_identity(**settings), name=name)
    sotto = forward(server)
    for number in range(3):
        with within(HEARD_BY):
            assert_failed(ask(sotto.address, f"secret-{number}.test"), reason="verify")
    assert not server.queries and not server.handshaken()[1:]
    assert sotto.log_lines(rf"(?i)verify.*({reason})"), sotto.log_tail()
    assert sotto.count("verification failures") >= 1


@each(WRONG)
def test_the_next_upstream_is_used_instead(dot_server, forward, make_identity, case):
    """T1"""
    settings, name, _ = case
    wrong = dot_server(make_identity(**settings), name=name)
    sotto = forward(wrong, dot_server())
    with Bystanders(sotto.address), within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "secret.test"), "secret.test")
    assert not wrong.queries


@each(RIGHT)
def test_right_certificates_are_accepted(dot_server, forward, make_identity, case):
    """T1: the other side of the rule."""
    settings, name = case
    server = dot_server(make_identity(**settings), name=name)
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "fine.test"), "fine.test")
    assert not sotto.count("verification failures")


def test_the_failure_is_logged_once_and_then_now_and_then(dot_server, forward, make_identity):
    """T1: an upstream that is down is one line, not one a query."""
    sotto = forward(dot_server(make_identity(names=["other.test"])))
    tally = ask_many(sotto.address, (f"secret-{number}.test" for number in range(200)))
    assert tally.failed == 200
    assert 1 <= len(sotto.log_lines(r"(warning|error) .*verify")) <= 3
