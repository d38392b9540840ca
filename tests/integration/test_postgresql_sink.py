"""The query log in PostgreSQL: nothing lost, nothing doubled, whatever happens to the server."""

import datetime
import time
from pathlib import Path

import pytest

from lib import postgresql
from lib.postgresql import AGAIN, OK, PASSWORD, CommitCutter, kept, tables
from lib.timing import scaled, wait_until

pytestmark = pytest.mark.skipif(not postgresql.programs(), reason="needs PostgreSQL's server")

DAY = 86400 * 10**6
NOON = int(datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.timezone.utc).timestamp()) * 10**6

# A call may take two seconds, and then a statement.
LONGEST_CALL = 4


@pytest.fixture
def server(start_postgresql):
    return start_postgresql()


@pytest.fixture
def open_sink(open_postgresql_sink):
    return open_postgresql_sink


@pytest.fixture
def sink(server, open_sink):
    """With a connection, and tables."""
    one = open_sink(server.url(), password=PASSWORD)
    wait_until(lambda: one.do("tick") and tables(server), 10, "it has made its tables")
    return one


def partitions(server) -> list[str]:
    sql = "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid"
    sql += " WHERE inhparent = 'sotto.queries'::regclass ORDER BY 1"
    return [row[0] for row in server.ask(sql)]


# ---- What is kept


def test_all_are_there_once(server, sink):
    for i in range(10):
        sink.keep("write", NOON + i * 1000, i * 1000, 1000)
    assert kept(server) == 10000
    assert server.value("SELECT count(*) FROM sotto.writers") == "1"


def test_every_value(server, sink):
    sink.keep("write", NOON, 4710, 4)
    columns = """extract(epoch FROM time) * 1000000, latency, upstream_latency, type, class,
        message_id, flags, client, client_port, to_hex(client_key), upstream, upstream_address,
        upstream_port, query_size, reply_size, rcode, ede, attempts, tls_version, outcome,
        transport, name, name_key, instance"""
    rows = server.ask(f"SELECT {columns} FROM sotto.queries ORDER BY id")
    server_url = "tls://192.0.2.53:853#dot.test"
    assert [row[7:10] for row in rows] == [
        ["2001:db8:1::/48", "0", ""],
        ["192.0.2.211", "4711", ""],
        ["", "0", "fedcba9800001268"],
        ["2001:db8:1::/48", "0", ""],
    ]
    assert [row[10:13] for row in rows[:2]] == [["", "", "0"], [server_url, "192.0.2.53", "853"]]
    assert [float(value) for value in rows[1][:7]] == [NOON + 1000, 4711, 4711, 28, 1, 4711, 615]
    assert rows[1][13:] == ["103", "1015", "0", "22", "3", "13", "error", "https"] + [
        "N4711.Example.com",
        "com.example.n4711",
        "i",
    ]
    assert [row[16] for row in rows] == ["", "22", "", ""]
    assert [row[15] for row in rows] == ["3", "0", "0", "0"]


HOSTILE = [
    (b"\x06a'; --\x04test\x00", r"a'\;\032--.test", None),
    (b"\x03\\N\t\x04test\x00", r"\\N\009.test", None),
    (b"\x04\x00\n\r\x7f\x04test\x00", r"\000\010\013\127.test", None),
    (b"\x04\xff\xc3\x28\xf0\x04test\x00", r"\255\195\(\240.test", None),
    (b"\x03a.b\x01c\x00", r"a\.b.c", r"c.a\.b"),
    (b"\x08<script>\x00", "<script>", None),
    (b'\x08$$;$1"%s\x00', r"\$\$\;\$1\"%s", None),
    (b"\x00", ".", "."),
    (b"", "", ""),
    (4 * (b"\x3f" + 63 * b"\xfe"), None, None),
]


