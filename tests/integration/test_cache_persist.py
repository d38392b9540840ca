"""The file in which the cache survives a restart: whole or not believed, and nobody else's business."""

import os
import stat
import time

import pytest

from lib import dns_wire as wire
from lib import unprivileged
from lib.caching import (
    EDE_CACHED_ERROR,
    EDE_STALE_NXDOMAIN,
    address_record,
    assert_stale,
    errors,
    exchange,
    let_pass,
    negative,
    number_of,
    numbered,
    ttls,
)
from lib.clients import ask, ask_many, assert_failed
from lib.faulty_dot import answering, by_name
from lib.preload import Shim
from lib.timing import scaled, wait_until, within

HOUR, DAY = 3600, 86400
WALL = 0  # of shifted_clock.c
NAME = "kept.test"
HEADER_SIZE = 32


@pytest.fixture
def server(dot_server):
    return dot_server(on_query=numbered(ttl=DAY))


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    return folder / "cache"


@pytest.fixture
def persisting(server, forward, path):
    """Start the program with the file."""

    def start(*servers, process=None, **cache):
        cache = {"persist": str(path), "prefetch": False, **cache}
        return forward(*(servers or [server]), cache=cache, process=process)

    return start


@pytest.fixture
def written(persisting, path):
    """The file as a program has left it at its end, with one answer."""
    sotto = persisting()
    assert number_of(ask(sotto.address, NAME)) == 1
    sotto.stop()
    return path


def restored(sotto) -> str:
    return sotto.wait_log("answers in .* are still of use")


def assert_not_restored(sotto, server) -> None:
    """It is not there; but all goes on."""
    asked = len(server.queries_for(NAME + "."))
    assert number_of(ask(sotto.address, NAME)) == asked + 1


# There and back


def test_answers_survive_a_restart(dot_server, persisting, path):
    """All kinds of them, as they were, with nobody to ask; failures are forgotten."""
    server = dot_server(
        on_query=by_name(
            numbered(ttl=DAY, additional=[address_record(9, 300, wire.name_wire("ns.test"))]),
            none=answering(**negative(wire.NXDOMAIN)),
            empty=answering(**negative(wire.NOERROR)),
            large=answering(
                answer=[wire.record(wire.QUESTION_POINTER, wire.TXT, b"\xff" + b"x" * 255)] * 200
            ),
            failing=answering(rcode=wire.SERVFAIL),
        )
    )
    questions = {
        "MiXeD.test": {},
        "do.test": {"do": True},
        "cd.test": {"flags": wire.RD | wire.CD},
        "none.test": {},
        "empty.test": {},
        "large.test": {"rdtype": wire.TXT},
        "a" * 63 + ".test": {},
    }
    sotto = persisting(server)

    def ask_all():
        return [exchange(sotto.address, name, "tcp", **way) for name, way in questions.items()]

    before = ask_all()
    ask(sotto.address, "failing.test")
    sotto.stop()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == [path.name]

    asked = len(server.queries)
    sotto = persisting(server)
    assert "7 of 7 answers" in restored(sotto)
    for old, new in zip(before, ask_all()):
        assert new.rcode() == old.rcode() and new.sections == old.sections and not errors(new)
    assert sotto.count("cache hits") == 7 and len(server.queries) == asked
    assert EDE_CACHED_ERROR not in errors(ask(sotto.address, "failing.test"))
    # DO and CD are part of the question still.
    for name in ("do.test", "cd.test"):
        assert exchange(sotto.address, name).answer[0][0].address == "192.0.2.2"
    assert len(server.queries) == asked + 3


def test_they_are_as_old_as_they_are(persisting, server):
    """Also by the time in which no program ran."""
    server.on_query = by_name(numbered(ttl=100), short=numbered(ttl=1))
    sotto = persisting()
    began = time.monotonic()
    for name in (NAME, "short.test"):
        ask(sotto.address, name)
    kept_at = time.monotonic()
    let_pass(1)
    sotto.stop()
    let_pass(1)
    server.go_down()
    sotto = persisting()
    reply = ask(sotto.address, NAME)
    # The file has whole seconds, of the age and of the clock.
    assert (
        time.monotonic() - began + 2 >= 100 - ttls(reply)[0] >= int(time.monotonic() - kept_at) - 2
    )
    assert ttls(reply)[0] < 100 and not errors(reply)
    with within(1.5):
        assert_stale(ask(sotto.address, "short.test"))


