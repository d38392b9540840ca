"""Clocks that jump: dates are judged by the wall clock, waiting by the monotonic one."""

import datetime

import pytest

from lib.certs import DAY
from lib.clients import (
    Bystanders,
    TcpClient,
    UdpClient,
    ask,
    assert_failed,
    assert_own_answer,
    assert_own_raw,
)
from lib import dns_wire as wire
from lib.faulty_dot import answer, by_name, hold
from lib.preload import Shim
from lib.timing import wait_until, within

# A sanitizer wants to be loaded first.
pytestmark = pytest.mark.release_only

WALL, ASLEEP = 0, 1
HOUR = 3600


@pytest.fixture
def clock(tmp_path_factory):
    return Shim("shifted_clock.c", tmp_path_factory.mktemp("clock"))


def end_connections(server) -> None:
    server.go_down()
    server.come_back()


def test_certificate_dates_are_judged_by_the_wall_clock(dot_server, forward, clock, authority):
    """E2, T1: at the boot of a machine without a clock, and after it was set."""
    identity = authority.issue(valid_from=-DAY, valid_for=3 * DAY)
    server = dot_server(identity)
    sotto = forward(server, process={"environment": clock.environment})
    for days, reason in [(-2, "not yet"), (3, "expired")]:
        clock[WALL] = int(datetime.timedelta(days=days).total_seconds())
        for conn in server.open_connections():
            conn.close()
        reply = ask(sotto.address, f"day-{days + 9}.test")
        assert_failed(reply, reason=reason)
        clock[WALL] = 0
        wait_until(lambda: not ask(sotto.address, "mended.test").rcode(), 5, "it is right again")


@pytest.mark.parametrize("seconds", [24 * HOUR, -24 * HOUR])
def test_the_wall_clock_jumps_by_a_day(dot_server, forward, clock, authority, seconds):
    """E2: no timer notices: what is in flight and what is idle stays."""
    identity = authority.issue(valid_from=-3 * DAY, valid_for=9 * DAY)
    server = dot_server(identity, on_query=by_name(answer, held=hold))
    sotto = forward(server, process={"environment": clock.environment})
    with TcpClient(sotto.address) as idle, Bystanders(sotto.address):
        with UdpClient(sotto.address) as client:
            client.send(wire.query("held.test"))
            (held,) = server.wait_for(lambda: server.queries_for("held.test."), "the query")
            clock[WALL] = seconds
            for number in range(10):
                assert_own_answer(ask(sotto.address, f"n-{number}.test"), f"n-{number}.test")
            held.connection.answer(held)
            assert_own_raw(client.receive(), "held.test")
        idle.send(wire.query("idle.test"))
        assert_own_raw(idle.receive(), "idle.test")
    assert sotto.count("failed queries") == 0
    assert len(server.connections) == 1


def test_an_hour_of_sleep(dot_server, forward, clock):
    """E2: connections of before are not trusted, clients have gone, and it answers at once."""
    server = dot_server()
    sotto = forward(server, process={"environment": clock.environment})
    assert_own_answer(ask(sotto.address, "before.test"), "before.test")
    with TcpClient(sotto.address) as idle:
        idle.send(wire.query("idle.test"))
        assert_own_raw(idle.receive(), "idle.test")
        server.connections[0].black_hole()
        clock[ASLEEP] = HOUR
        with within(2.5):
            assert_own_answer(ask(sotto.address, "after.test"), "after.test")
        assert idle.receive() == b""
    assert len(server.connections) >= 2
    assert sotto.count("failed queries") == 0 and sotto.count("idle clients") == 1
    sotto.assert_not_spinning(0.3)


def test_sleep_with_a_query_in_flight(dot_server, forward, clock):
    """E2: its time is over when we wake up; the next one has all of its own."""
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = forward(server, timeout=5.0, process={"environment": clock.environment})
    with UdpClient(sotto.address) as client:
        client.send(wire.query("held.test"))
        server.wait_queries(1)
        clock[ASLEEP] = HOUR
        # Something has to wake it, as the network does after a sleep.
        assert_own_answer(ask(sotto.address, "after.test"), "after.test")
        assert_failed(wire.parse(client.receive(2.0)))
    for number in range(20):
        assert_own_answer(ask(sotto.address, f"n-{number}.test"), f"n-{number}.test")


def test_times_of_before_do_not_delay_those_after_a_sleep(dot_server, forward, clock):
    """E2: what is due after it is due then, whatever was waited for when it began."""
    server = dot_server(on_query=by_name(answer, held=hold))
    sotto = forward(server, timeout=1.0, process={"environment": clock.environment})
    assert_own_answer(ask(sotto.address, "before.test"), "before.test")
    sotto.assert_not_spinning(1.2)  # the next that is due is the end of an idle connection
    clock[ASLEEP] = HOUR
    with UdpClient(sotto.address) as client, within(2.0):
        client.send(wire.query("held.test"))
        assert_failed(wire.parse(client.receive()))