def test_hostile_names(server, sink):
    names = [
        name if name[-1:] in (b"\x00", b"") else name[:253] + b"\x00" for name, _, _ in HOSTILE
    ]
    names[-1] = b"".join(bytes([size]) + size * b"\xfe" for size in (63, 63, 63, 61)) + b"\x00"
    sink.keep("names", NOON, *(name.hex() or "-" for name in names))
    rows = server.ask("SELECT name, name_key FROM sotto.queries ORDER BY id")
    assert len(rows) == len(HOSTILE)
    for (_, name, key), row in zip(HOSTILE, rows):
        assert name is None or row[0] == name
        assert key is None or row[1] == key
    assert rows[-1][0].count(r"\254") == 250


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_any_encoding_and_instance(server, open_sink, encoding):
    """What a database cannot say does not keep records out of it."""
    server.ask(f"CREATE DATABASE other TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    url = server.url(database="other")
    sink = open_sink(url, password=PASSWORD, instance="O'Brien \\'); --\tk\u00fcche\udcff")
    sink.keep("write", NOON, 0, 10)
    instance = "SELECT DISTINCT encode(convert_to(instance, 'UTF8'), 'hex') FROM {}"
    for table in ("sotto.queries", "sotto.writers"):
        found = bytes.fromhex(server.value(instance.format(table), database="other")).decode()
        assert found == "O'Brien \\'); --?k\u00fcche?"


# ---- Servers that come and go


def test_server_stops_and_starts(server, sink):
    """Under load: what write() took is there, and nobody waits long meanwhile."""
    sink.keep("write", NOON, 0, 5000)
    server.stop()
    for _ in range(5):
        code, took = sink.do("write", NOON, 5000, 5000)
        assert code == AGAIN and took < scaled(LONGEST_CALL)
    server.start()
    assert max(sink.keep("write", NOON, 5000, 5000)) < scaled(LONGEST_CALL)
    sink.keep("write", NOON, 10000, 5000)
    assert kept(server) == 15000
    assert sink.said("warning querylog: ") == 1, sink.log()
    assert sink.said("info querylog: .* are kept again, after") == 1


def test_server_comes_later(server, open_sink):
    server.stop()
    sink = open_sink(server.url(), password=PASSWORD)
    assert sink.opened == "open"
    for _ in range(3):
        code, took = sink.do("write", NOON, 0, 100)
        assert code == AGAIN and took < scaled(LONGEST_CALL)
    server.start()
    sink.keep("write", NOON, 0, 100)
    assert kept(server) == 100


@pytest.mark.parametrize("after", [0, 0.01, 0.05, 0.1, 0.2, 0.4])
def test_server_is_killed_while_it_writes(server, sink, after):
    """Wherever it is: in COPY, while committing, or between."""
    sink.keep("write", NOON, 0, 20000)
    sink.send("write", NOON, 20000, 20000)
    time.sleep(after)
    server.kill()
    code, took = sink.receive()
    assert took < scaled(LONGEST_CALL)
    server.start()
    if code != OK:
        assert code == AGAIN
        sink.keep("write", NOON, 20000, 20000)
    sink.keep("write", NOON, 40000, 1000)
    assert kept(server) == 41000


def test_commit_whose_outcome_is_unknown(server, open_sink):
    """It was done, but the word of it got lost: then it is not done again."""
    cutter = CommitCutter(server)
    url = server.url().replace(f":{server.port}/", f":{cutter.port}/")
    sink = open_sink(url, password=PASSWORD)
    sink.keep("write", NOON, 0, 100)
    cutter.armed.set()
    assert sink.do("write", NOON, 100, 100)[0] == AGAIN
    assert cutter.cut.is_set() and kept(server) == 200
    sink.keep("write", NOON, 100, 100)
    sink.keep("write", NOON, 200, 100)
    assert kept(server) == 300
    cutter.stop()


def test_transaction_that_lives_on(server, sink):
    """The server still has it, and only then ends it well: what repeats it waits for that."""
    sink.keep("write", NOON, 0, 100)
    run, batch = server.ask("SELECT run, batch FROM sotto.writers")[0]
    # As if the batch that comes next had been kept, by a session that has not ended yet.
    holder = server.in_background(
        f"BEGIN; UPDATE sotto.writers SET batch = {int(batch) + 1} WHERE run = '{run}';"
        " SELECT pg_sleep(1); COMMIT"
    )
    wait_until(
        lambda: server.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^ ?SELECT pg_sl'"
        )
        == "1",
        10,
        "the row is held",
    )
    assert len(sink.keep("write", NOON, 100, 100)) >= 1
    holder.join()
    assert kept(server) == 100, "the batch was there, and is written again"
    sink.keep("write", NOON, 200, 100)
    assert kept(server) == 200


