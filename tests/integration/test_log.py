"""The log: text or JSON lines, levels, and few words about what goes on for long."""

import json
import re
import signal
from contextlib import ExitStack

import pytest

from lib import dns_wire as wire
from lib.clients import UdpClient, ask, ask_many, assert_failed, assert_own_raw
from lib.timing import wait_until

TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
TEXT_LINE = re.compile(rf"^{TIMESTAMP} (error|warning|info|debug) [a-z]+: .+$")


@pytest.fixture
def forward(forward):
    """With one worker unless the test says more: each has connections of its own to tell of."""

    def start(*servers, process=None, **options):
        return forward(*servers, process={"workers": 1, **(process or {})}, **options)

    return start


def come_back(sotto, server) -> None:
    server.come_back()
    wait_until(lambda: not ask(sotto.address, "back.test").rcode(), 5, "it is back")
    sotto.wait_count("upstream up", 1)


def make_trouble(sotto, server) -> None:
    """Something for every level to say."""
    ask(sotto.address, "name.test")
    server.go_down()
    ask(sotto.address, "down.test")
    come_back(sotto, server)
    sotto.config_path.write_text('a key with "quotes", \\ and \x85: [\n')
    mark = sotto.mark()
    sotto.signal(signal.SIGHUP)
    sotto.wait_log("reload failed", after=mark)


def test_text_lines(dot_server, forward):
    """Time, level, area and what happened."""
    server = dot_server()
    sotto = forward(server)
    make_trouble(sotto, server)
    sotto.stop()
    for line in sotto.lines:
        assert TEXT_LINE.match(line), line
    said = "\n".join(sotto.lines)
    for part in ("listening on dns://127.0.0.1:", "1 worker", "user ID", server.url, "strict"):
        assert part in said, part


def test_json_lines(dot_server, forward):
    """Every line parses, whatever is in it; the same fields in all."""
    server = dot_server()
    sotto = forward(server, log={"level": "debug", "format": "json"})
    make_trouble(sotto, server)
    sotto.counters()
    sotto.stop()
    lines = [json.loads(line) for line in sotto.lines]
    assert len(lines) > 8
    for line in lines:
        assert list(line) == ["time", "level", "area", "msg"], line
        assert re.fullmatch(TIMESTAMP, line["time"]), line
    assert {line["level"] for line in lines} >= {"info", "warning", "error"}


@pytest.mark.parametrize("level", ["error", "warning", "info", "debug"])
def test_levels(dot_server, forward, level):
    """Nothing below the level that was asked for."""
    levels = ["error", "warning", "info", "debug"]
    allowed = levels[: levels.index(level) + 1]
    server = dot_server()
    sotto = forward(server, log={"level": "info"})
    sotto.write_config({**sotto.config, "log": {"level": level}, "identity": {"version": level}})
    sotto.signal(signal.SIGHUP)
    wait_until(lambda: version_of(sotto) == level, 5, "the level is in force")
    mark = sotto.mark()
    server.go_down()
    ask(sotto.address, "down.test")
    sotto.config_path.write_text("broken: [\n")
    sotto.signal(signal.SIGHUP)
    sotto.wait_log("reload failed", after=mark)
    said = {line.split()[1] for line in sotto.lines[mark:]}
    assert said <= set(allowed), said
    assert "error" in said


def version_of(sotto) -> str:
    reply = ask(sotto.address, "version.bind", "TXT", rdclass="CH")
    return reply.answer[0][0].strings[0].decode()


def test_no_timestamps_where_the_reader_has_its_own_clock(dot_server, forward):
    """systemd sets JOURNAL_STREAM."""
    sotto = forward(dot_server(), process={"environment": {"JOURNAL_STREAM": "8:12345"}})
    sotto.stop()
    assert sotto.lines and not [line for line in sotto.lines if re.match(r"\d{4}-", line)]
    assert all(re.match(r"(warning|info|debug) \w+: ", line) for line in sotto.lines)


def test_a_broken_upstream_is_one_line_and_its_return_another(dot_server, forward):
    """With the phase and the reason in words; hundreds of failing queries add nothing."""
    server = dot_server(listening=False)
    sotto = forward(server, timeout=0.3, log={"level": "info"})
    tally = ask_many(sotto.address, (f"name-{n}.test" for n in range(300)), window=300)
    assert tally.failed == 300
    come_back(sotto, server)
    down = sotto.log_lines(f"{re.escape(server.url)} is down: connect: Connection refused")
    assert len(down) == 1
    assert len(sotto.log_lines(f"{re.escape(server.url)} is (up|back)")) == 1
    assert len(sotto.log_lines("warning|error")) <= 3, "running as root, down, and one to spare"


def test_one_worker_tells_for_all(dot_server, forward):
    """However many meet the broken upstream, it is down once and back once."""
    server = dot_server(listening=False)
    sotto = forward(server, timeout=0.3, log={"level": "info"}, process={"workers": 4})
    # From many ports, so that every worker gets some.
    wait_until(
        lambda: ask(sotto.address, "down.test").rcode() and sotto.count("upstream down") >= 3,
        10,
        "three workers found it down",
    )
    server.come_back()
    wait_until(
        lambda: not ask(sotto.address, "up.test").rcode() and sotto.count("upstream up") >= 3,
        10,
        "three workers found it back",
    )
    assert len(sotto.log_lines(r"is down: connect: ")) == 1
    assert len(sotto.log_lines(r"is back")) == 1


def client_of_worker(sotto, clients: ExitStack, number: int) -> UdpClient:
    """A client whose queries that worker gets: which one does depends on the client's port."""

    def asked() -> int:
        return sotto.status()["workers"][number]["queries_udp"]

    for _ in range(50):
        before = asked()
        client = clients.enter_context(UdpClient(sotto.address))
        client.exchange(wire.query("localhost"))
        if asked() > before:
            return client
    raise AssertionError(f"50 ports, and none is for worker {number}")


def test_another_worker_tells_that_it_is_back(dot_server, forward, authority, identity):
    """Who found it down may not be asked for a long time."""
    server = dot_server(authority.issue(names=["other.test"]))
    sotto = forward(server, process={"workers": 2})
    with ExitStack() as clients:
        first, second = (client_of_worker(sotto, clients, number) for number in (0, 1))
        assert_failed(wire.parse(first.exchange(wire.query("down.test"))), reason="verify")
        server.new_identity(identity)
        assert_own_raw(second.exchange(wire.query("up.test")), "up.test")
    sotto.wait_log(r"is back")
    assert len(sotto.log_lines(r"is down: verify: ")) == 1


def test_an_upstream_that_flaps_is_a_line_now_and_then(dot_server, forward):
    server = dot_server(listening=False)
    sotto = forward(server, timeout=0.5, log={"level": "info"})
    for flap in range(1, 9):
        wait_until(lambda: ask(sotto.address, "down.test").rcode(), 5, "it is down")
        sotto.wait_count("upstream down", flap)
        server.come_back()
        wait_until(lambda: not ask(sotto.address, "up.test").rcode(), 5, "it is back")
        sotto.wait_count("upstream up", flap)
        server.go_down()
    down, back = sotto.log_lines(r"is (still )?down: "), sotto.log_lines(r"is back")
    # Ten seconds between two; the flaps take about one.
    assert 1 <= len(down) <= 3 and 1 <= len(back) <= len(down)
