"""Everything is down, and comes back."""

import time

import pytest

from lib.clients import Bystanders, UdpClient, ask, ask_many, assert_failed, assert_own_answer
from lib import dns_wire as wire
from lib.faulty_dot import FaultyDot, accept_and_freeze, answer, hold, serve
from lib.net_namespace import NetNamespace
from lib.net_namespace import available as namespaces_available
from lib.sotto_process import HEARD_BY
from lib.timing import Deadline, scaled, within

RECOVERY = 2.0
PAUSE_OF_CLIENT = 0.1


def ask_until_answered(sotto, label, seconds, exchange=None) -> float:
    """A client that asks ten times a second; returns how long it took to be answered."""
    exchange = exchange or (lambda name: ask(sotto.address, name))
    started, deadline = time.monotonic(), Deadline(scaled(seconds))
    number = 0
    while True:
        name = f"{label}-{number}.test"
        if exchange(name).rcode() == wire.NOERROR:
            return time.monotonic() - started
        assert not deadline.passed(), f"no good answer within {seconds} s"
        time.sleep(PAUSE_OF_CLIENT)
        number += 1


def refuse(server):
    server.go_down()


def freeze(server):
    server.on_connection, server.on_query = accept_and_freeze, hold


def close_at_once(server):
    server.on_connection = lambda conn: None
    for conn in server.open_connections():
        conn.close()


def thaw(server):
    server.on_connection, server.on_query = serve, answer
    if server.listener is None:
        server.come_back()


DOWN = {"refuses": refuse, "freezes": freeze, "closes-at-once": close_at_once}


@pytest.mark.parametrize("upstreams", [1, 3])
@pytest.mark.parametrize("take_down", DOWN.values(), ids=DOWN.keys())
def test_recovery_within_two_seconds_of_return(dot_server, forward, take_down, upstreams):
    """T10"""
    servers = [dot_server() for _ in range(upstreams)]
    sotto = forward(*servers)
    assert_own_answer(ask(sotto.address, "before.test"), "before.test")
    for server in servers:
        take_down(server)
    outage = Deadline(3.0)
    number = 0
    while not outage.passed():
        with within(HEARD_BY):
            assert_failed(ask(sotto.address, f"during-{number}.test"))
        number += 1
        time.sleep(PAUSE_OF_CLIENT)
    for server in servers:
        thaw(server)
    ask_until_answered(sotto, "after", RECOVERY)
    with Bystanders(sotto.address):
        assert_own_answer(ask(sotto.address, "well.test"), "well.test")
        sotto.wait_log(r"is back")
        # The log may have it from another worker than the one for which it was down.
        sotto.wait_count("upstream up")
    assert sotto.log_lines(r"is down: ")
    assert sotto.count("upstream down") >= 1


def test_no_storm_while_all_are_down(dot_server, forward):
    """T10: a thousand queries in an outage are not a thousand connections."""
    server = dot_server()
    server.on_connection = lambda conn: conn.reset()
    sotto = forward(server)
    tally = ask_many(sotto.address, (f"storm-{n}.test" for n in range(1000)), window=500)
    assert tally.failed == 1000
    assert len(server.connections) <= (10 + 10 * tally.seconds) * sotto.workers
    seen = len(server.connections)
    server.stopping.wait(1.0)
    assert len(server.connections) - seen <= 12 * sotto.workers
    sotto.assert_not_spinning()


def test_the_reason_is_told_as_long_as_it_lasts(dot_server, forward):
    """T10: while the back-off runs, the reason is still the true one."""
    server = dot_server(listening=False)
    sotto = forward(server)
    for number in range(5):
        with within(HEARD_BY):
            assert_failed(ask(sotto.address, f"down-{number}.test"), reason="connect")


def test_an_upstream_that_is_down_at_start(dot_server, forward):
    """T10: no reason not to start."""
    server = dot_server(listening=False)
    sotto = forward(server)
    assert_failed(ask(sotto.address, "early.test"))
    server.come_back()
    ask_until_answered(sotto, "later", RECOVERY)


needs_namespaces = pytest.mark.skipif(
    not namespaces_available(), reason="needs root and network namespaces"
)


@pytest.fixture
def namespace():
    namespace = NetNamespace()
    yield namespace
    namespace.close()


def asking_inside(namespace, sotto):
    """`ask()`, from inside the namespace."""

    def exchange(name):
        with UdpClient(sotto.address, namespace.socket) as client:
            return wire.parse(client.exchange(wire.query(name)))

    return exchange


@needs_namespaces
@pytest.mark.parametrize("address", ["10.53.0.1", "fd00:53::1"])
def test_the_network_is_unreachable_at_start(namespace, identity, authority, forward, address):
    """T10: there is no route to the upstream; then there is."""
    url = f"tls://[{address}]:8853#dot.test" if ":" in address else f"tls://{address}:8853#dot.test"
    sotto = forward(url, process={"wrap": namespace.command})
    exchange = asking_inside(namespace, sotto)
    with within(1.0):
        assert_failed(exchange("early.test"), reason="connect")
    namespace.ip("addr", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    server = FaultyDot(identity, address=address, make_socket=namespace.socket, port=8853)
    try:
        ask_until_answered(sotto, "later", RECOVERY, exchange)
    finally:
        sotto.stop()
        server.stop()


@needs_namespaces
def test_a_missing_address_family_is_passed_over(namespace, identity, authority, forward):
    """T10: the first upstream is IPv6, and there is no IPv6."""
    namespace.ip("addr", "add", "10.53.0.1", "dev", "lo")
    server = FaultyDot(identity, address="10.53.0.1", make_socket=namespace.socket)
    sotto = forward(
        "tls://[2001:db8::53]:853#dot.test", server, process={"wrap": namespace.command}
    )
    try:
        with within(1.0):
            reply = asking_inside(namespace, sotto)("family.test")
        assert_own_answer(reply, "family.test")
    finally:
        sotto.stop()
        server.stop()