def test_session_that_ends_without_a_word(server, sink):
    """While it is idle, and while it writes."""
    sink.keep("write", NOON, 0, 100)
    for i in range(1, 4):
        server.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sotto'"
        )
        sink.keep("write", NOON, i * 100, 100)
    assert kept(server) == 400


def test_server_that_hangs(server, sink):
    """It takes what is sent, and does not answer: calls return, and nothing is lost or doubled."""
    sink.keep("write", NOON, 0, 100)
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
    code, took = sink.do("write", NOON, 100, 100)
    assert code == AGAIN and took < scaled(LONGEST_CALL)
    sink.keep("write", NOON, 100, 100)
    blocker.join()
    assert kept(server) == 200


def test_tables_are_dropped_meanwhile(server, sink):
    sink.keep("write", NOON, 0, 100)
    server.ask("DROP SCHEMA sotto CASCADE")
    sink.keep("write", NOON, 100, 100)
    assert kept(server) == 100


# ---- Who may


def test_wrong_password(server, open_sink):
    """Said once, with where to look; tried again; and mended without a restart."""
    sink = open_sink(server.url(), password="another")
    code = AGAIN
    for _ in range(4):
        code, took = sink.do("write", NOON, 0, 100)
        assert code == AGAIN and took < scaled(LONGEST_CALL)
    assert sink.said("warning querylog: ") == 1, sink.log()
    assert sink.said(f"look at the user, and at the password in {sink.password_file}") == 1
    sink.password_file.write_text(PASSWORD)
    sink.keep("write", NOON, 0, 100)
    assert kept(server) == 100
    assert "another" not in sink.log() and PASSWORD not in sink.log()


def test_no_password(server, open_sink):
    sink = open_sink(server.url())
    sink.do("tick")
    assert sink.said("write it into a file") == 1


def test_user_who_may_not_create(server, open_sink):
    """Told what he needs; and it is enough that somebody has made a schema for him."""
    server.ask(f"CREATE USER logger PASSWORD $${PASSWORD}$$")
    sink = open_sink(server.url(user="logger"), password=PASSWORD)
    sink.do("tick")
    assert sink.said("grant this user CREATE") == 1
    server.ask("CREATE SCHEMA sotto AUTHORIZATION logger")
    sink.keep("write", NOON, 0, 100)
    assert kept(server) == 100


@pytest.mark.parametrize(
    "url, reason",
    [
        ("postgresql://u:secret@h/d", "has a password in it"),
        ("postgresql://u@h/d?password=secret", "has a password in it"),
        ("postgresql://u@h/d?sslpassword=secret", "has a password in it"),
        ("postgresql://u:sec%zzret@h/d", "has a password in it"),
        ("postgresql://u@h/d?no=such", 'invalid URI query parameter: "no"'),
        ("postgresql://u@[::1/d", "write postgresql://USER@HOST:PORT/DATABASE"),
    ],
)
def test_urls_that_are_refused(open_sink, url, reason):
    sink = open_sink(url)
    assert reason in sink.opened and "secret" not in sink.opened


def test_password_file_that_is_not_there(open_sink, server, tmp_path):
    sink = open_sink(server.url(), password="")
    assert "there is no password in the first line of" in sink.opened


# ---- TLS


@pytest.fixture
def tls_server(start_postgresql, identity):
    server = start_postgresql()
    server.stop()
    for name, source in (("cert.pem", identity.chain_path), ("key.pem", identity.key_path)):
        path = server.folder / name
        path.write_bytes(Path(source).read_bytes())
        postgresql.os.chown(path, postgresql.owner().pw_uid, postgresql.owner().pw_gid)
        path.chmod(0o600)
        server.settings[f"ssl_{name[:-4]}_file"] = path
    server.settings["ssl"] = "on"
    server.start()
    return server


