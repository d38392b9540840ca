"""The query log of the program itself, as dnstap and as JSON lines: what was asked is what they say."""

import json
import signal

import dns.name
import pytest

from lib.clients import ask
from lib.collectors import Collector, needs_tools, read_by_go
from lib.timing import wait_until

# Name, type, over TCP, and how it ends.
ASKED = [
    ("www.test", "A", False, "miss"),
    ("www.test", "A", True, "hit"),
    ("WWW.Test", "AAAA", True, "miss"),
    ('\\000\\"\\255.test', "TXT", False, "miss"),
    ("<script>.test", "A", False, "miss"),
    ("localhost", "A", False, "local"),
]


def read_json(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def logging(forward, server, tmp_path):
    """The program with a query log: `logging([url, …], clients="none")`.

    With one worker: records of several are not in the order of their times.
    """

    def start(sinks, **options):
        log = {"sinks": list(map(str, sinks)), "instance": "ns1.test", **options}
        return forward(server, cache={}, process={"workers": 1}, **{"query-log": log})

    return start


@needs_tools
def test_all_that_is_asked_is_written(logging, server, tmp_path):
    """Each query once, in both, with the same name, type, client and outcome."""
    collector = Collector(tmp_path).start()
    path = tmp_path / "queries.json"
    try:
        sotto = logging([collector.url, f"json://{path}"])
        for name, rdtype, tcp, _ in ASKED:
            ask(sotto.address, name, rdtype, tcp=tcp)
        sotto.stop()
        messages = [shown["message"] for shown in read_by_go(collector.stop())]
    finally:
        collector.kill()
    lines = read_json(path)
    assert len(lines) == len(ASKED)
    for line, (name, rdtype, tcp, outcome) in zip(lines, ASKED):
        assert dns.name.from_text(line["name"]).labels == dns.name.from_text(name).labels
        assert (line["type"], line["outcome"]) == (rdtype, outcome)
        assert line["transport"] == ("tcp" if tcp else "udp")
        assert line["client"] == "127.0.0.1" and line["rcode"] == "NOERROR"
        assert line["upstream"] == (server.url if outcome == "miss" else None)
        assert line["tls"] == ("1.3" if outcome == "miss" else None)
    expected = []
    for _, _, _, outcome in ASKED:
        expected += ["CLIENT_QUERY"]
        if outcome == "miss":
            expected += ["FORWARDER_QUERY", "FORWARDER_RESPONSE"]
        expected += ["CLIENT_RESPONSE"]
    assert [message["type"] for message in messages] == expected
    ports = [m["query_port"] for m in messages if m["type"] == "CLIENT_QUERY"]
    assert ports == [line["port"] for line in lines]
    for message in messages:
        if message["type"].startswith("FORWARDER"):
            place = (message["response_address"], message["response_port"])
            assert place == ("127.0.0.1", server.port)
    answers = [m["response_message"] for m in messages if m["type"] == "CLIENT_RESPONSE"]
    assert all("status: NOERROR" in answer and ";; ANSWER SECTION:" in answer for answer in answers)


@needs_tools
def test_nothing_is_shown_that_should_not_be(logging, tmp_path):
    """Neither clients nor names: not in replies either."""
    collector = Collector(tmp_path).start()
    path = tmp_path / "queries.json"
    try:
        sotto = logging([collector.url, f"json://{path}"], clients="none", names="none")
        ask(sotto.address, "secret.test")
        sotto.stop()
        messages = read_by_go(collector.stop())
        octets = collector.files[-1].read_bytes()
    finally:
        collector.kill()
    assert len(messages) == 4
    assert b"secret" not in octets
    assert all("query_address" not in shown["message"] for shown in messages)
    assert "secret" not in path.read_text()
    (line,) = read_json(path)
    assert (line["name"], line["client"], line["port"], line["type"]) == (None, None, None, "A")


def test_files_are_opened_again(logging, tmp_path):
    """SIGHUP, as logrotate sends it."""
    path, moved = tmp_path / "queries.json", tmp_path / "queries.json.1"
    sotto = logging([f"json://{path}"])
    ask(sotto.address, "one.test")
    wait_until(lambda: len(read_json(path)) == 1, 5, "the first is written")
    path.rename(moved)
    sotto.signal(signal.SIGHUP)
    wait_until(path.exists, 5, "the file is opened again")
    ask(sotto.address, "two.test")
    wait_until(lambda: len(read_json(path)) == 1, 5, "the second is written")
    sotto.stop()
    assert [line["name"] for line in read_json(moved) + read_json(path)] == ["one.test", "two.test"]


def test_collector_that_is_not_there(logging, tmp_path):
    """Queries are answered; said once; and the end does not take long."""
    sotto = logging([f"dnstap://{tmp_path}/nobody.sock"])
    for number in range(20):
        ask(sotto.address, f"name{number}.test")
    sotto.wait_log("nobody.sock: No such file or directory: records wait")
    sotto.stop()
    assert len(sotto.log_lines("records wait")) == 1
