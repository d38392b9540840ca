"""The query log as dnstap: what real collectors take and real readers show is what was put in."""

import re
import socket
import struct
import threading
import time

import dns.name
import dns.rdatatype
import dns.rrset
import pytest

from lib import querylog_feed as feeding
from lib.collectors import Collector, needs_tools, parse_go, read_by_go, read_by_ldns
from lib.querylog_feed import INSTANCE, make_entry
from lib.timing import scaled, wait_until, within

pytestmark = needs_tools

QUESTION = re.compile(r";; QUESTION SECTION:\n;(.*)\t(\S+)\t\s*(\S+)\n")
GONE = "records wait"
BACK = "records are written again"
PROTOCOLS = ["UDP", "TCP", "DOT", "DOH"]
CONTENT_TYPE = b"protobuf:dnstap.Dnstap"


@pytest.fixture
def collector(tmp_path):
    """Make collectors: `collector("dnstap", tcp=True)`."""
    collectors = []

    def make(*arguments, **options) -> Collector:
        folder = tmp_path / f"collector-{len(collectors)}"
        folder.mkdir()
        collectors.append(Collector(folder, *arguments, **options))
        return collectors[-1]

    yield make
    for one in collectors:
        one.kill()


def rrset(name, rdtype, *data):
    return dns.rrset.from_text(name, 60, "IN", rdtype, *data)


ENTRIES = [
    make_entry(1, "www.test.", records=[rrset("www.test.", "A", "198.51.100.7")]),
    make_entry(2, "WWW.Test.", "AAAA", transport=feeding.TCP, client="[2001:db8::7]:65535"),
    make_entry(3, "no.test.", "HTTPS", rcode=3, transport=feeding.TLS),
    make_entry(
        4,
        "up.test.",
        "TXT",
        records=[rrset("up.test.", "TXT", '"x"')],
        transport=feeding.HTTPS,
        outcome=feeding.MISS,
        upstream="[2001:db8::53]:853",
        latency=2500001,
        upstream_latency=2000002,
        flags=feeding.RD | feeding.EDNS | feeding.DO,
    ),
    make_entry(5, "fail.test.", "MX", rcode=2, outcome=feeding.ERROR, upstream="192.0.2.53:8853"),
    make_entry(6, dns.name.Name([b'<script>"\\\0\xff', b"a.b", b""]), "TYPE65280"),
    make_entry(7, ".", "NS", flags=feeding.CD | feeding.QUERY_AD),
    make_entry(8, "silent.test.", flags=feeding.RD | feeding.SILENCE),
]


def messages_of(entry):
    """The letters of the dnstap messages that an entry stands for."""
    silent = entry["flags"] & feeding.SILENCE
    return ["CQ", *(["FQ", "FR"] if "upstream" in entry else []), *([] if silent else ["CR"])]