def test_tls_with_an_authority_of_ones_own(tls_server, open_sink, authority):
    url = tls_server.url(sslmode="verify-full", sslrootcert=authority.ca_path)
    sink = open_sink(url, password=PASSWORD)
    sink.keep("write", NOON, 0, 1000)
    sink.keep("write", NOON, 1000, 20000)
    assert kept(tls_server) == 21000
    assert "warning" not in sink.log()
    [[encrypted]] = tls_server.ask(
        "SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
        " WHERE application_name = 'sotto'"
    )
    assert encrypted == "t"


def test_tls_refuses_an_unknown_authority(tls_server, open_sink, other_authority):
    url = tls_server.url(sslmode="verify-full", sslrootcert=other_authority.ca_path)
    sink = open_sink(url, password=PASSWORD)
    for _ in range(3):
        assert sink.do("write", NOON, 0, 10)[0] == AGAIN
    assert sink.said("warning querylog: .*certificate verify failed") == 1, sink.log()
    assert not tables(tls_server)


def test_tls_refuses_a_wrong_name(tls_server, open_sink, authority):
    tls = {"sslmode": "verify-full", "sslrootcert": authority.ca_path}
    sink = open_sink(
        tls_server.url(host="localhost", hostaddr="127.0.0.1", **tls), password=PASSWORD
    )
    for _ in range(3):
        assert sink.do("write", NOON, 0, 10)[0] == AGAIN
    assert sink.said('warning querylog: .*does not match host name "localhost"') == 1, sink.log()


@pytest.mark.parametrize(
    "url, warned",
    [
        ("postgresql://u@192.0.2.1/d", True),
        ("postgresql://u@192.0.2.1/d?sslmode=require", True),
        ("postgresql://u@127.0.0.1,db.test/d", True),
        ("postgresql://u@localhost/d?hostaddr=192.0.2.1", True),
        ("postgresql://u@127.0.0.1.test/d", True),
        ("postgresql://u@192.0.2.1/d?sslmode=verify-ca", False),
        ("postgresql://u@192.0.2.1/d?sslmode=verify-full", False),
        ("postgresql://u@127.0.0.1,[::1],localhost/d", False),
        ("postgresql:///d?host=/run/postgresql", False),
    ],
)
def test_warns_of_ways_that_others_can_read(open_sink, url, warned):
    sink = open_sink(url)
    assert sink.opened == "open"
    sink.close()
    assert ("nobody verifies who this server is" in sink.last_log) == warned


def test_unix_socket(server, open_sink):
    sink = open_sink(f"postgresql://postgres@/postgres?host={server.folder}&port={server.port}")
    sink.keep("write", NOON, 0, 100)
    assert kept(server) == 100


# ---- Tables


def test_many_instances_at_once(server, open_sink):
    """All find nothing, all want the same tables and days."""
    sinks = [open_sink(server.url(), password=PASSWORD, instance=f"i{n}") for n in range(6)]
    for n, sink in enumerate(sinks):
        sink.send("fill", NOON, n * 10000, 2000, 100)
    for sink in sinks:
        code, _ = sink.receive()
        assert code == OK
        assert "warning" not in sink.log(), sink.log()
    assert kept(server) == 12000
    assert server.ask("SELECT instance, count(*) FROM sotto.queries GROUP BY 1 ORDER BY 1") == [
        [f"i{n}", "2000"] for n in range(6)
    ]
    assert server.value("SELECT count(*) FROM sotto.schema_version") == "1"


