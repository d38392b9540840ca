"""Questions to what was kept in PostgreSQL."""

import pytest

from lib import postgresql
from lib.postgresql import AGAIN, PASSWORD, SYSTEM
from lib.timing import scaled, wait_until

pytestmark = [
    pytest.mark.skipif(not postgresql.programs(), reason="needs PostgreSQL's server"),
    pytest.mark.single_threaded,
]

NOON = 1769860800 * 10**6  # 2026-01-31 12:00 UTC
OUTCOMES = ["hit", "miss", "joined", "stale", "local", "refused", "limited", "error"]
TRANSPORTS = ["udp", "tcp", "tls", "https"]

ID, TIME, LATENCY, NAME, CLIENT = 0, 1, 2, 4, 5


@pytest.fixture
def server(start_postgresql):
    return start_postgresql()


@pytest.fixture
def sink(server, open_postgresql_sink):
    return open_postgresql_sink(server.url(), password=PASSWORD, instance="here")


@pytest.fixture
def store(server, sink, open_postgresql_store):
    """With the records 1 to 1000, as tests/tools/postgresql_sink.c makes them."""
    sink.keep("write", NOON, 1, 1000)
    return open_postgresql_store(server.url(), sink.password_file)


def numbers(rows) -> list[int]:
    """Of the records."""
    return [int(row[NAME].split(".")[0][1:]) for row in rows]


def test_newest_first_page_by_page(store):
    seen = []
    before = 0
    while rows := store.ask("rows", 300, before):
        seen += numbers(rows)
        before = rows[-1][ID]
    assert seen == list(range(1000, 0, -1))


def test_every_value(store):
    by_number = {number: row for number, row in zip(range(1000, 0, -1), store.ask("rows", 1000, 0))}
    assert by_number[994][2:10] == [
        "994",
        "994",
        "N994.Example.com",
        "192.0.2.244",
        "994",
        "tls://192.0.2.53:853#dot.test",
        "192.0.2.53:853",
        "here",
    ]
    assert by_number[994][10:] == "1 1 994 0 22 994 482 994 tls joined 2 13".split()
    assert by_number[995][4:10] == ["N995.Example.com", "key fedcba98000003e3", "0", "", "", "here"]
    assert by_number[996][CLIENT] == "2001:db8:1::/48"
    assert by_number[990][10:14] == ["1", "1", "990", "3"]


@pytest.mark.parametrize(
    "conditions, holds",
    [
        ({"type": "AAAA"}, lambda i: i % 2),
        ({"outcome": "error,stale"}, lambda i: i % 8 in (7, 3)),
        ({"transport": "https"}, lambda i: i % 4 == 3),
        ({"rcode": "NXDOMAIN"}, lambda i: i % 10 == 0),
        ({"slow": "900us"}, lambda i: i >= 900),
        ({"name": "n17.EXAMPLE.com"}, lambda i: i == 17),
        ({"name": "*.example.com"}, lambda i: True),
        ({"name": "*.n17.example.com"}, lambda i: False),
        ({"name": "*.ample.com"}, lambda i: False),
        ({"text": "N99"}, lambda i: i == 99 or 990 <= i <= 999),
        ({"text": "%"}, lambda i: False),
        ({"text": "' OR true --"}, lambda i: False),
        ({"client": "192.0.2.0/24"}, lambda i: i % 3 == 1),
        ({"client": "192.0.2.7"}, lambda i: i % 3 == 1 and i % 250 == 7),
        ({"client": "2001:db8::/32"}, lambda i: i % 3 == 0),
        ({"client": "2001:db8:1::1"}, lambda i: False),
        ({"client": "key fedcba9800000011"}, lambda i: i == 17),
        ({"since": f"@{NOON // 10**6}.9"}, lambda i: i > 900),
        ({"until": f"@{NOON // 10**6}.1"}, lambda i: i <= 100),
        ({"type": "A", "outcome": "hit", "slow": "500us"}, lambda i: i % 8 == 0 and i >= 500),
    ],
)
def test_conditions(store, conditions, holds):
    store.filter(**conditions)
    expected = [i for i in range(1000, 0, -1) if holds(i)]
    assert numbers(store.ask("rows", 1000, 0)) == expected
    assert int(store.ask("totals")[0][0]) == len(expected)


