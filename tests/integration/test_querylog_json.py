"""The query log as JSON lines: every line parses, whatever was asked, and none is lost or cut."""

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import dns.name
import pytest

from lib import querylog_feed as feeding
from lib.querylog_feed import INSTANCE, make_entry
from lib.timing import within

HOSTILE_LABELS = [
    b'\0"\\\n\r\t\x1b\x7f\xff',
    b"<script>alert(1)</script>",
    b"</script><!--",
    b"a.b",
    b" ",
    b"'; DROP TABLE queries; --",
    b'","name":"',
    "bücher\u2028".encode(),
    b"\xed\xa0\x80\xc0\x80",
    b"\xff" * 63,
    b"\\" * 63,
    b"%s%n${jndi:x}",
]


def read_lines(*paths) -> list[dict]:
    lines = []
    for path in paths:
        octets = path.read_bytes()
        assert octets.endswith(b"\n") or not octets
        lines += [json.loads(line) for line in octets.decode("ascii").splitlines()]
    return lines


def test_hostile_names(feed, tmp_path):
    """Names are text in presentation form; reading it gives the octets that were asked."""
    names = [dns.name.Name([label, b"test", b""]) for label in HOSTILE_LABELS]
    names += [dns.name.Name([bytes([octet]), b""]) for octet in range(256)]
    names += [dns.name.root, dns.name.Name([b"\xff" * 63] * 3 + [b"\0" * 61, b""])]
    path = tmp_path / "queries.json"
    sink = feed(f"json://{path}")
    assert sink.write(make_entry(0, name) for name in names) == "ok"
    sink.close()
    lines = read_lines(path)
    assert len(lines) == len(names)
    for line, name in zip(lines, names):
        assert dns.name.from_text(line["name"]).labels == name.labels
        assert line["name"] == name.to_text(omit_final_dot=name != dns.name.root)


def test_what_a_line_holds(feed, tmp_path):
    path = tmp_path / "queries.json"
    sink = feed(f"json://{path}")
    entry = make_entry(
        7,
        "www.test.",
        "AAAA",
        rcode=2,
        transport=feeding.TLS,
        outcome=feeding.ERROR,
        client="[2001:db8::7]:65535",
        upstream="192.0.2.53:853",
        upstream_url=b"tls://192.0.2.53#dot.test",
        upstream_latency=1000,
        attempts=3,
        tls_version=12,
        flags=feeding.RD | feeding.DO | feeding.RESUMED,
        ede=22,
    )
    assert sink.write([entry]) == "ok"
    sink.close()
    assert read_lines(path) == [
        {
            "time": "2023-11-14T22:13:20.123463Z",
            "instance": INSTANCE,
            "client": "2001:db8::7",
            "port": 65535,
            "transport": "tls",
            "name": "www.test",
            "type": "AAAA",
            "class": "IN",
            "outcome": "error",
            "rcode": "SERVFAIL",
            "ede": 22,
            "ede_text": "No Reachable Authority",
            "upstream": "tls://192.0.2.53#dot.test",
            "upstream_address": "192.0.2.53",
            "attempts": 3,
            "latency_seconds": 0.0015,
            "upstream_latency_seconds": 0.001,
            "tls": "1.2",
            "tls_resumed": True,
            "query_size": 26,
            "reply_size": 26,
            "flags": ["rd", "do"],
        }
    ]


def test_rotation(feed, tmp_path):
    """As logrotate does it, again and again: each record is in one file, and once."""
    path = tmp_path / "queries.json"
    sink = feed(f"json://{path}")
    moved = []
    for batch in range(20):
        assert sink.write(make_entry(100 * batch + i) for i in range(100)) == "ok"
        if batch % 4 == 1:
            moved.append(path.rename(tmp_path / f"queries.json.{batch}"))
        elif batch % 4 == 2:
            sink.reopen()
    sink.close()
    assert len(moved) == 5
    lines = read_lines(*moved, path)
    # They are told apart by their times.
    assert [int(line["time"][20:26]) for line in lines] == [123456 + i for i in range(2000)]