def test_through_many_restarts(persisting, server):
    """What is never asked for is not lost, and no end is put off."""
    sotto = persisting()
    ask(sotto.address, NAME)
    for _ in range(3):
        sotto.stop()
        sotto = persisting()
        assert "1 of 1 answers" in restored(sotto)
    assert number_of(ask(sotto.address, NAME)) == 1
    assert len(server.queries) == 1


def test_many_answers(forward, fast_dot, path):
    """More than one write; into a smaller cache, as many as there is room for."""
    names = [f"many-{number}.test" for number in range(5000)]
    cache = {"persist": str(path), "size": "1MiB"}
    sotto = forward(fast_dot, cache=cache, log={"level": "info"})
    assert ask_many(sotto.address, names).right == len(names)
    sotto.stop()
    assert path.stat().st_size > 50 * len(names)
    sotto = forward(fast_dot, cache=cache, log={"level": "info"})
    assert "5000 of 5000" in restored(sotto)
    assert ask_many(sotto.address, names).right == len(names)
    assert sotto.count("forwarded queries") == 0
    sotto.stop()
    sotto = forward(fast_dot, cache={"persist": str(path), "size": "512KiB"})
    restored(sotto)
    assert 2000 < sotto.status()["cache"]["entries"] < 5000
    assert ask_many(sotto.address, names[:100]).right == 100


def test_killed_without_a_word(persisting, server, path):
    """What was written at the last interval is there."""
    sotto = persisting(**{"persist-interval": "1s"})
    ask(sotto.address, NAME)
    sotto.wait_log(r"\b1 answers written to")
    ask(sotto.address, "later.test")
    sotto.wait_log(r"\b2 answers written to")
    ask(sotto.address, "too-late.test")
    sotto.kill()
    server.go_down()
    sotto = persisting()
    assert "2 of 2" in restored(sotto) or "3 of 3" in restored(sotto)
    for name in (NAME, "later.test"):
        assert number_of(ask(sotto.address, name)) == 1


def test_the_file_is_the_old_or_the_new_one(persisting, path):
    """Never half of one, however often it is read while it is written."""
    sotto = persisting(**{"persist-interval": "1s"})
    names = [f"n-{number}.test" for number in range(300)]
    ask_many(sotto.address, names)
    sotto.wait_log("answers written to")
    seen = set()

    def has_been_replaced():
        octets = path.read_bytes()
        assert octets.startswith(b"sotto cache\0") and octets[-20:-16] == b"\xff" * 4
        assert len(octets) > 300 * 50
        seen.add(octets)
        return len(seen) == 3

    wait_until(has_been_replaced, 10, "it is written anew", interval=0.001)


def test_a_reload_may_name_another_file(persisting, server, path):
    """And the interval; the one before stays as it was last written."""
    sotto = persisting(**{"persist-interval": "1s"})
    ask(sotto.address, NAME)
    sotto.wait_log(rf"1 answers written to {path}$")
    other = path.with_name("other")
    cache = {**sotto.config["cache"], "persist": str(other)}
    sotto.reload({**sotto.config, "cache": cache})
    sotto.wait_log(rf"1 answers written to {other}$")
    sotto.reload({**sotto.config, "cache": {**cache, "persist": ""}})
    path.unlink()
    other.unlink()
    sotto.stop()
    assert os.listdir(path.parent) == []


# Writing where it is not easy


LEFTOVERS = {
    "a-file": lambda new: (new.write_bytes(b"sotto cache\0" * 10_000), new.chmod(0o666)),
    "a-symlink": lambda new: new.symlink_to(new.with_name("victim")),
    "a-fifo": os.mkfifo,
    "a-directory": os.mkdir,
}


