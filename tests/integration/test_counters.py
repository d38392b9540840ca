"""The counters, on SIGUSR1: every one of them, added up over the workers."""

import re
from pathlib import Path

from lib import dns_wire as wire
from lib.clients import ask_many
from lib.transports import TRANSPORTS, connect

COUNTERS_H = Path(__file__).resolve().parents[2] / "src" / "metrics" / "counters.h"


def test_every_counter_is_told(dot_server, forward):
    sotto = forward(dot_server())
    names = re.findall(r"^    X\((\w+), ", COUNTERS_H.read_text(), re.M)
    assert len(names) > 30 and list(sotto.counters()) == names
    assert set(sotto.counters().values()) == {0}


def test_workers_are_added_up(dot_server, forward):
    """Clients spread over the sockets of the workers by their port."""
    sotto = forward(dot_server(), process={"workers": 3})
    for number in range(12):
        names = [f"name-{number}-{n}.test" for n in range(10)]
        assert ask_many(sotto.address, names).right == 10
    counters = sotto.counters()
    assert counters["queries_udp"] == counters["queries_forwarded"] == 120
    assert counters["upstream_queries"] == counters["upstream_replies"] == 120
    assert counters["queries_tcp"] == 0


def test_each_query_is_counted_once(dot_server, forward):
    sotto = forward(dot_server())
    messages = [
        wire.query("name.test"),
        wire.query("localhost"),
        wire.query("name.test")[:20],
        wire.query("name.test", flags=0x2800),
        wire.query("name.test", rdtype=250),
        wire.message(1, 0, [wire.question(b"\0")], additional=[wire.opt_record(version=1)]),
    ]
    for transport in TRANSPORTS:
        with connect(sotto.address, transport) as client:
            for message in messages:
                client.exchange(message)
    counters = sotto.counters()
    kinds = ["forwarded", "local", "malformed", "not_implemented", "refused", "badvers"]
    assert [counters[f"queries_{kind}"] for kind in kinds] == [2] * len(kinds)
    assert counters["queries_udp"] == counters["queries_tcp"] == len(messages)


def test_they_are_told_at_the_end_as_well(dot_server, forward):
    sotto = forward(dot_server())
    with connect(sotto.address, "udp") as client:
        client.exchange(wire.query("name.test"))
    sotto.stop()
    assert sotto.log_lines(r"stats: .*queries_udp=1 ")
