"""Discovery of designated resolvers (RFC 9462): who asks in the clear is told of the encrypted way."""

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from dns.rdtypes.svcbbase import ParamKey

from lib import dns_wire as wire
from lib.certs import certificate_files
from lib.clients import TlsClient, ask, kdig

NAME = "_dns.resolver.arpa"


def services(sotto, **options) -> list:
    reply = ask(sotto.address, NAME, "SVCB", **options)
    assert reply.rcode() == dns.rcode.NOERROR and reply.flags & dns.flags.AA
    return [record for rrset in reply.answer for record in rrset]


def described(record) -> dict:
    """As text: what a client makes of it."""
    return {ParamKey(key).name.lower(): value.to_text() for key, value in record.params.items()}


@pytest.fixture
def sotto(server, forward, encrypted):
    return forward(server, **encrypted)


def test_the_listener_is_told_of_and_is_there(sotto, server, authority):
    (record,) = services(sotto)
    place = sotto.listener("tls")
    assert record.priority == 1 and str(record.target) == "dot.test."
    assert described(record) == {
        "alpn": '"dot"',
        "port": f'"{place.port}"',
        "ipv4hint": '"127.0.0.1"',
    }
    with TlsClient(place, authority, name=str(record.target).rstrip(".")) as client:
        client.send(wire.query("www.example.test"))
        assert client.receive()
    assert {query.name for query in server.queries} == {"www.example.test."}, "it is not forwarded"


@pytest.mark.parametrize("options", [{"tcp": True}, {"use_edns": False}])
def test_over_tcp_and_without_edns(sotto, options):
    assert len(services(sotto, **options)) == 1


def test_kdig_reads_it(sotto):
    output = kdig(sotto.address, NAME, "SVCB")
    assert "1 dot.test. alpn=dot port=" in output and "ipv4hint=127.0.0.1" in output


def test_nothing_to_tell(server, forward, sotto):
    """NODATA: another type, or no encrypted listener."""
    reply = ask(sotto.address, NAME, "A")
    assert reply.rcode() == dns.rcode.NOERROR and not reply.answer and reply.authority
    plain = forward(server)
    assert services(plain) == []


def test_a_certificate_without_a_name(server, forward, authority):
    found = authority.issue(names=[], ips=["127.0.0.1"])
    listen = ["dns://127.0.0.1:0", "tls://127.0.0.1:0"]
    sotto = forward(server, listen=listen, tls={"certificates": [certificate_files(found)]})
    assert services(sotto) == []


def test_each_listener_under_the_name_in_its_own_certificate(server, forward, identity, authority):
    other, nameless = authority.issue(names=["other.test"]), authority.issue(names=[])
    tls = [
        {"url": f"tls://{address}:0", "certificates": [certificate_files(found)]}
        for address, found in [
            ("127.0.0.1", identity),
            ("127.0.0.2", nameless),
            ("127.0.0.3", other),
        ]
    ]
    sotto = forward(server, listen=["dns://127.0.0.1:0", *tls])
    told = {str(record.target): described(record)["ipv4hint"] for record in services(sotto)}
    assert told == {"dot.test.": '"127.0.0.1"', "other.test.": '"127.0.0.3"'}


def test_the_first_name_that_is_no_pattern(server, forward, authority):
    found = authority.issue(names=["*.wild.test", "plain.test", "other.test"])
    listen = ["dns://127.0.0.1:0", "tls://127.0.0.1:0"]
    sotto = forward(server, listen=listen, tls={"certificates": [certificate_files(found)]})
    assert str(services(sotto)[0].target) == "plain.test."


def test_a_listener_on_every_address_is_where_the_client_asked(server, forward, encrypted):
    encrypted["listen"] = ["dns://*:0", "tls://*:0"]
    sotto = forward(server, **encrypted)
    port = sotto.address.port
    query = dns.message.make_query(NAME, "SVCB")
    for address, hint in [
        ("127.0.0.1", "ipv4hint"),
        ("127.0.0.3", "ipv4hint"),
        ("::1", "ipv6hint"),
    ]:
        reply = dns.query.udp(query, address, 5, port)
        assert described(reply.answer[0][0])[hint] == f'"{address}"'


def test_a_reload_changes_what_is_told(sotto):
    listen = ["dns://127.0.0.1:0", "tls://127.0.0.1:0"]
    sotto.reload({**sotto.config, "listen": listen[:1]})
    assert services(sotto) == []
    sotto.reload({**sotto.config, "listen": listen})
    (record,) = services(sotto)
    port = [address.port for scheme, address in sotto.listeners if scheme == "tls"][-1]
    assert described(record)["port"] == f'"{port}"'