def test_hostile_names(store, sink):
    """A dot within a label is no border between labels, and what is read can be asked for."""
    names = [
        b"\x09a.example\x03com\x00",
        b"\x01a\x07example\x03com\x00",
        b"\x04'\x00\xff\\\x01x\x00",
        b"\x00",
    ]
    sink.keep("names", NOON + 5 * 10**6, *(name.hex() for name in names))
    store.filter(since=f"@{NOON // 10**6 + 5}")
    rows = store.ask("rows", 10, 0)
    assert [row[NAME] for row in rows] == [
        ".",
        r"'\000\255\\.x",
        "a.example.com",
        r"a\.example.com",
    ]
    store.filter(since=f"@{NOON // 10**6 + 5}", name="*.example.com")
    assert [row[NAME] for row in store.ask("rows", 10, 0)] == ["a.example.com"]
    for name in (".", r"'\000\255\\.x", r"a\.example.com"):
        store.filter(name=name)
        assert [row[NAME] for row in store.ask("rows", 10, 0)] == [name]


def test_enough_is_enough(store):
    """The caller may break off; the next question is answered all the same."""
    assert numbers(store.ask("first", 3)) == [1000, 999, 998]
    assert numbers(store.ask("first", 2)) == [1000, 999]


def test_following(server, store, sink):
    [[newest]] = store.ask("newest")
    assert store.ask("follow", 100, newest) == []
    sink.keep("write", NOON, 2001, 10)
    rows = store.ask("follow", 6, newest)
    assert numbers(rows) == list(range(2001, 2007))
    assert numbers(store.ask("follow", 6, rows[-1][ID])) == list(range(2007, 2011))
    assert int(store.ask("newest")[0][0]) == int(newest) + 10


def test_following_waits_for_what_comes_late(server, store, sink):
    """Ids of a transaction that is slow are lower than those of one that was quick."""
    [[newest]] = store.ask("newest")
    slow = server.in_background(
        """
        BEGIN;
        SELECT pg_advisory_xact_lock_shared(1936684149,
          ((last_value & 4294967295) - 2147483648)::integer) FROM sotto.queries_id;
        CREATE TEMP TABLE one AS SELECT * FROM sotto.queries LIMIT 1;
        UPDATE one SET id = nextval('sotto.queries_id'), name = 'N3000.late';
        INSERT INTO sotto.queries SELECT * FROM one;
        SELECT pg_sleep(2);
        COMMIT"""
    )
    wait_until(
        lambda: server.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'SELECT pg_sleep.2'"
            " AND wait_event = 'PgSleep'"
        )
        == "1",
        10,
        "a transaction is slow",
    )
    sink.keep("write", NOON, 2001, 10)
    assert store.ask("follow", 100, newest) == []
    assert int(store.ask("newest")[0][0]) <= int(newest)
    slow.join()
    assert numbers(store.ask("follow", 100, newest)) == [3000, *range(2001, 2011)]


def mean(values) -> int:
    return sum(values) // len(values)


def tops(key, values=range(1, 1001)) -> list[list[str]]:
    groups = {}
    for i in values:
        groups.setdefault(key(i), []).append(i)
    rows = [[text, len(g), sum(i % 8 == 7 for i in g), mean(g)] for text, g in groups.items()]
    return [list(map(str, row)) for row in sorted(rows, key=lambda row: -row[1])]


@pytest.mark.parametrize(
    "kind, key",
    [
        ("types", lambda i: "AAAA" if i % 2 else "A"),
        ("outcomes", lambda i: OUTCOMES[i % 8]),
        ("rcodes", lambda i: "NOERROR" if i % 10 else "NXDOMAIN"),
        ("transports", lambda i: TRANSPORTS[i % 4]),
        ("upstreams", lambda i: "tls://192.0.2.53:853#dot.test" if i % 5 else ""),
        ("names", lambda i: f"n{i}.example.com"),
        (
            "clients",
            lambda i: [
                "2001:db8:1::/48",
                f"192.0.2.{i % 250}",
                f"key {0xfedcba9800000000 + i:016x}",
            ][i % 3],
        ),
    ],
)
def test_top(store, kind, key):
    expected = tops(key)
    *rows, [distinct] = store.ask("top", kind, 1000)
    assert sorted(rows) == sorted(expected)
    assert [row[1] for row in rows] == [row[1] for row in expected]
    assert int(distinct) == len(expected)
    *rows, [distinct] = store.ask("top", kind, 1)
    assert rows[0][1] == expected[0][1] and len(rows) == 1 and int(distinct) == len(expected)