@pytest.mark.parametrize("make", LEFTOVERS.values(), ids=LEFTOVERS.keys())
def test_something_is_in_the_place_of_the_new_file(persisting, path, make):
    """What an earlier program left there does not matter; a trap is said, and does no harm."""
    new = path.with_name("cache.new")
    make(new)
    victim = path.with_name("victim")
    victim.write_text("precious")
    sotto = persisting()
    ask(sotto.address, NAME)
    sotto.stop()
    assert victim.read_text() == "precious"
    if make is LEFTOVERS["a-file"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600 and not new.exists()
        assert path.stat().st_size < 200
    else:
        assert sotto.log_lines(f"warning .*cannot write {new}: ") and not path.exists()


def test_no_folder_to_write_to(persisting, path):
    """Said each time, and all goes on; as soon as there is one, it is written."""
    path.parent.rmdir()
    sotto = persisting(**{"persist-interval": "1s"})
    sotto.wait_log(f"warning .*cannot write {path}.new: No such file or directory; its folder")
    assert number_of(ask(sotto.address, NAME)) == 1
    path.parent.mkdir()
    sotto.wait_log("1 answers written to")
    assert number_of(ask(sotto.address, NAME)) == 1


@pytest.mark.skipif(not unprivileged.available(), reason="needs root and setpriv")
def test_a_folder_that_it_may_not_write_to(server, start_sotto, authority):
    """As nobody, whom root's folder is not for; and in one of its own."""
    with unprivileged.PublicFolder() as folder:
        own = folder / "own"
        own.mkdir()
        os.chown(own, unprivileged.NOBODY.pw_uid, unprivileged.NOBODY.pw_gid)
        for path, works in [(folder / "cache", False), (own / "cache", True)]:
            config = {
                "upstream": {"servers": [{"url": server.url, "ca-file": str(authority.ca_path)}]},
                "user": "nobody",
                "cache": {"persist": str(path)},
            }
            sotto = start_sotto(config)
            assert ask(sotto.address, NAME).rcode() == 0
            sotto.stop()
            assert path.exists() == works
            assert bool(sotto.log_lines("warning .*cannot write .*Permission denied")) != works
        assert own.joinpath("cache").stat().st_uid == unprivileged.NOBODY.pw_uid


# Reading what cannot be believed


def flip(position: float):
    """Another bit, in the header, in the middle or at the end."""

    def damage(path):
        octets = bytearray(path.read_bytes())
        octets[int(position * (len(octets) - 1))] ^= 0x10
        path.write_bytes(octets)

    return damage


def flip_in_clock(path):
    """It looks right but for the checksum."""
    octets = bytearray(path.read_bytes())
    octets[HEADER_SIZE - 1] ^= 1
    path.write_bytes(octets)


def replace_by(make):
    def replace(path):
        path.unlink()
        make(path)

    return replace


UNBELIEVED = {
    "name-changed": (flip(0), "no file of sotto's cache"),
    "version-changed": (lambda path: patch(path, 15, b"\2"), "another version"),
    "clock-changed": (flip_in_clock, "damaged"),
    "record-changed": (flip(0.6), "damaged"),
    "record-size-changed": (lambda path: patch(path, HEADER_SIZE + 9, b"\xff\xff"), "damaged"),
    "sum-changed": (flip(1), "damaged"),
    "cut-by-one": (lambda path: os.truncate(path, path.stat().st_size - 1), "damaged"),
    "cut-in-the-header": (lambda path: os.truncate(path, 20), "cut short"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + bytes(7)), "damaged"),
    "twice": (lambda path: path.write_bytes(2 * path.read_bytes()), "damaged"),
    "empty": (lambda path: os.truncate(path, 0), "no file of sotto's cache"),
    "foreign": (lambda path: path.write_text("#!/bin/sh\n" * 100), "no file of sotto's cache"),
    "too-large": (lambda path: os.truncate(path, 1 << 20), "larger than cache.size allows"),
    "for-others-to-write": (lambda path: path.chmod(0o606), "others can write to it"),
    "for-a-group-to-write": (lambda path: path.chmod(0o660), "others can write to it"),
    "a-fifo": (replace_by(os.mkfifo), "it is no file"),
    "a-directory": (replace_by(os.mkdir), "it is no file"),
}


def patch(path, position: int, octets: bytes) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:position] + octets + whole[position + len(octets) :])


@pytest.mark.parametrize(("damage", "reason"), UNBELIEVED.values(), ids=UNBELIEVED.keys())
def test_what_cannot_be_believed_is_ignored(written, server, persisting, damage, reason):
    """With a word in the log; it starts, and writes it anew if it can."""
    damage(written)
    sotto = persisting(size="512KiB")
    sotto.wait_log(f"warning .*{written} is ignored: .*{reason}")
    assert_not_restored(sotto, server)
    sotto.stop()
    if written.is_dir():
        assert sotto.log_lines(f"warning .*cannot write {written}.new: Is a directory")
        assert os.listdir(written.parent) == [written.name]
        return
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    sotto = persisting(size="512KiB")
    assert "1 of 1" in restored(sotto)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_file_of_somebody_else_is_ignored(written, server, persisting):
    os.chown(written, unprivileged.NOBODY.pw_uid, -1)
    written.chmod(0o644)
    sotto = persisting()
    sotto.wait_log("warning .*is ignored: others can write to it")
    assert_not_restored(sotto, server)


