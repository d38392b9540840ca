"""More names than there is room for: bounded memory, and what is asked for stays."""

import re
import resource
import socket
from pathlib import Path

import pytest

from lib import dns_wire as wire
from lib.caching import let_pass, negative, numbered
from lib.clients import (
    Bystanders,
    UdpClient,
    ask,
    ask_many,
    assert_own_answer,
    assert_own_raw,
)
from lib.faulty_dot import answer, answering, by_name, hold
from lib.preload import Shim
from lib.timing import wait_until

WORKERS = pytest.mark.parametrize("workers", [1, 2])
SMALLEST = "64KiB"
# More answers than the smallest cache has room for: each takes some 120 octets.
OVER_FULL = 600
# Beside the cache's size once more: each worker takes from an arena of its own.
ROOM_KIB = 1024
# Of failing_malloc.c.
FAILING_OF_1000, FAILED = 0, 1


def numbered_names(label: str, count: int, start: int = 0) -> list[str]:
    return [f"{label}-{number}.test" for number in range(start, start + count)]


def flood(sotto, names, window: int = 50) -> None:
    """Ask for them all; every answer must be right."""
    tally = ask_many(sotto.address, names, window=window)
    assert (tally.right, tally.failed, tally.wrong, tally.lost) == (len(names), 0, 0, 0)


def assert_within_size(sotto) -> None:
    cache = sotto.status()["cache"]
    assert cache["entries"] > 0 and cache["used_bytes"] <= cache["size_bytes"]


def kept_of(sotto, server, names) -> int:
    """How many of these are still in the cache, by asking for them all."""
    before = len(server.queries)
    flood(sotto, names)
    return len(names) - (len(server.queries) - before)


@WORKERS
@pytest.mark.parametrize(
    ("size_kib", "count"),
    # Three times as many names as there is room for; the smallest, and several shards.
    [(64, 3 * 512), pytest.param(4096, 3 * 32_768, marks=pytest.mark.slow)],
)
def test_three_times_as_many_names_as_there_is_room_for(
    forward, fast_dot, size_kib, count, workers
):
    """E9: memory and descriptors are flat while answers are evicted and queries are pending."""
    sotto = forward(
        fast_dot,
        cache={"size": f"{size_kib}KiB"},
        log={"level": "info"},
        process={"workers": workers},
    )
    flood(sotto, numbered_names("warm", count), window=200)
    assert_own_answer(ask(sotto.address, "tcp.test", tcp=True), "tcp.test")
    files, resident = sotto.open_files(), sotto.resident_kib()
    evicted = sotto.count("evictions")
    assert evicted > count / 2
    for number in range(4):
        flood(sotto, numbered_names(f"flood-{number}", count), window=200)
    sotto.assert_not_grown(resident, ROOM_KIB + size_kib)
    wait_until(lambda: sotto.open_files() <= files + 2, 5, "descriptors are flat")
    # As many as have come, all but those that were there before.
    assert sotto.count("evictions") - evicted >= 4 * count - 10
    assert sotto.count("answers kept") >= 5 * count
    assert_within_size(sotto)


@WORKERS
def test_large_answers_leave_no_more_room_than_there_is(dot_server, forward, workers):
    """E9: from 100 octets to 60,000; what is too large for the cache is answered all the same."""
    text = wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xff" + b"x" * 255)

    def by_number(conn, query):
        number = int(query.name.rstrip(".").partition("-")[2].partition(".")[0])
        conn.answer(query, answer=[text] * (number % 7) ** 3)

    server = dot_server(on_query=by_number)
    sotto = forward(server, cache={"size": SMALLEST}, process={"workers": workers})
    for number in range(140):
        for _ in range(2):
            reply = ask(sotto.address, f"n-{number}.test", "TXT", tcp=True)
            assert sum(len(rrset) for rrset in reply.answer) == (1 if number % 7 else 0)
    assert_within_size(sotto)
    assert sotto.count("evictions") >= 20