def test_names_in_any_letters_are_one(store, sink):
    names = [b"\x02xy\x00", b"\x02Xy\x00", b"\x02XY\x00"]
    sink.keep("names", NOON, *(name.hex() for name in names))
    assert store.ask("top", "names", 1)[0][:2] == ["xy", "3"]


def assert_figures(row, latencies, numbers_of):
    count, *outcomes, p50, p95, p99, highest = map(int, row)
    assert count == len(latencies)
    assert outcomes == [sum(i % 8 == o for i in numbers_of) for o in range(8)]
    latencies = sorted(latencies)
    for percent, found in ((50, p50), (95, p95), (99, p99)):
        true = latencies[-(-len(latencies) * percent // 100) - 1] if latencies else 0
        assert abs(found - true) <= max(1, 0.04 * true), (percent, found, true)
    assert highest == (latencies[-1] if latencies else 0)


def test_totals(store):
    figures, [oldest, newest] = store.ask("totals")
    assert_figures(figures, range(1, 1001), range(1, 1001))
    assert (int(oldest), int(newest)) == (NOON, NOON + 999000)
    store.filter(name="no.such")
    assert store.ask("totals") == [["0"] * 13, ["0", "0"]]


def test_series(store):
    """The record i came i - 1 milliseconds after noon."""
    rows = store.ask("series", NOON - 100000, 100000, 15)
    for index, row in enumerate(rows):
        of = [i for i in range(1, 1001) if (i - 1) // 100 == index - 1]
        assert_figures(row, of, of)
    store.filter(outcome="error", until=f"@{NOON // 10**6}.5")
    [row] = store.ask("series", NOON + 250000, 10**6, 1)
    of = [i for i in range(251, 501) if i % 8 == 7]
    assert_figures(row, of, of)
    store.ask("series", 2**64 - 10, 2**63, 2000)
    store.ask("series", 0, 1, 2)


def test_a_question_that_takes_too_long(server, store):
    blocker = server.in_background("BEGIN; LOCK TABLE sotto.queries; SELECT pg_sleep(3)")
    wait_until(
        lambda: server.value(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
            " AND relation = 'sotto.queries'::regclass"
        )
        == "1",
        10,
        "the table is locked",
    )
    store.ask("limit", 300000)
    store.ask("totals", code=AGAIN)
    assert "took too long: ask about less time" in store.reason
    assert store.seconds < scaled(1)
    blocker.join()
    store.ask("limit", 10 * 10**6)
    assert int(store.ask("totals")[0][0]) == 1000


def test_server_that_restarts(server, store):
    server.stop()
    store.ask("totals", code=SYSTEM)
    assert "Connection refused" in store.reason
    server.start()
    assert int(store.ask("totals")[0][0]) == 1000
    server.kill()
    server.start()
    assert len(store.ask("rows", 5, 0)) == 5


def test_nothing_was_written_yet(server, open_postgresql_sink, open_postgresql_store, tmp_path):
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    store = open_postgresql_store(server.url(), password)
    assert store.ask("newest") == [["0"]]
    assert store.ask("follow", 10, 0) == []
    store.ask("totals", code=SYSTEM)
    assert "no record was ever written there" in store.reason


@pytest.mark.parametrize(
    "password, hint", [(None, "write it into a file"), ("x", "look at the user")]
)
def test_who_may_not(server, open_postgresql_store, tmp_path, password, hint):
    file = ""
    if password:
        file = tmp_path / "password"
        file.write_text(password)
    store = open_postgresql_store(server.url(), file)
    assert hint in store.opened


def test_who_may_only_read(server, store, sink, open_postgresql_store):
    server.ask(
        f"""CREATE USER reader PASSWORD $${PASSWORD}$$;
                   GRANT USAGE ON SCHEMA sotto TO reader;
                   GRANT SELECT ON sotto.queries, sotto.queries_id TO reader"""
    )
    sink.keep("write", NOON + 86400 * 10**6, 1001, 10)  # a day that is new
    reader = open_postgresql_store(server.url(user="reader"), sink.password_file)
    assert numbers(reader.ask("rows", 3, 0)) == [1010, 1009, 1008]
    assert int(reader.ask("totals")[0][0]) == 1010
    assert int(reader.ask("newest")[0][0]) == 1010
