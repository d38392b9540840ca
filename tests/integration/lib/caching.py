"""What the tests of the cache have in common.

`numbered()` is the upstream whose answers can be told apart: the n-th answer to a name is the
address 192.0.2.n, so that a client sees whether it was given an old one. `exchange()` asks with a
raw query, so that every bit of it can be chosen.
"""

import time

import dns.message
import dns.name
import dns.rdatatype

from . import dns_wire as wire
from .clients import Address, describe, extended_errors
from .faulty_dot import Query
from .transports import connect

EDE_STALE, EDE_CACHED_ERROR, EDE_STALE_NXDOMAIN = 3, 13, 19

# What a client is told of a stale answer (RFC 8767 section 4), and when it gets one by default.
STALE_TTL = 30
STALE_AFTER = 1.8

# The cache's clock has ticks of a sixteenth of a second.
TICK = 0.0625


def nth(query: Query) -> int:
    """How many times its name has been asked for, up to this query."""
    return query.connection.server.queries_for(query.name).index(query) + 1


def address_record(number: int, ttl: int = wire.DEFAULT_TTL, owner=wire.QUESTION_POINTER) -> bytes:
    return wire.record(owner, wire.A, bytes([192, 0, 2, number]), ttl)


def numbered(ttl: int = wire.DEFAULT_TTL, **changes):
    """A script: the n-th answer to a name has the address 192.0.2.n."""
    return lambda conn, query: answer_numbered(query, ttl, **changes)


def answer_numbered(query: Query, ttl: int = wire.DEFAULT_TTL, **changes) -> None:
    changes.setdefault("answer", [address_record(nth(query), ttl)])
    query.connection.answer_if_open(query, **changes)


def number_of(reply: dns.message.Message) -> int:
    """Which of the numbered answers it is."""
    assert reply.rcode() == wire.NOERROR and len(reply.answer) == 1, describe(reply)
    (rdata,) = reply.answer[0]
    assert rdata.address.startswith("192.0.2."), describe(reply)
    return int(rdata.address.rpartition(".")[2])


def negative(rcode: int, minimum: int = 300, ttl: int = 300, owner: bytes = b"\0", **changes):
    """Changes to a reply: NXDOMAIN or NODATA, with a SOA record."""
    soa = wire.soa_record(owner, minimum, ttl)
    return {"rcode": rcode, "answer": [], "authority": [soa], **changes}


def exchange(server: Address, name: str, transport="udp", timeout=8.0, **options):
    """Ask with `wire.query(name, **options)`; return the parsed reply."""
    with connect(server, transport) as client:
        return wire.parse(client.exchange(wire.query(name, **options), timeout))


def ttls(reply: dns.message.Message) -> list[int]:
    return [rrset.ttl for section in reply.sections[1:] for rrset in section]


def errors(reply: dns.message.Message) -> list[int]:
    """The codes of its extended errors (RFC 8914)."""
    return [code for code, _ in extended_errors(reply)]


def assert_stale(reply: dns.message.Message, code: int = EDE_STALE) -> None:
    assert errors(reply) == [code], describe(reply)
    assert set(ttls(reply)) == {STALE_TTL}, describe(reply)


def let_pass(ttl: float) -> None:
    """Wait until an answer that has been received has been kept for so long."""
    time.sleep(ttl + 2 * TICK)
