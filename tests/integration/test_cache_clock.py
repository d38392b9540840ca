"""The cache's time is that which passes, asleep or awake; the time of day does not matter to it."""

import pytest

from lib import dns_wire as wire
from lib.caching import (
    EDE_CACHED_ERROR,
    EDE_STALE_NXDOMAIN,
    assert_stale,
    errors,
    negative,
    number_of,
    numbered,
    ttls,
)
from lib.clients import ask, assert_failed
from lib.faulty_dot import answering, by_name, hold
from lib.preload import Shim
from lib.timing import wait_until, within

# A sanitizer wants to be loaded first.
pytestmark = pytest.mark.release_only

WALL, ASLEEP = 0, 1
HOUR, DAY = 3600, 86400


@pytest.fixture
def clock(tmp_path_factory):
    return Shim("shifted_clock.c", tmp_path_factory.mktemp("clock"))


@pytest.fixture
def server(dot_server):
    return dot_server(
        on_query=by_name(
            numbered(ttl=300),
            hour=numbered(ttl=HOUR),
            day=numbered(ttl=DAY),
            none=answering(**negative(wire.NXDOMAIN, minimum=900, ttl=DAY)),
            failing=answering(rcode=wire.SERVFAIL),
        )
    )


@pytest.fixture
def start(server, forward, clock):
    """The program with these names in its cache."""

    def start(**cache):
        sotto = forward(server, cache=cache, process={"environment": clock.environment})
        for name in ("name", "hour", "day", "none", "failing"):
            ask(sotto.address, f"{name}.test")
        return sotto

    return start


def test_an_hour_of_sleep(start, server, clock):
    """E2: TTLs have run down meanwhile; what is past its own is asked for again."""
    sotto = start()
    clock[ASLEEP] = HOUR
    for name in ("name", "hour"):
        reply = ask(sotto.address, f"{name}.test")
        assert number_of(reply) == 2 and not errors(reply)
    reply = ask(sotto.address, "day.test")
    assert number_of(reply) == 1 and DAY - HOUR - 5 <= ttls(reply)[0] <= DAY - HOUR
    assert ttls(ask(sotto.address, "none.test")) == [900]
    assert EDE_CACHED_ERROR not in errors(ask(sotto.address, "failing.test"))
    asked = {name: len(server.queries_for(f"{name}.test.")) for name in ("name", "day", "none")}
    assert asked == {"name": 2, "day": 1, "none": 2}


def test_an_hour_of_sleep_and_no_upstream_when_it_wakes(start, server, clock):
    """E2: what was fresh when it fell asleep is given as stale."""
    sotto = start(**{"stale-after": "300ms"})
    server.on_query = hold
    clock[ASLEEP] = HOUR
    with within(0.8):
        assert_stale(ask(sotto.address, "name.test"))
    with within(0.8):
        assert_stale(ask(sotto.address, "none.test"), EDE_STALE_NXDOMAIN)
    reply = ask(sotto.address, "day.test")
    assert number_of(reply) == 1 and not errors(reply)


def test_days_of_sleep(start, server, clock):
    """E2: past stale-max nothing of before is given."""
    sotto = start(**{"stale-max": "1h", "stale-after": "100ms"})
    server.go_down()
    for seconds, stale in [(300 + HOUR - 60, True), (300 + HOUR + 60, False)]:
        clock[ASLEEP] = seconds
        reply = ask(sotto.address, "name.test")
        assert_stale(reply) if stale else assert_failed(reply)
    assert number_of(ask(sotto.address, "day.test")) == 1
    clock[ASLEEP] = 30 * DAY
    assert_failed(ask(sotto.address, "day.test"))


def test_years_of_sleep(start, server, clock):
    """The cache's own clock goes round in eight and a half: nothing becomes young by that."""
    sotto = start()
    server.on_query = numbered(ttl=300)
    clock[ASLEEP] = 5 * 365 * DAY
    assert number_of(ask(sotto.address, "day.test")) == 2


@pytest.mark.parametrize("seconds", [DAY, -DAY])
def test_the_time_of_day_does_not_matter(start, server, clock, seconds):
    """E2: nothing that is kept grows older or younger by it."""
    sotto = start()
    clock[WALL] = seconds
    for name, ttl in [("name", 300), ("hour", HOUR), ("day", DAY)]:
        reply = ask(sotto.address, f"{name}.test")
        assert number_of(reply) == 1 and ttl - 5 <= ttls(reply)[0] <= ttl
        assert len(server.queries_for(f"{name}.test.")) == 1
    assert EDE_CACHED_ERROR in errors(ask(sotto.address, "failing.test"))
    wait_until(lambda: number_of(ask(sotto.address, "new.test")) == 1, 5, "new names")


def test_prefetch_in_the_last_tenth(start, server, clock):
    """To the second: not before, and once."""
    sotto = start()
    for _ in range(2):
        ask(sotto.address, "name.test")
    clock[ASLEEP] = 260
    assert number_of(ask(sotto.address, "name.test")) == 1
    assert sotto.count("prefetches") == 0
    server.on_query = hold
    clock[ASLEEP] = 275
    for _ in range(5):
        with within(0.4):
            reply = ask(sotto.address, "name.test")
        assert number_of(reply) == 1 and 20 <= ttls(reply)[0] <= 25
    server.wait_for(lambda: len(server.queries_for("name.test.")) == 2, "the refresh")
    assert sotto.count("prefetches") == 1
