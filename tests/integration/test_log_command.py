"""`sotto log`: what was asked, from a query log in SQLite that its sink has filled."""

import csv
import io
import json
import os
import pty
import re
import select
import subprocess
from pathlib import Path

import pytest

from lib.run_once import binary_of, run_to_end
from lib.timing import scaled

pytestmark = pytest.mark.single_threaded

A, AAAA, HTTPS = 1, 28, 65
HIT, MISS, STALE, REFUSED, ERROR = 0, 1, 3, 5, 7
UDP, TLS, OVER_HTTPS = 0, 2, 3
NXDOMAIN = 3
HOUR = 3600 * 1000000


class Log:
    """A query log, filled line by line."""

    def __init__(self, tool, path):
        self.path = path
        self._filler = subprocess.Popen(
            [tool, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def add(
        self,
        name,
        age=0,
        client="192.0.2.1",
        type=A,
        outcome=HIT,
        rcode=0,
        transport=UDP,
        latency=50,
        upstream="-",
    ):
        line = f"{age} {client} {name} {type} {outcome} {rcode} {transport} {latency} {upstream}\n"
        self._filler.stdin.write(line)
        self._filler.stdin.flush()
        assert self._filler.stdout.readline() == "written\n"

    def finish(self):
        self._filler.stdin.close()
        self._filler.stdout.close()
        assert self._filler.wait(scaled(20)) == 0


@pytest.fixture
def tool(request):
    """The program that writes as the daemon does; it is built beside the unit tests."""
    path = Path(binary_of(request)).parent / "tests" / "tools" / "fill_store"
    if not path.exists():
        pytest.skip("no fill_store: built without -Dtests=true")
    return path


@pytest.fixture
def log(tool, tmp_path):
    log = Log(tool, tmp_path / "queries.db")
    yield log
    log.finish()


@pytest.fixture
def some(log):
    """Some queries that differ in everything."""
    log.add("old.example.com", age=5 * HOUR, outcome=MISS, upstream="tls://dns.example")
    log.add("www.example.com", client="192.0.2.7", type=AAAA, outcome=MISS, latency=150000)
    log.add("WwW.Example.com", client="2001:db8::1", transport=OVER_HTTPS)
    log.add("gone.example.net", client="198.51.100.9", outcome=ERROR, rcode=2, type=HTTPS)
    log.add("none.example.net", client="198.51.100.9", outcome=MISS, rcode=NXDOMAIN, transport=TLS)
    log.finish()
    return log


@pytest.fixture
def run(request):
    """Run `sotto log` to its end: exit code, stdout, stderr."""

    def start(*arguments, **environment):
        done = run_to_end([binary_of(request), "log", *arguments], environment, 30)
        return done.returncode, done.stdout, done.stderr

    return start


@pytest.fixture
def names(run, some):
    """The names that `sotto log` shows with these conditions, the newest first."""

    def ask(*conditions):
        code, out, err = run("--store", some.path, "--json", *conditions)
        assert (code, err) == (0, "")
        return [json.loads(line)["name"] for line in out.splitlines()]

    return ask


NEWEST_FIRST = [
    "none.example.net",
    "gone.example.net",
    "WwW.Example.com",
    "www.example.com",
    "old.example.com",
]


def test_newest_first(names):
    assert names() == NEWEST_FIRST
    assert names("--limit", "2") == NEWEST_FIRST[:2]
    assert names("-n", "0") == NEWEST_FIRST


@pytest.mark.parametrize(
    "conditions, found",
    [
        (["--since", "1h"], NEWEST_FIRST[:4]),
        (["--until", "1h"], ["old.example.com"]),
        (["--client", "192.0.2.0/24"], ["www.example.com", "old.example.com"]),
        (["--client", "2001:db8::/32"], ["WwW.Example.com"]),
        (["--name", "www.example.com"], ["WwW.Example.com", "www.example.com"]),
        (["--name", "*.EXAMPLE.net"], ["none.example.net", "gone.example.net"]),
        (["--name", "example.net"], []),
        (["--text", "one"], ["none.example.net", "gone.example.net"]),
        (["--type", "AAAA"], ["www.example.com"]),
        (["--outcome", "error"], ["gone.example.net"]),
        (["--rcode", "NXDOMAIN"], ["none.example.net"]),
        (["--transport", "https,tls"], ["none.example.net", "WwW.Example.com"]),
        (["--slow", "100ms"], ["www.example.com"]),
        (["--name", "*.example.net", "--outcome", "miss"], ["none.example.net"]),
    ],
)
def test_conditions(names, conditions, found):
    assert names(*conditions) == found


def test_table(run, some):
    """Plain where it is no terminal."""
    code, out, err = run("--store", f"sqlite://{some.path}")
    header, *lines = out.splitlines()
    assert (code, err, len(lines)) == (0, "", 5)
    assert header.split() == "TIME CLIENT OVER TYPE OUTCOME RCODE LATENCY NAME".split()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} +192\.0\.2\.7 +udp +AAAA +miss +NOERROR +150\.0 ms"
        r" +www\.example\.com",
        lines[3],
    )
    assert lines[4].endswith("old.example.com  via tls://dns.example")
    assert "\x1b" not in out


def on_terminal(command, **environment) -> str:
    """What a program writes to a terminal."""
    main, terminal = pty.openpty()
    process = subprocess.Popen(command, stdout=terminal, env={**os.environ, **environment})
    os.close(terminal)
    octets = b""
    while select.select([main], [], [], scaled(20))[0]:
        try:
            octets += os.read(main, 65536)
        except OSError:  # the other side was closed
            break
    os.close(main)
    assert process.wait(scaled(10)) == 0
    return octets.decode()


