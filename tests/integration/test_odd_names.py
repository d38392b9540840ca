"""Names that no host has: forwarded octet for octet, and harmless wherever they are shown."""

import pytest

from lib import dns_wire as wire
from lib.clients import assert_own_raw
from lib.faulty_dot import answering
from lib.transports import TRANSPORTS, connect

LABELS_127 = b"\1a" * 127 + b"\0"
LONGEST = (b"\x3f" + b"y" * 63) * 3 + b"\x3d" + b"z" * 61 + b"\0"


def labels(*parts: bytes) -> bytes:
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


NAMES = {
    "NUL": labels(b"a\0b", b"test"),
    "only NUL": labels(b"\0", b"test"),
    "dot in a label": labels(b"a.b", b"test"),
    "only dots": labels(b"...", b"test"),
    "space": labels(b"a b ", b"test"),
    "script": labels(b"<script>alert(1)</script>", b"test"),
    "percent": labels(b"%s%n%x%%", b"test"),
    "newline": labels(b"a\nERROR forged: line\r", b"test"),
    "terminal escape": labels(b"\x1b[2J\x07", b"test"),
    "0xff": labels(b"\xff" * 10, b"test"),
    "all octets": b"".join(
        labels(bytes(range(start, min(start + 63, 256))))[:-1] for start in range(0, 252, 63)
    )[:200]
    + b"\0",
    "backslash and quotes": labels(b"\\\"'`$(id)", b"test"),
    "upper case": labels(b"UPPER", b"TEST"),
    "mixed case": labels(b"MiXeD-cAsE", b"TeSt"),
    "127 labels": LABELS_127,
    "255 octets": LONGEST,
    "root": b"\0",
    "underscore": labels(b"_dns", b"_tcp", b"test"),
    "punycode": labels(b"xn--bcher-kva", b"test"),
    "utf-8": labels("bücher".encode(), b"test"),
    "slash": labels(b"..", b"..", b"etc/passwd", b"test"),
}
# Cut in the middle of a label above.
NAMES["all octets"] = labels(bytes(range(0, 63)), bytes(range(63, 126)), bytes(range(126, 189)))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_name_is_forwarded_octet_for_octet(dot_server, forward, transport):
    """Q9: and comes back in the letter case it was asked in."""
    server = dot_server()
    sotto = forward(server)
    with connect(sotto.address, transport) as client:
        for what, name in NAMES.items():
            reply = client.exchange(wire.query(name))
            assert reply[3] & 15 == 0 and reply[12 : 12 + len(name)] == name, what
            rdata = wire.derived_rdata(name, wire.A)
            assert rdata in reply, what
            assert server.queries[-1].qname == name, what
    assert len(server.queries) == len(NAMES)


def test_no_name_reaches_the_log_unescaped(dot_server, forward):
    """Q9: at the most talkative level, and with something to talk about."""
    servers = [dot_server(on_query=answering(rcode=wire.SERVFAIL, answer=[])) for _ in range(2)]
    sotto = forward(*servers)
    with connect(sotto.address, "udp") as client:
        for name in NAMES.values():
            client.exchange(wire.query(name))
    sotto.counters()  # what the log had to say is said by now
    for line in sotto.lines:
        assert line.isprintable(), repr(line)
        assert not line.startswith("ERROR forged"), line


def test_case_is_that_of_each_client(dot_server, forward):
    """Q9: two that ask for the same name at the same time in different case."""
    server = dot_server()
    sotto = forward(server)
    spellings = ["name.test", "NAME.TEST", "NaMe.tEsT"]
    with connect(sotto.address, "tcp") as client:
        client.send(*(wire.query(name, ident=i) for i, name in enumerate(spellings)))
        replies = client.receive_all(len(spellings))
    for ident, name in enumerate(spellings):
        assert_own_raw(replies[ident], name)
