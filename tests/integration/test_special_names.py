"""Names that never leave, and what is said of ourselves."""

import dns.flags
import dns.rcode
import pytest

from lib import dns_wire as wire
from lib.clients import ask, assert_own_answer
from lib.transports import TRANSPORTS

NXDOMAIN, NOERROR = dns.rcode.NXDOMAIN, dns.rcode.NOERROR
ULA = "0." * 30 + "d.f.ip6.arpa"
LOOPBACK6 = "1." + "0." * 31 + "ip6.arpa"
DOC6 = "0." * 24 + "8.b.d.0.1.0.0.2.ip6.arpa"

# name, type, code, and the answer or None
NAMES = [
    ("localhost", "A", NOERROR, "127.0.0.1"),
    ("localhost", "AAAA", NOERROR, "::1"),
    ("LocalHost", "A", NOERROR, "127.0.0.1"),
    ("any.thing.localhost", "A", NOERROR, "127.0.0.1"),
    ("localhost", "TXT", NOERROR, None),
    ("invalid", "A", NXDOMAIN, None),
    ("name.invalid", "AAAA", NXDOMAIN, None),
    ("hidden.onion", "A", NXDOMAIN, None),
    ("onion", "A", NXDOMAIN, None),
    ("use-application-dns.net", "A", NXDOMAIN, None),
    ("_dns.resolver.arpa", "SVCB", NOERROR, None),
    ("resolver.arpa", "A", NOERROR, None),
    ("255.255.255.255.in-addr.arpa", "PTR", NOERROR, None),
    ("1.0.0.127.in-addr.arpa", "PTR", NOERROR, "localhost."),
    (LOOPBACK6, "PTR", NOERROR, "localhost."),
]
PRIVATE = [
    "1.0.0.10.in-addr.arpa",
    "1.1.168.192.in-addr.arpa",
    "1.0.16.172.in-addr.arpa",
    "1.0.31.172.in-addr.arpa",
    "1.0.64.100.in-addr.arpa",
    "1.127.100.in-addr.arpa",
    "1.1.254.169.in-addr.arpa",
    "1.2.0.192.in-addr.arpa",
    "1.100.51.198.in-addr.arpa",
    "1.113.0.203.in-addr.arpa",
    "1.255.255.255.255.in-addr.arpa",
    "1.0.0.0.in-addr.arpa",
    ULA,
    "1.b.e.f.ip6.arpa",
    DOC6,
]
# Next to them, and public.
PUBLIC = [
    "localhost.test",
    "notlocalhost",
    "invalid.test",
    "onion.test",
    "www.use-application-dns.net.test",
    "application-dns.net",
    "resolver.arpa.test",
    "arpa",
    "1.0.0.11.in-addr.arpa",
    "1.0.15.172.in-addr.arpa",
    "1.0.32.172.in-addr.arpa",
    "1.0.63.100.in-addr.arpa",
    "1.0.128.100.in-addr.arpa",
    "1.1.169.192.in-addr.arpa",
    "8.8.8.8.in-addr.arpa",
    "1.c.f.ip6.arpa",
]


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_special_names_never_leave(dot_server, forward, transport):
    """DESIGN 6: the upstream sees nothing, not even a connection."""
    server = dot_server()
    sotto = forward(server)
    for name, rdtype, rcode, data in NAMES:
        reply = ask(sotto.address, name, rdtype, tcp=transport == "tcp")
        assert reply.rcode() == rcode, f"{name} {rdtype}: {reply}"
        assert [str(rdata) for rrset in reply.answer for rdata in rrset] == ([data] if data else [])
        assert reply.flags & dns.flags.RA
        if data is None:
            # So that a stub or cache can remember that there is nothing (RFC 2308).
            assert [rrset.rdtype for rrset in reply.authority] == [wire.SOA], name
    for name in PRIVATE:
        reply = ask(sotto.address, name, "PTR", tcp=transport == "tcp")
        assert reply.rcode() == NXDOMAIN and len(reply.authority) == 1, f"{name}: {reply}"
    assert not server.connections
    assert sotto.count("local answers") == len(NAMES) + len(PRIVATE)


def test_names_next_to_them_do(dot_server, forward):
    server = dot_server()
    sotto = forward(server)
    for name in PUBLIC:
        assert_own_answer(ask(sotto.address, name), name)
    assert [query.name for query in server.queries] == [f"{name}." for name in PUBLIC]
    assert sotto.count("local answers") == 0


def test_private_reverse_zones_can_be_forwarded(dot_server, forward):
    """For those whose upstream knows their own network; other special names still stay."""
    server = dot_server()
    sotto = forward(server, **{"private-reverse": "forward"})
    for name in PRIVATE:
        assert_own_answer(ask(sotto.address, name, "TXT"), name, "TXT")
    for name in ("localhost", "name.invalid", "hidden.onion", "_dns.resolver.arpa"):
        ask(sotto.address, name)
    assert [query.name for query in server.queries] == [f"{name}." for name in PRIVATE]


# version.bind and the like


def identity(sotto, name: str):
    reply = ask(sotto.address, name, "TXT", rdclass="CH")
    text = reply.answer[0][0].strings[0].decode() if reply.answer else None
    return reply.rcode(), text


def test_who_we_are_by_default(dot_server, forward):
    """RFC 4892: the version is said, a name is not."""
    server = dot_server()
    sotto = forward(server)
    assert identity(sotto, "version.bind") == (NOERROR, "sotto 0.1.0")
    assert identity(sotto, "VERSION.Server") == (NOERROR, "sotto 0.1.0")
    assert identity(sotto, "id.server") == (dns.rcode.REFUSED, None)
    assert identity(sotto, "hostname.bind") == (dns.rcode.REFUSED, None)
    assert not server.connections and sotto.count("local answers") == 4


def test_who_we_are_is_configurable(dot_server, forward):
    server = dot_server()
    sotto = forward(server, identity={"version": "", "id": "rack 7 " + "x" * 200})
    assert identity(sotto, "version.bind") == (dns.rcode.REFUSED, None)
    assert identity(sotto, "id.server") == (NOERROR, "rack 7 " + "x" * 200)
    assert not server.connections


def test_identity_is_only_for_the_class_chaos(dot_server, forward):
    server = dot_server()
    sotto = forward(server)
    assert_own_answer(ask(sotto.address, "version.bind"), "version.bind")
    reply = ask(sotto.address, "version.bind", "A", rdclass="CH")
    assert reply.rcode() == NOERROR and not reply.answer
    assert len(server.queries) == 1