def split_address(text):
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def micros(text):
    """The time of the Go tool, which leaves out zeros, in microseconds."""
    seconds, _, fraction = text.rstrip("Z").partition(".")
    seconds = time.mktime(time.strptime(seconds + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone
    return int(seconds) * 1000000 + int((fraction + "000000")[:6])


def assert_go_message(shown, entry, kind):
    assert (shown["identity"], shown["type"]) == (INSTANCE, "MESSAGE")
    assert shown["version"].startswith("sotto ")
    message = shown["message"]
    side = "CLIENT" if kind[0] == "C" else "FORWARDER"
    assert message["type"] == f"{side}_{'QUERY' if kind[1] == 'Q' else 'RESPONSE'}"
    begin, end = entry["time"], entry["time"] + entry["latency"]
    if side == "CLIENT":
        address = (message["query_address"], message["query_port"])
        assert address == split_address(entry["client"])
        assert message["socket_protocol"] == PROTOCOLS[entry["transport"]]
    else:
        address = (message["response_address"], message["response_port"])
        assert address == split_address(entry["upstream"])
        assert message["socket_protocol"] == "DOT"
        begin = end - entry.get("upstream_latency", 0)
    assert message["socket_family"] == ("INET6" if ":" in address[0] else "INET")
    assert micros(message["query_time"]) == begin
    if kind[1] == "R":
        assert micros(message["response_time"]) == end
    text = message["query_message" if kind[1] == "Q" else "response_message"]
    assert f"id: {entry['id']}\n" in text
    if kind[1] == "Q":
        assert ("flags: do;" in text) == bool(entry["flags"] & feeding.DO)
        assert ("EDNS" in text) == bool(entry["flags"] & feeding.EDNS)
        for flag, bit in (("rd", feeding.RD), ("cd", feeding.CD), ("ad", feeding.QUERY_AD)):
            assert bool(re.search(rf"flags:[^;]* {flag}", text)) == bool(entry["flags"] & bit)
    else:
        rcodes = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN"}
        assert f"status: {rcodes[entry['rcode']]}," in text
        assert ("198.51.100.7" in text) == (entry["id"] == 1)
    name, rdclass, rdtype = QUESTION.search(text).groups()
    assert dns.name.from_text(name).labels == entry["name"].labels
    assert (rdclass, dns.rdatatype.from_text(rdtype)) == ("IN", entry["type"])


def assert_ldns_line(line, entry, kind):
    words = line.split(" ", 6)
    at = entry["time"] + (0 if kind == "CQ" else entry["latency"])
    if kind == "FQ":
        at -= entry.get("upstream_latency", 0)
    expected = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at // 1000000))
    assert words[:2] == f"{expected}.{at % 1000000:06}".split()
    assert words[2] == kind
    assert words[3] == split_address(entry["client" if kind[0] == "C" else "upstream"])[0]
    # The one in Debian 12 is from before DOT and DOH had numbers.
    protocol = "DOT" if kind[0] == "F" else PROTOCOLS[entry["transport"]]
    assert words[4] in (protocol, "?" if protocol in ("DOT", "DOH") else protocol)
    if kind == "CR":
        assert words[5] == f"{entry['reply_size']}b"
    if entry["id"] != 6:  # it has its own way to write odd names
        name = entry["name"].to_text()
        assert words[6] == f'"{name}" IN {dns.rdatatype.to_text(entry["type"])}'


def expect(entries):
    return [(entry, kind) for entry in entries for kind in messages_of(entry)]


def assert_shown_by_go(messages, entries):
    assert len(messages) == len(expect(entries))
    for shown, (entry, kind) in zip(messages, expect(entries)):
        assert_go_message(shown, entry, kind)


def assert_shown(path, entries):
    assert_shown_by_go(read_by_go(path), entries)
    lines = read_by_ldns(path)
    assert len(lines) == len(expect(entries))
    for line, (entry, kind) in zip(lines, expect(entries)):
        assert_ldns_line(line, entry, kind)


either = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])


@either
def test_fstrm_capture_gets_what_was_put_in(collector, feed, tcp):
    """Names, types, rcodes, addresses and times, as two readers show them."""
    place = collector(tcp=tcp).start()
    sink = feed(place.url)
    sink.keep(ENTRIES)
    sink.close()
    assert_shown(place.stop(), ENTRIES)


@either
def test_go_tool_gets_what_was_put_in(collector, feed, tcp):
    """The same, by another implementation of the protocol."""
    place = collector("dnstap", tcp).start()
    sink = feed(place.url)
    sink.keep(ENTRIES)
    sink.close()
    count = len(expect(ENTRIES))
    wait_until(lambda: place.files[-1].read_text().count("\n") == count, 10, "all is written")
    assert_shown_by_go(parse_go(place.stop().read_text()), ENTRIES)


def test_file(feed, tmp_path):
    """Without a collector; a second run goes on with the same file, also after a crash."""
    path = tmp_path / "queries.tap"
    url = f"dnstap://{path}?file"
    sink = feed(url)
    assert sink.write(ENTRIES) == "ok"
    sink.close()
    assert_shown(path, ENTRIES)
    sink = feed(url)
    assert sink.write(ENTRIES[:2]) == "ok"
    sink.kill()
    with open(path, "ab") as file:
        file.write(b"\0\0\1\0cut off")
    sink = feed(url)
    assert sink.write(ENTRIES[2:]) == "ok"
    sink.close()
    assert_shown(path, ENTRIES + ENTRIES)