def test_answers_of_other_upstreams_are_not_ours(written, server, dot_server, persisting):
    """Not of another, nor of one more; the file may be that of a former configuration."""
    for servers in [(dot_server(on_query=numbered()),), (server, dot_server())]:
        octets = written.read_bytes()
        sotto = persisting(*servers)
        sotto.wait_log("warning .*is ignored: its answers are those of other upstreams")
        assert_not_restored(sotto, servers[0])
        sotto.stop()
        assert written.read_bytes() != octets
        written.write_bytes(octets)
    sotto = persisting()
    assert "1 of 1" in restored(sotto) and number_of(ask(sotto.address, NAME)) == 1


def test_no_file_is_no_problem(persisting):
    """The first start."""
    sotto = persisting()
    assert not sotto.log_lines("warning cache|is ignored|still of use")


def test_rules_of_today_count_for_answers_of_yesterday(persisting, server):
    """The lower of the ends that the old and the new configuration say; and no stale ones."""
    server.on_query = by_name(numbered(ttl=DAY), short=numbered(ttl=2))
    sotto = persisting()
    for name in (NAME, "short.test"):
        ask(sotto.address, name)
    sotto.stop()
    sotto = persisting(**{"min-ttl": "50s", "max-ttl": "100s"})
    assert "2 of 2" in restored(sotto)
    assert ttls(ask(sotto.address, NAME))[0] <= 100
    let_pass(2)
    # It was not fetched to be kept for so long.
    assert number_of(ask(sotto.address, "short.test")) == 2
    sotto.stop()
    sotto = persisting(**{"max-ttl": "1s", "stale-max": "0s"})
    assert_not_restored(sotto, server)


def test_what_was_flushed_does_not_come_back(persisting, server, path):
    """Not even if it is killed at once."""
    sotto = persisting()
    for name in (NAME, "other.test"):
        ask(sotto.address, name)
    sotto.control("flush", NAME)
    wait_until(path.exists, 2, "it is written")
    sotto.kill()
    sotto = persisting()
    assert "1 of 1" in restored(sotto)
    assert_not_restored(sotto, server)
    assert number_of(ask(sotto.address, "other.test")) == 1


# Clocks


@pytest.fixture
def clock(tmp_path_factory):
    return Shim("shifted_clock.c", tmp_path_factory.mktemp("clock"))


@pytest.mark.release_only  # a sanitizer wants to be loaded first
class TestClock:
    @pytest.fixture
    def restart(self, server, persisting, clock, path):
        """Kept at noon, started again so many seconds later, with the upstream away."""
        server.on_query = by_name(
            numbered(ttl=DAY),
            hour=numbered(ttl=HOUR),
            none=answering(**negative(wire.NXDOMAIN, minimum=1800)),
        )
        process = {"environment": clock.environment}
        sotto = persisting(process=process)
        for name in (NAME, "hour.test", "none.test"):
            ask(sotto.address, name)
        sotto.stop()
        server.go_down()

        def start(seconds: int):
            clock[WALL] = seconds
            return persisting(process=process, **{"stale-after": "100ms"})

        return start

    def test_hours_later(self, restart):
        sotto = restart(2 * HOUR)
        assert "3 of 3" in restored(sotto)
        (ttl,) = ttls(ask(sotto.address, NAME))
        assert 0 <= DAY - 2 * HOUR - ttl <= scaled(3)
        assert_stale(ask(sotto.address, "hour.test"))
        assert_stale(ask(sotto.address, "none.test"), EDE_STALE_NXDOMAIN)

    def test_days_later(self, restart):
        """What has been stale for too long does not come back."""
        sotto = restart(DAY + 2 * HOUR)
        assert "1 of 3" in restored(sotto)
        assert_stale(ask(sotto.address, NAME))
        assert_failed(ask(sotto.address, "hour.test"), reason="refused")

    def test_centuries_later(self, restart):
        """After more seconds than 32 bits hold."""
        assert "0 of 3" in restored(restart(300 * 365 * DAY))

    @pytest.mark.parametrize("seconds", [60, DAY])
    def test_the_wall_clock_has_gone_back(self, restart, seconds):
        """How old they are nobody knows: none is fresh, all may be given in need."""
        sotto = restart(-seconds)
        assert "3 of 3" in restored(sotto)
        for name in (NAME, "hour.test"):
            assert_stale(ask(sotto.address, name))
        assert_stale(ask(sotto.address, "none.test"), EDE_STALE_NXDOMAIN)