def test_colours_on_a_terminal(request, some):
    command = [binary_of(request), "log", "--store", some.path]
    environment = {"TERM": "xterm", "NO_COLOR": ""}
    assert "\x1b[1;31merror" in on_terminal(command, **environment)
    assert "\x1b" not in on_terminal(command, TERM="xterm", NO_COLOR="1")
    assert "\x1b" not in on_terminal(command, TERM="dumb", NO_COLOR="")


def test_csv(run, some):
    code, out, _ = run("--store", some.path, "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert code == 0 and [row["name"] for row in rows] == NEWEST_FIRST
    assert (rows[3]["client"], rows[3]["type"], rows[3]["latency_us"]) == (
        "192.0.2.7",
        "AAAA",
        "150000",
    )


def test_top(run, some):
    code, out, _ = run("--store", some.path, "--top", "names", "--json")
    tops = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(top["text"], top["count"]) for top in tops][0] == ("www.example.com", 2)
    assert len(tops) == 4
    for kind, first in {
        "clients": "198.51.100.9",
        "types": "A",
        "outcomes": "miss",
        "upstreams": "",
        "rcodes": "NOERROR",
        "transports": "udp",
    }.items():
        _, out, _ = run("--store", some.path, "--top", kind, "--json")
        assert json.loads(out.splitlines()[0])["text"] == first, kind
    _, out, _ = run("--store", some.path, "--top", "names", "-n", "1")
    assert re.search(r"^ +2 +40\.0% +0 +75\.0 ms +www\.example\.com$", out, re.M)
    assert out.endswith("5 queries, 4 different names\n")


def test_hostile_names(run, log):
    """Nothing that steers a terminal, is markup, or a formula."""
    log.add(r"\027[2J\007<script>alert\(1\)</script>.test")
    log.add(r"=cmd|calc\".test")
    log.finish()
    _, table, _ = run("--store", log.path)
    assert "\x1b" not in table and "\x07" not in table
    assert r"\027[2J\007<script>alert\(1\)</script>.test" in table
    _, out, _ = run("--store", log.path, "--json")
    assert "<" not in out
    assert json.loads(out.splitlines()[1])["name"].startswith(r"\027[2J\007<script>")
    _, out, _ = run("--store", log.path, "--csv")
    assert next(csv.DictReader(io.StringIO(out)))["name"] == "'" + r"=cmd|calc\".test"


def test_many_pages(run, tool, tmp_path):
    path = tmp_path / "many.db"
    subprocess.run([tool, path, "20000"], check=True, timeout=scaled(120))
    _, out, _ = run("--store", path, "--csv", "-n", "0")
    assert [int(row["id"]) for row in csv.DictReader(io.StringIO(out))] == list(range(20000, 0, -1))


def test_follow(request, log):
    """The last ones, then what comes, each once."""
    for number in range(3):
        log.add(f"before-{number}.test")
    command = [binary_of(request), "log", "--store", log.path, "--json", "-f", "-n", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        try:
            seen = [json.loads(follower.stdout.readline())["name"] for _ in range(2)]
            log.add("after-0.test")
            seen.append(json.loads(follower.stdout.readline())["name"])
            log.add("after-1.test")
            seen.append(json.loads(follower.stdout.readline())["name"])
        finally:
            follower.terminate()
    assert seen == ["before-1.test", "before-2.test", "after-0.test", "after-1.test"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--type", "FOO"], "--type: write the type of a record"),
        (["--since", "yesterday"], "--since: write how long ago"),
        (["--client", "me"], "--client: write an address"),
        (["--name", "a..b"], "--name: write a domain name"),
        (["--limit", "many"], "--limit: write a number"),
        (["--top", "cats"], "--top: write one of names clients"),
        (["--json", "--csv"], "not both"),
        (["--follow", "--top", "names"], "--follow shows queries"),
        (["more"], "unexpected argument: more"),
    ],
)
def test_wrong_options(run, arguments, said):
    code, out, err = run("--store", "/nowhere", *arguments)
    assert (code, out) == (2, "") and said in err and "--help" in err


def test_logs_that_cannot_be_read(run, tmp_path):
    code, _, err = run("--store", tmp_path / "none.db")
    assert code == 1 and "No such file" in err
    (tmp_path / "text.db").write_text("a text of some length that is no database at all, but long")
    code, _, err = run("--store", tmp_path / "text.db")
    assert code == 1 and "not an SQLite database" in err
    code, _, err = run("--store", "mysql://host/db")
    assert code == 1 and "sqlite:///PATH" in err
    code, _, err = run()
    assert code == 2 and "--store" in err


def test_which_log(run, some, tmp_path):
    """That of the configuration, if the command line does not say; the first that can be read."""
    config = tmp_path / "sotto.yaml"
    config.write_text(
        f"""
query-log:
  sinks:
    - url: json:{tmp_path}/queries.json
    - url: sqlite://{tmp_path}/none.db
    - url: sqlite://{some.path}
"""
    )
    for arguments, environment in (["-c", config], {}), ([], {"SOTTO_CONFIG": str(config)}):
        code, out, _ = run("--json", *arguments, **environment)
        assert code == 0 and len(out.splitlines()) == 5
    config.write_text("log: {level: info}\n")
    code, _, err = run("-c", config)
    assert code == 1 and "query-log has no sinks" in err
    config.write_text("nonsense: 1\n")
    code, _, err = run("-c", config)
    assert code == 2 and "nonsense" in err


def test_help(run):
    code, out, _ = run("--help")
    assert code == 0 and all(len(line) <= 80 for line in out.splitlines())
    for option in ("--since", "--follow", "--top", "--json"):
        assert option in out