def test_file_moved(feed, tmp_path):
    """What logrotate does: each file is whole."""
    path = tmp_path / "queries.tap"
    sink = feed(f"dnstap://{path}?file")
    assert sink.write(ENTRIES) == "ok"
    path.rename(tmp_path / "queries.tap.1")
    sink.reopen()
    assert sink.write(ENTRIES[:1]) == "ok"
    sink.close()
    assert_shown(tmp_path / "queries.tap.1", ENTRIES)
    assert_shown(path, ENTRIES[:1])


@either
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_collector_restarted(collector, feed, tcp, end):
    """Nothing that comes meanwhile is lost; the log has a line for each change, and no more."""
    place = collector(tcp=tcp)
    sink = feed(place.url)
    assert sink.write(ENTRIES[:1]) == "again"
    place.start()
    sink.keep()
    sink.wait_log(BACK)
    assert (sink.log().count(GONE), sink.log().count(BACK)) == (1, 1)
    sink.tick()
    getattr(place, end)()
    sink.add(ENTRIES[1])
    for _ in range(3):
        with within(5):
            assert sink.write() == "again"
        sink.tick()
    place.start()
    sink.keep()
    sink.close()
    assert_shown(place.stop(), ENTRIES[1:2])
    # The log spares its words for ten seconds when there was such a line before.
    assert sink.log().count(GONE) <= 2 and sink.log().count(BACK) <= 2


def test_idle_collector_restarted(collector, feed):
    """It is noticed without anything to write, and so is the next one."""
    place = collector(tcp=True).start()
    sink = feed(place.url)
    sink.keep(ENTRIES[:1])
    place.kill()
    sink.tick()
    sink.wait_log(GONE)
    place.start()
    wait_until(lambda: sink.tick() or BACK in sink.log(), 20, "it is back", 0.2)
    sink.close()


def control_frame(kind):
    body = struct.pack(">III", kind, 1, len(CONTENT_TYPE)) + CONTENT_TYPE
    return struct.pack(">II", 0, len(body)) + body


def test_collector_that_does_not_read(feed):
    """Each call ends in time; when it reads after all, all is there once."""
    entries = [make_entry(number, "big.test.", reply=bytes(60000)) for number in range(100)]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = feed(f"dnstap://127.0.0.1:{listener.getsockname()[1]}")
        for entry in entries:
            sink.add(entry)
        listener.settimeout(scaled(20))
        sink.say("write")
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(scaled(20))
            assert connection.recv(65536) == control_frame(4)
            connection.sendall(control_frame(1))
            with within(5):
                assert sink.hear() == "again"
            for _ in range(2):
                with within(5):
                    assert sink.write() == "again"
            sink.wait_log("does not read")
            assert sink.log().count(GONE) == 1
            read = bytearray()
            reader = threading.Thread(target=read_all, args=(connection, read))
            reader.start()
            sink.keep()
            sink.wait_log(BACK)
            sink.kill()
            reader.join()
    start = control_frame(2)
    assert read.startswith(start)
    assert count_frames(read[len(start) :]) == 2 * len(entries)


def read_all(connection, into):
    while part := connection.recv(1 << 20):
        into += part


def count_frames(octets):
    count = at = 0
    while at < len(octets):
        at += 4 + int.from_bytes(octets[at : at + 4], "big")
        count += 1
    assert at == len(octets)
    return count


def test_peer_that_is_no_collector(feed):
    """Something else listens there: said, in time, and tried again."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sink = feed(f"dnstap://127.0.0.1:{listener.getsockname()[1]}")
        with within(5):
            assert sink.write(ENTRIES[:1]) == "again"
        sink.wait_log("does not accept dnstap")
        sink.close()