def test_midnight(server, sink):
    sink.keep("write", NOON + DAY // 2 - 5000, 0, 10)
    assert partitions(server) == ["queries_20260131", "queries_20260201"]
    assert server.ask(
        "SELECT tableoid::regclass, count(*) FROM sotto.queries GROUP BY 1 ORDER BY 1"
    ) == [
        ["sotto.queries_20260131", "5"],
        ["sotto.queries_20260201", "5"],
    ]


def test_the_next_day_is_made_ahead(server, sink):
    sink.keep("write", NOON, 0, 10)
    sink.do("tick")
    assert partitions(server) == ["queries_20260131"]
    sink.keep("write", NOON + DAY // 2 - 60 * 10**6, 10, 10)
    sink.do("tick")
    assert partitions(server) == ["queries_20260131", "queries_20260201"]


def test_clocks_that_are_wrong(server, sink):
    sink.keep("write", 0, 0, 10)
    sink.keep("write", 2**64 - 10**9, 10, 10)
    assert partitions(server) == ["queries_19700101", "queries_99991231"]
    assert kept(server) == 20


def test_day_in_use_by_a_reader(server, sink):
    """New days do not wait for those who read."""
    sink.keep("write", NOON, 0, 10)
    reader = server.in_background("BEGIN; SELECT count(*) FROM sotto.queries; SELECT pg_sleep(5)")
    wait_until(
        lambda: server.value(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessShareLock'"
            " AND relation = 'sotto.queries'::regclass"
        )
        == "1",
        10,
        "somebody reads",
    )
    code, took = sink.do("write", NOON + DAY, 10, 10)
    assert code == OK and took < 2
    reader.join()


def test_tables_of_a_newer_program(server, open_sink):
    server.ask("CREATE SCHEMA sotto; CREATE TABLE sotto.schema_version AS SELECT 99 AS version")
    sink = open_sink(server.url(), password=PASSWORD)
    for _ in range(3):
        assert sink.do("write", NOON, 0, 10)[0] == AGAIN
    assert sink.said("the tables there are of version 99, this program knows those up to") == 1
    assert (
        server.value("SELECT count(*) FROM pg_class WHERE relnamespace = 'sotto'::regnamespace")
        == "1"
    )


# ---- Retention


def days_ago(days) -> int:
    return int(time.time() * 10**6) - int(days * DAY)


def name_of(ago) -> str:
    return datetime.datetime.fromtimestamp(ago // 10**6, datetime.timezone.utc).strftime(
        "queries_%Y%m%d"
    )


def test_old_days_are_dropped(server, open_sink):
    keeper = open_sink(server.url(), password=PASSWORD)
    for i, days in enumerate((10, 9, 8, 5, 0)):
        keeper.keep("write", days_ago(days), i * 10, 10)
    assert len(partitions(server)) == 5, "no age, no end"
    sink = open_sink(server.url(), password=PASSWORD, max_age=7 * 86400)
    wait_until(lambda: sink.do("tick") and len(partitions(server)) <= 2, 10, "old days go")
    assert partitions(server) == [name_of(days_ago(5)), name_of(days_ago(0))]
    assert kept(server) == 20


def test_short_ages_delete_rows(server, open_sink):
    keeper = open_sink(server.url(), password=PASSWORD)
    keeper.keep("write", days_ago(1.5 / 24), 0, 50000)  # the last of them 89 minutes old
    keeper.keep("write", days_ago(0.5 / 24), 50000, 10)
    sink = open_sink(server.url(), password=PASSWORD, max_age=3600)
    wait_until(lambda: sink.do("tick") and kept(server) <= 10, 20, "old rows go")
    assert kept(server) == 10


def test_one_instance_deletes(server, open_sink):
    keeper = open_sink(server.url(), password=PASSWORD)
    keeper.keep("write", days_ago(9), 0, 10)
    other = server.in_background("BEGIN; SELECT pg_advisory_xact_lock(1936684148, 2), pg_sleep(2)")
    wait_until(
        lambda: server.value(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'" " AND objid = 2"
        )
        == "1",
        10,
        "another one is at it",
    )
    sink = open_sink(server.url(), password=PASSWORD, max_age=86400)
    sink.do("tick")
    sink.keep("write", days_ago(0), 10, 10)
    assert kept(server) == 20
    other.join()


def test_deleting_does_not_wait_for_readers(server, open_sink):
    keeper = open_sink(server.url(), password=PASSWORD)
    keeper.keep("write", days_ago(9), 0, 10)
    reader = server.in_background("BEGIN; SELECT count(*) FROM sotto.queries; SELECT pg_sleep(6)")
    wait_until(
        lambda: server.value(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessShareLock'"
            " AND relation = 'sotto.queries'::regclass"
        )
        == "1",
        10,
        "somebody reads",
    )
    sink = open_sink(server.url(), password=PASSWORD, max_age=86400)
    wait_until(
        lambda: sink.do("tick")[1] < scaled(LONGEST_CALL) and "could not be deleted" in sink.log(),
        10,
        "it gives up",
    )
    sink.keep("write", days_ago(0), 10, 10)
    reader.join()
    assert kept(server) == 20