def test_pending_queries_outlast_the_flood(dot_server, forward):
    """E9: those who wait while their old answers are evicted get the new ones, or none."""
    server = dot_server(on_query=by_name(numbered(ttl=1), flood=answer))
    cache = {"size": SMALLEST, "prefetch": False, "stale-after": "60s"}
    sotto = forward(server, cache=cache, timeout=10.0)
    names = numbered_names("old", 50)
    with UdpClient(sotto.address) as client:
        client.send_names(names)
        for _ in names:
            client.receive()
        let_pass(1)
        server.on_query = by_name(old=hold)
        client.send_names(names)
        server.wait_for(lambda: len(server.queries_starting("old")) == 100, "all are asked again")
        flood(sotto, numbered_names("flood", 3 * OVER_FULL))
        for query in server.queries_starting("old")[50:80]:
            query.connection.answer(query)
        client.receive_own(names[:30])
        for query in server.queries_starting("old")[80:]:
            query.connection.answer(query, rcode=wire.SERVFAIL)
        for _ in names[30:]:
            assert wire.parse(client.receive()).rcode() == wire.SERVFAIL
    assert sotto.count("answers expired") >= 50


# Who stays


@WORKERS
def test_what_is_asked_for_all_the_time_stays(dot_server, forward, workers):
    """C7: however many names are asked once."""
    server = dot_server()
    sotto = forward(server, cache={"size": SMALLEST}, process={"workers": workers})
    popular = numbered_names("popular", 20)
    flood(sotto, popular)
    for number in range(3 * OVER_FULL // 60):
        flood(sotto, popular)
        flood(sotto, numbered_names("flood", 60, 60 * number))
    assert len(server.queries_starting("popular")) == len(popular)
    assert sotto.count("evictions") > OVER_FULL
    # And what nobody asks for goes, the oldest first.
    assert kept_of(sotto, server, numbered_names("flood", 60)) == 0


def test_what_has_expired_goes_first(dot_server, forward):
    """Though others are older, and were asked once only."""
    server = dot_server(on_query=by_name(short=answering(ttl=1)))
    sotto = forward(server, cache={"size": SMALLEST, "prefetch": False})
    lasting = numbered_names("lasting", 100)
    flood(sotto, lasting)
    flood(sotto, numbered_names("short", 300))
    assert sotto.count("evictions") == sotto.count("answers expired") == 0
    let_pass(1)
    flood(sotto, numbered_names("new", 300))
    assert sotto.count("evictions") == 0 and sotto.count("answers expired") > 100
    assert kept_of(sotto, server, lasting) == len(lasting)


# Names that do not exist

OTHER_CLIENT = "127.0.0.9"


def from_other(family, kind):
    """A socket of another client."""
    sock = socket.socket(family, kind)
    sock.bind((OTHER_CLIENT, 0))
    return sock


def flood_of_no_names(sotto, count: int, label: str = "no") -> None:
    """Random subdomains, all from one client that is not us."""
    with UdpClient(sotto.address, from_other) as client:
        for start in range(0, count, 50):
            for number in range(start, start + 50):
                client.send(wire.query(f"{label}-{number}.victim.test", ident=number))
            for number in range(start, start + 50):
                assert client.receive()[3] & 15 == wire.NXDOMAIN


@pytest.fixture
def half_there(dot_server):
    """An upstream that knows no names that begin with no…"""
    return dot_server(on_query=by_name(no=answering(**negative(wire.NXDOMAIN))))


@WORKERS
def test_names_that_do_not_exist_wash_out_nothing(half_there, forward, workers):
    """C7: made up by one client; what others ask for stays, also names that do not exist."""
    cache = {"size": SMALLEST, "negative-per-client": 3}
    sotto = forward(half_there, cache=cache, process={"workers": workers})
    names = numbered_names("lasting", 200)
    flood(sotto, names)
    with Bystanders(sotto.address, interval=0.1):
        flood_of_no_names(sotto, 3 * OVER_FULL)
        # Each worker keeps as many as come in ten seconds, and goes on at that rate.
        limited = sotto.count("negative answers not kept")
        assert limited >= 2 * OVER_FULL
        for name in ("no-typo.test", "no-search.test") * 2:
            assert ask(sotto.address, name).rcode() == wire.NXDOMAIN
    assert kept_of(sotto, half_there, names) == len(names)
    assert sotto.count("evictions") == 0
    for name in ("no-typo.test.", "no-search.test."):
        assert len(half_there.queries_for(name)) == 1


def test_without_a_limit_they_are_kept_as_others_are(half_there, forward):
    """negative-per-client: 0"""
    sotto = forward(half_there, cache={"size": SMALLEST, "negative-per-client": 0})
    names = numbered_names("lasting", 100)
    flood(sotto, names)
    flood_of_no_names(sotto, 2 * OVER_FULL)
    assert sotto.count("negative answers not kept") == 0
    assert sotto.count("answers kept") == 100 + 2 * OVER_FULL
    assert kept_of(sotto, half_there, names) == 0


def test_a_few_names_that_do_not_exist_are_kept(half_there, forward):
    """A burst of ten seconds' worth, for each client."""
    sotto = forward(half_there, cache={"negative-per-client": 10})
    flood_of_no_names(sotto, 100)
    flood_of_no_names(sotto, 100)
    assert sotto.count("negative answers not kept") == 0
    assert len(half_there.queries) == 100


def test_one_name_asked_by_many_under_a_flood(dot_server, forward):
    """C7: readers and writers of the same buckets, two workers."""
    server = dot_server()
    sotto = forward(server, cache={"size": SMALLEST}, process={"workers": 2})
    with UdpClient(sotto.address) as reader, Bystanders(sotto.address, interval=0.05):
        for number in range(30):
            for ident in range(50):
                reader.send(wire.query("one.test", ident=ident))
            flood(sotto, numbered_names("flood", 40, 40 * number))
            for _ in range(50):
                assert_own_raw(reader.receive(), "one.test")
    assert len(server.queries_for("one.test.")) == 1


# No memory


@pytest.mark.release_only  # a sanitizer has its own malloc
@pytest.mark.parametrize("of_1000", [100, 300])
def test_allocations_fail_while_answers_come_and_go(forward, fast_dot, tmp_path_factory, of_1000):
    """E1: what cannot be kept is answered all the same; what cannot be answered is an error."""
    memory = Shim("failing_malloc.c", tmp_path_factory.mktemp("failing-malloc"))
    sotto = forward(
        fast_dot,
        cache={"size": SMALLEST},
        timeout=0.5,
        log={"level": "info"},
        process={"workers": 2, "environment": memory.environment},
    )
    flood(sotto, numbered_names("before", OVER_FULL // 2))
    memory[FAILING_OF_1000] = of_1000
    for number in range(4):
        names = numbered_names("flood", OVER_FULL, number * OVER_FULL // 2)
        assert ask_many(sotto.address, names, patience=1.0).wrong == 0
    memory[FAILING_OF_1000] = 0
    assert memory[FAILED] > 0 and sotto.alive()
    wait_until(lambda: not ask(sotto.address, "well.test").rcode(), 10, "it answers again")
    flood(sotto, numbered_names("after", 2 * OVER_FULL))
    assert sotto.count("evictions") > 0
    assert_within_size(sotto)


def address_space(sotto) -> int:
    status = Path(f"/proc/{sotto.pid}/status").read_text()
    return int(re.search(r"VmSize:\s+(\d+)", status)[1]) << 10


@pytest.mark.release_only
def test_no_room_for_another_thread(forward, fast_dot):
    """E1: whatever it takes to free what is evicted was there before."""
    sotto = forward(fast_dot, cache={"size": SMALLEST}, log={"level": "info"})
    flood(sotto, numbered_names("before", OVER_FULL // 2))
    _, hard = resource.prlimit(sotto.pid, resource.RLIMIT_AS)
    resource.prlimit(sotto.pid, resource.RLIMIT_AS, (address_space(sotto), hard))
    try:
        assert ask_many(sotto.address, numbered_names("flood", OVER_FULL), patience=1.0).wrong == 0
        assert sotto.count("evictions") > 0
    except (OSError, AssertionError):
        sotto.kill()
        raise
