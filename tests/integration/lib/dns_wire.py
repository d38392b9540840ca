"""DNS messages as bytes.

The servers of the harness answer every name with data derived from the name itself, so that each
answer can be checked against its question without any zone: `derived_rdata()` is that rule (a
CRC of the lower-cased wire name; fast_dot.c follows the same rule). Builders work on bytes because
most tests need messages that a DNS library would refuse to make.
"""

import struct
import zlib

import dns.message

A, NS, CNAME, SOA, TXT, AAAA, SVCB, OPT, ANY = 1, 2, 5, 6, 16, 28, 64, 41, 255
IN, CH = 1, 3
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010

OPTION_ECS, OPTION_COOKIE, OPTION_KEEPALIVE, OPTION_PADDING, OPTION_EDE = 8, 10, 11, 12, 15

QUESTION_POINTER = b"\xc0\x0c"
DEFAULT_TTL = 300


def name_wire(name: str) -> bytes:
    """The wire form of a plain dotted name (no escapes)."""
    labels = [label.encode() for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def name_text(wire: bytes) -> str:
    """The dotted form of an uncompressed wire name, for logs and look-ups in tests."""
    labels, offset = [], 0
    while wire[offset]:
        length = wire[offset]
        labels.append(wire[offset + 1 : offset + 1 + length].decode("ascii", "backslashreplace"))
        offset += 1 + length
    return ".".join(labels) + "."


def skip_name(message: bytes, offset: int) -> int:
    """The offset after a name that may end in a compression pointer."""
    while True:
        length = message[offset]
        if length == 0:
            return offset + 1
        if length >= 0xC0:
            return offset + 2
        offset += 1 + length


def derived_rdata(qname_wire: bytes, rdtype: int) -> bytes:
    """The one right answer to a question, whatever the letter case it was asked in."""
    crc = zlib.crc32(qname_wire.lower())
    if rdtype == A:
        return bytes([203]) + crc.to_bytes(4, "big")[1:]
    if rdtype == AAAA:
        return bytes.fromhex("20010db8") + struct.pack("!III", 0, crc, crc ^ 0xFFFFFFFF)
    if rdtype == TXT:
        text = b"%08x" % crc
        return bytes([len(text)]) + text
    if rdtype in (NS, CNAME):
        return name_wire(f"n{crc:08x}.test")
    return crc.to_bytes(4, "big")


def question(qname_wire: bytes, rdtype: int = A, rdclass: int = IN) -> bytes:
    return qname_wire + struct.pack("!HH", rdtype, rdclass)


def record(owner: bytes, rdtype: int, rdata: bytes, ttl: int = DEFAULT_TTL, rdclass=IN) -> bytes:
    return owner + struct.pack("!HHIH", rdtype, rdclass, ttl, len(rdata)) + rdata


def option(code: int, data: bytes = b"") -> bytes:
    return struct.pack("!HH", code, len(data)) + data


def opt_record(options=(), size=1232, extended_rcode=0, version=0, flags=0) -> bytes:
    """An OPT record; `options` are (code, data) pairs."""
    rdata = b"".join(option(code, data) for code, data in options)
    header = struct.pack("!HHBBHH", OPT, size, extended_rcode, version, flags, len(rdata))
    return b"\0" + header + rdata


def soa_record(owner: bytes = b"\0", minimum: int = 60, ttl: int = DEFAULT_TTL) -> bytes:
    rdata = name_wire("ns.test") + name_wire("admin.test")
    rdata += struct.pack("!IIIII", 1, 3600, 600, 86400, minimum)
    return record(owner, SOA, rdata, ttl)


def header(ident: int, flags: int, counts) -> bytes:
    return struct.pack("!HHHHHH", ident, flags, *counts)


def message(ident, flags, questions=(), answer=(), authority=(), additional=(), counts=None):
    """A whole message; `counts` overrides the four header counts with lies."""
    sections = (questions, answer, authority, additional)
    counts = counts or [len(section) for section in sections]
    return header(ident, flags, counts) + b"".join(b"".join(section) for section in sections)


def query(
    name, rdtype=A, ident=0x1234, flags=RD, rdclass=IN, edns=True, options=(), size=1232, do=False
) -> bytes:
    """A client's query; `name` is text or an uncompressed wire name."""
    qname = name if isinstance(name, bytes) else name_wire(name)
    additional = [opt_record(options, size, flags=0x8000 if do else 0)] if edns or options else []
    return message(ident, flags, [question(qname, rdtype, rdclass)], additional=additional)


def parse(octets: bytes) -> dns.message.Message:
    return dns.message.from_wire(octets)


def framed(wire: bytes) -> bytes:
    """A message as it travels over a stream (RFC 1035 section 4.2.2)."""
    return struct.pack("!H", len(wire)) + wire