def test_two_writers_on_one_pipe(feed):
    """Their lines are never mixed."""
    read_end, write_end = os.pipe()
    sinks = [feed("json:-", stdout=write_end) for _ in range(2)]
    os.close(write_end)
    name = dns.name.Name([b"\xff" * 63] * 3 + [b""])
    with os.fdopen(read_end, "rb") as pipe:
        writers = [
            threading.Thread(
                target=lambda sink=sink, client=client: (
                    sink.keep(make_entry(i, name, client=client) for i in range(2000)),
                    sink.close(),
                )
            )
            for client, sink in zip(("192.0.2.1:1", "192.0.2.2:2"), sinks)
        ]
        for writer in writers:
            writer.start()
        lines = [json.loads(line) for line in pipe]
        for writer in writers:
            writer.join()
    assert len(lines) == 4000
    for client in ("192.0.2.1", "192.0.2.2"):
        ids = [line["time"] for line in lines if line["client"] == client]
        assert len(ids) == 2000 and ids == sorted(set(ids))


def test_stdout_that_nobody_reads(feed):
    """It ends in time, and goes on where it was."""
    read_end, write_end = os.pipe()
    sink = feed("json:-", stdout=write_end)
    os.close(write_end)
    for i in range(1000):
        sink.add(make_entry(i))
    with within(5):
        assert sink.write() == "again"
    sink.wait_log("nobody reads it: records wait")
    got = []
    with os.fdopen(read_end, "rb") as pipe:
        reader = threading.Thread(target=lambda: got.extend(pipe))
        reader.start()
        sink.keep()
        sink.wait_log("records are written again")
        sink.close()
        reader.join()
    assert [json.loads(line)["time"] for line in got] == sorted(
        {json.loads(l)["time"] for l in got}
    )
    assert len(got) == 1000


def mounting_works() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mount = pytest.mark.skipif(not mounting_works(), reason="mounting needs root")


@pytest.fixture
def small_disk(feed):
    """Start a sink on a disk of its own, of 512 KiB: `small_disk("json:///mnt/queries.json")`.

    Returns it, and where the disk is for others.
    """

    def start(url):
        script = 'mount -t tmpfs -o size=512k tmpfs /mnt && exec "$0" "$@"'
        sink = feed(url, wrap=["unshare", "--mount", "sh", "-c", script])
        sink.tick()  # it is there
        return sink, Path(f"/proc/{sink.process.pid}/root/mnt")

    return start


def fill_up(disk) -> None:
    """Not a page is free."""
    with open(disk / "filler", "wb", buffering=0) as filler:
        try:
            while filler.write(bytes(4096)):
                pass
        except OSError:
            pass


@needs_mount
def test_disk_full(small_disk):
    """No half line stays; when there is room again, all that waited is written, once."""
    sink, disk = small_disk("json:///mnt/queries.json")
    path = disk / "queries.json"
    assert sink.write(make_entry(i) for i in range(50)) == "ok"
    fill_up(disk)
    for i in range(50, 1000):
        sink.add(make_entry(i))
    for _ in range(3):
        assert sink.write() == "again"
        assert 50 <= len(read_lines(path)) < 1000
    sink.wait_log("No space left on device: records wait")
    assert sink.log().count("records wait") == 1
    # The one that is there is moved away as well, and what waits comes into the next.
    (disk / "filler").unlink()
    path.rename(disk / "old.json")
    old = read_lines(disk / "old.json")
    (disk / "old.json").unlink()
    sink.reopen()
    sink.keep()
    sink.wait_log("records are written again")
    lines = old + read_lines(path)
    sink.close()
    assert [int(line["time"][20:26]) for line in lines] == [123456 + i for i in range(1000)]


@needs_mount
def test_disk_full_for_dnstap(small_disk):
    """Frames are whole as well."""
    sink, disk = small_disk("dnstap:///mnt/queries.tap?file")
    path = disk / "queries.tap"
    assert sink.write(make_entry(i) for i in range(10)) == "ok"
    fill_up(disk)
    for i in range(10, 1500):
        sink.add(make_entry(i))
    for _ in range(3):
        assert sink.write() == "again"
    partly = count_frames(path)
    assert 20 <= partly < 3000
    (disk / "filler").unlink()
    sink.keep()
    assert count_frames(path) == 3000
    sink.close()


def count_frames(path) -> int:
    octets = path.read_bytes()
    at = 8 + int.from_bytes(octets[4:8], "big")  # START
    count = 0
    while at < len(octets):
        at += 4 + int.from_bytes(octets[at : at + 4], "big")
        count += 1
    assert at == len(octets)
    return count
