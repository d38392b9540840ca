"""The control socket: `sotto status`, `sotto flush`, who may use it, and those who abuse it."""

import contextlib
import grp
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading

import pytest

from lib import dns_wire as wire
from lib import unprivileged
from lib.clients import TcpClient, ask, ask_many, assert_own_answer
from lib.faulty_dot import hold
from lib.limits import set_open_files
from lib.run_once import binary_of, run_to_end
from lib.timing import scaled, wait_until, within

needs_root = pytest.mark.skipif(not unprivileged.available(), reason="needs root and setpriv")

CACHE = {"size": "1MiB"}
READ_TIMEOUT = 2.0  # CONTROL_READ_TIMEOUT
CLIENTS_MAX = 8  # CONTROL_CLIENTS_MAX
REQUEST_MAX = 1200  # CONTROL_REQUEST_MAX


@pytest.fixture
def run(request):
    """Run the program to its end: exit code, stdout, stderr."""

    def start(*arguments, wrap=list, seconds=15, **environment):
        done = run_to_end(wrap([binary_of(request), *arguments]), environment, seconds)
        return done.returncode, done.stdout, done.stderr

    return start


def connect(path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))  # with a time-out it would not wait for a place in the backlog
    sock.settimeout(scaled(10))
    return sock


def receive_all(sock) -> bytes:
    """To the end; one that is closed with octets of ours unread ends in a reset."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while octets := sock.recv(1 << 16):
            received += octets
    return received


def exchange(path, request: bytes) -> bytes:
    with connect(path) as sock:
        sock.sendall(request)
        return receive_all(sock)


def assert_well(sotto) -> None:
    """It answers on the socket, and answers queries."""
    assert sotto.control("status").startswith("sotto ")
    assert ask(sotto.address, "localhost").answer


def only_upstream(status: dict) -> dict:
    assert len(status["upstreams"]) == 1
    return status["upstreams"][0]


# What is shown


def test_status_of_an_upstream_that_is_up(server, forward):
    """Against what the server saw and what the clients asked, over two workers."""
    sotto = forward(server, process={"workers": 2})
    tally = ask_many(sotto.address, [f"udp-{number}.test" for number in range(40)])
    for number in range(12):
        assert_own_answer(ask(sotto.address, f"tcp-{number}.test", tcp=True), f"tcp-{number}.test")
    assert tally.right == 40
    status = sotto.status()
    upstream = only_upstream(status)
    assert upstream["url"] == server.url
    assert (upstream["state"], upstream["workers"], upstream["workers_down"]) == ("up", 2, 0)
    assert "reason" not in upstream and "down_seconds" not in upstream
    assert upstream["queries"] == upstream["replies"] == len(server.queries) == 52
    assert upstream["connections"] == len(server.open_connections())
    assert upstream["in_flight"] == upstream["waiting"] == upstream["dialling"] == 0
    assert 0 < upstream["rtt_seconds"] < scaled(5)
    workers = status["workers"]
    assert len(workers) == 2 and all(worker["answered"] for worker in workers)
    assert sum(worker["queries_udp"] for worker in workers) == 40
    assert sum(worker["queries_tcp"] for worker in workers) == 12
    assert sum(worker["upstreams"][0]["queries"] for worker in workers) == 52
    assert status["pid"] == sotto.pid
    assert 0 < status["uptime_seconds"] < scaled(60)
    assert status["counters"] == sotto.counters()


def test_status_of_an_upstream_that_is_down(server, forward):
    """With the reason, in both forms; and when it is back, that too."""
    sotto = forward(server, process={"workers": 1})
    server.go_down()
    assert ask(sotto.address, "down.test").rcode() == wire.SERVFAIL
    upstream = only_upstream(sotto.status())
    assert (upstream["state"], upstream["workers_down"]) == ("down", 1)
    assert upstream["reason"] == "connect: Connection refused"
    assert 0 < upstream["down_seconds"] < scaled(60)
    table = sotto.control("status")
    assert re.search(rf"^{re.escape(server.url)} +down for \d+ s ", table, re.M)
    assert "\n    connect: Connection refused\n" in table
    server.come_back()
    assert_own_answer(ask(sotto.address, "back.test"), "back.test")
    upstream = only_upstream(sotto.status())
    assert (upstream["state"], upstream["workers_down"]) == ("up", 0)


def test_status_of_what_is_in_flight(dot_server, forward):
    server = dot_server(on_query=hold)
    sotto = forward(server, process={"workers": 1}, timeout=30.0)
    with TcpClient(sotto.address) as client:
        client.send(*(wire.query(f"name-{number}.test", ident=number) for number in range(3)))
        server.wait_queries(3)
        status = sotto.status()
        for query in server.queries:
            query.connection.answer(query)
        assert len(client.receive_all(3)) == 3
    assert only_upstream(status)["in_flight"] == 3
    assert only_upstream(status)["connections"] == 1
    worker = status["workers"][0]
    assert (worker["in_flight"], worker["tcp_clients"]) == (3, 1)


def test_upstreams_stand_in_the_configured_order(dot_server, forward):
    servers = [dot_server() for _ in range(5)]
    sotto = forward(*servers, process={"workers": 2})
    assert [one["url"] for one in sotto.status()["upstreams"]] == [one.url for one in servers]
    sotto.reload({**sotto.config, "upstream": {"servers": [servers[3].url, servers[0].url]}})
    urls = [one["url"] for one in sotto.status()["upstreams"]]
    assert urls == [servers[3].url, servers[0].url]


def test_the_table_is_for_people(server, forward):
    sotto = forward(server, process={"workers": 2}, cache=CACHE)
    for _ in range(4):
        assert_own_answer(ask(sotto.address, "name.test"), "name.test")
    table = sotto.control("status")
    assert table.startswith(f"sotto 0.1.0, process {sotto.pid}, up for ")
    assert re.search(rf"^{re.escape(server.url)} +up +[\d.]+ ms +1 +0 +1 +1$", table, re.M)
    assert len(re.findall(r"^[01] +\d+ +0 +0 +0 +0 +0$", table, re.M)) == 2
    assert re.search(r"^ *1\.0 MiB +[\d.]+ [KM]iB +1 +3 +1 +75\.0 %$", table, re.M)
    assert max(map(len, table.splitlines())) <= 120


def test_status_of_the_cache(server, forward):
    sotto = forward(server, cache=CACHE, process={"workers": 2})
    before = sotto.status()["cache"]
    assert before["size_bytes"] == 1 << 20 and before["entries"] == 0
    assert "hit_ratio" not in before
    for _ in range(5):
        for number in range(10):
            assert_own_answer(ask(sotto.address, f"name-{number}.test"), f"name-{number}.test")
    after = sotto.status()["cache"]
    assert after["entries"] == 10 and after["hit_ratio"] == 0.8
    assert before["used_bytes"] < after["used_bytes"] <= after["size_bytes"]


def test_without_a_cache(server, forward):
    sotto = forward(server, cache={"size": 0})
    assert sotto.status()["cache"]["size_bytes"] == 0
    assert "\n  off\n" in sotto.control("status")
    assert sotto.control("flush") == "flushed 0 entries\n"


def test_status_under_load_stops_nobody(server, forward):
    """Many ask for it at once, and again and again; queries are answered meanwhile."""
    sotto = forward(server, process={"workers": 2})
    expected = b"sotto/1 ok\nsotto "

    def look() -> None:
        for _ in range(10):
            seen.append(exchange(sotto.control_path, b"sotto/1 status table\n")[: len(expected)])

    seen: list[bytes] = []
    threads = [threading.Thread(target=look) for _ in range(2 * CLIENTS_MAX)]
    for thread in threads:
        thread.start()
    tally = ask_many(sotto.address, [f"name-{number}.test" for number in range(500)])
    for thread in threads:
        thread.join()
    assert tally.right == 500
    assert seen == [expected] * (20 * CLIENTS_MAX)


# Flushing


def fill(sotto, *names, rdtypes=("A",)) -> None:
    for name in names:
        for rdtype in rdtypes:
            assert_own_answer(ask(sotto.address, name, rdtype), name, rdtype)


NAMES = ["test", "a.test", "b.a.test", "aa.test", "other"]


@pytest.mark.parametrize(
    "arguments, gone",
    [
        ([], NAMES),
        (["a.test"], ["a.test"]),
        (["A.Test."], ["a.test"]),
        (["--subtree", "a.test"], ["a.test", "b.a.test"]),
        (["--subtree", "."], NAMES),
        (["."], []),
        (["nothing.test"], []),
        (["--subtree", "nothing.test"], []),
    ],
)
def test_flush(server, forward, arguments, gone):
    """What is gone is asked upstream again, and the rest is not."""
    sotto = forward(server, cache=CACHE, process={"workers": 2})
    fill(sotto, *NAMES, rdtypes=["A", "AAAA"])
    entries = 2 * len(gone)
    assert sotto.control("flush", *arguments) == f"flushed {entries} entries\n"
    assert sotto.status()["cache"]["entries"] == 2 * len(NAMES) - entries
    before = len(server.queries)
    fill(sotto, *NAMES)
    again = {query.name for query in server.queries[before:]}
    assert again == {f"{name}." for name in gone}


def test_flush_counts_in_words(server, forward):
    sotto = forward(server, cache=CACHE)
    fill(sotto, "name.test")
    assert sotto.control("flush", "name.test") == "flushed 1 entry\n"
    assert sotto.control("flush", "name.test") == "flushed 0 entries\n"


def test_flush_is_logged_with_whom(server, forward):
    sotto = forward(server)
    sotto.control("flush")
    sotto.control("flush", "--subtree", "a b.test")
    uid = os.geteuid()
    sotto.wait_log(rf"control: user ID {uid} flushed everything from the cache: 0 entries")
    sotto.wait_log(rf"user ID {uid} flushed a\\032b.test and all below it from the cache")


def test_flush_an_answer_that_is_on_its_way(dot_server, forward):
    """It was asked for before the flush: its client gets it, and nobody else does."""
    server = dot_server(on_query=hold)
    sotto = forward(server, cache=CACHE, process={"workers": 1}, timeout=30.0)
    with TcpClient(sotto.address) as client:
        client.send(wire.query("name.test"))
        (query,) = server.wait_queries(1)
        assert sotto.control("flush") == "flushed 0 entries\n"
        query.connection.answer(query)
        client.receive()
    assert sotto.status()["cache"]["entries"] == 0


def test_what_was_flushed_does_not_come_back(server, forward, tmp_path):
    """Not even if it had been written to the file already, and the program dies now."""
    cache = {**CACHE, "persist": str(tmp_path / "cache")}
    first = forward(server, cache=cache)
    fill(first, "name.test", "other.test")
    first.stop()
    second = forward(server, cache=cache)
    assert second.control("flush", "name.test") == "flushed 1 entry\n"
    second.kill()
    third = forward(server, cache=cache)
    assert third.status()["cache"]["entries"] == 1
    fill(third, "name.test", "other.test")
    assert [query.name for query in server.queries].count("name.test.") == 2
    assert [query.name for query in server.queries].count("other.test.") == 1


# The file


def mode_of(path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_only_its_own_user_may_connect(server, forward):
    sotto = forward(server)
    assert stat.S_ISSOCK(sotto.control_path.lstat().st_mode)
    assert mode_of(sotto.control_path) == 0o600
    assert sotto.control_path.lstat().st_uid == os.geteuid()
    assert sotto.log_lines(f"control socket {sotto.control_path}")


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_umask_has_no_say(server, forward, umask):
    group = grp.getgrgid(os.getegid()).gr_name
    sotto = forward(
        server,
        control={"group": group},
        process={"wrap": lambda command: ["sh", "-c", f'umask {umask:o}; exec "$@"', "", *command]},
    )
    assert mode_of(sotto.control_path) == 0o660


@needs_root
def test_it_belongs_to_the_user_it_becomes(server, forward, by_nobody, run):
    sotto = forward(server, user="nobody")
    status = sotto.control_path.lstat()
    assert status.st_uid == unprivileged.NOBODY.pw_uid and mode_of(sotto.control_path) == 0o600
    assert_well(sotto)
    runtime = {"RUNTIME_DIRECTORY": str(sotto.runtime_directory)}
    code, out, _ = run("status", wrap=by_nobody, **runtime)
    assert code == 0 and out.startswith("sotto ")
    sotto.stop()
    assert not sotto.control_path.exists()


@needs_root
def test_others_are_refused(server, forward, by_nobody, run):
    """And are told what would help."""
    sotto = forward(server)
    runtime = {"RUNTIME_DIRECTORY": str(sotto.runtime_directory)}
    code, out, err = run("flush", wrap=by_nobody, **runtime)
    assert (code, out) == (1, "")
    assert f"{sotto.control_path}: Permission denied" in err and "control.group" in err


@needs_root
def test_a_group_may(server, forward, by_nobody, run):
    sotto = forward(server, user="nobody", control={"group": "daemon"})
    status = sotto.control_path.lstat()
    assert status.st_gid == grp.getgrnam("daemon").gr_gid and mode_of(sotto.control_path) == 0o660

    def by_somebody_of_the_group(command):
        nobody = unprivileged.NOBODY
        ids = {f"--reuid={nobody.pw_uid}": "--reuid=4321"}
        ids[f"--regid={nobody.pw_gid}"] = f"--regid={status.st_gid}"
        return [ids.get(part, part) for part in by_nobody(command)]

    runtime = {"RUNTIME_DIRECTORY": str(sotto.runtime_directory)}
    code, out, err = run("status", wrap=by_somebody_of_the_group, **runtime)
    assert code == 0 and out.startswith("sotto "), err


def start_that_fails(start_sotto, config=None, code=1, **options) -> str:
    sotto = start_sotto(config, wait_ready=False, **options)
    sotto.expect_exit(code)
    return "\n".join(sotto.lines)


def test_a_group_that_does_not_exist(start_sotto):
    said = start_that_fails(start_sotto, {"control": {"group": "no-such-group"}})
    assert 'control.group: there is no group "no-such-group"' in said


@needs_root
def test_a_group_of_others(start_sotto, by_nobody):
    """Without the right to give the socket to it."""
    arguments = ["-l", "127.0.0.1:0"]
    with unprivileged.PublicFolder() as folder:
        folder.chmod(0o777)
        (folder / "config").write_text("control: {group: daemon, socket: %s/a.sock}" % folder)
        arguments += ["-c", folder / "config"]
        said = start_that_fails(start_sotto, arguments=arguments, wrap=by_nobody)
        assert "cannot give the control socket" in said and "control.group" in said
        assert not (folder / "a.sock").exists()


def test_it_is_removed_at_the_end(server, forward):
    sotto = forward(server)
    sotto.stop()
    assert not sotto.control_path.exists()


def test_another_ones_is_not_removed_at_the_end(server, forward):
    """Somebody took its place."""
    sotto = forward(server)
    sotto.control_path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(sotto.control_path))
        sotto.stop()
        assert sotto.control_path.exists()


@pytest.mark.parametrize("how", ["explicit", "auto"])
def test_what_a_dead_one_left_is_replaced(server, forward, how):
    first = forward(server)
    path = first.control_path
    first.kill()
    assert path.exists()
    if how == "explicit":
        second = forward(server, control={"socket": str(path)})
        assert second.control("status", "--control-socket", path).startswith("sotto ")
    else:
        environment = {"RUNTIME_DIRECTORY": str(path.parent)}
        second = forward(server, process={"environment": environment})
        assert second.status()["pid"] == second.pid
    assert mode_of(path) == 0o600
    second.stop()
    assert not path.exists()


def test_a_live_one_is_left_alone(server, forward, start_sotto):
    """An error if just this path was asked for, else a warning; the first never notices."""
    first = forward(server)
    said = start_that_fails(start_sotto, {"control": {"socket": str(first.control_path)}})
    assert f"{first.control_path}: another sotto answers there" in said
    environment = {"RUNTIME_DIRECTORY": str(first.runtime_directory)}
    second = forward(server, process={"environment": environment})
    second.wait_log("warning control: no control socket: .*another sotto answers there")
    assert_own_answer(ask(second.address, "name.test"), "name.test")
    second.stop()
    assert first.status()["pid"] == first.pid


def test_a_live_one_that_is_busy_is_left_alone(server, forward, tmp_path, start_sotto):
    """Its backlog is full: that is no sign of death."""
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as clients:
        busy.bind(str(path))
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                client = clients.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(str(path))
        said = start_that_fails(start_sotto, {"control": {"socket": str(path)}})
    assert "another sotto answers there" in said


@pytest.mark.parametrize("kind", ["file", "symlink", "dangling symlink", "directory", "fifo"])
def test_other_files_are_left_alone(start_sotto, tmp_path, kind):
    path, target = tmp_path / "a.sock", tmp_path / "target"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
        if kind == "symlink":
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(target))
    before = path.lstat()
    said = start_that_fails(start_sotto, {"control": {"socket": str(path)}})
    assert f"control socket {path}: there is a file that is no socket; remove it" in said
    assert path.lstat().st_ino == before.st_ino
    assert target.exists() == (kind == "symlink")


def test_an_explicit_path_that_cannot_be(start_sotto, tmp_path):
    said = start_that_fails(start_sotto, {"control": {"socket": "/nonexistent/a.sock"}})
    assert "control socket /nonexistent/a.sock: No such file or directory" in said
    assert "make the directory" in said
    (tmp_path / "file").touch()
    said = start_that_fails(start_sotto, arguments=["--control-socket", tmp_path / "file" / "a"])
    assert "Not a directory" in said and "control.socket" in said


def test_a_path_that_is_too_long(server, forward, start_sotto):
    """A path of 107 octets is the longest that fits."""
    said = start_that_fails(start_sotto, {"control": {"socket": "/" + "a" * 107}}, code=2)
    assert "at most 107 octets" in said
    said = start_that_fails(start_sotto, code=2, arguments=["--control-socket", "/" + "a" * 107])
    assert "at most 107 octets" in said
    with unprivileged.PublicFolder() as folder:
        longest = f"{folder}/{'a' * (106 - len(str(folder)))}"
        sotto = forward(server, control={"socket": longest})
        assert sotto.control("status", "--control-socket", longest).startswith("sotto ")
        assert stat.S_ISSOCK(os.lstat(longest).st_mode)


# Where it is


@pytest.mark.parametrize("length", [95, 200])
def test_auto_with_a_directory_that_is_too_long(server, forward, tmp_path, length):
    """A warning; the program starts without."""
    environment = {"RUNTIME_DIRECTORY": "/" + "a" * (length - 1)}
    sotto = forward(server, process={"environment": environment})
    sotto.wait_log("warning control: no control socket: the path .*longer than the 107 octets")
    assert "longer than the 107 octets" in sotto.control("status", code=1)


def test_auto_where_it_cannot_be(server, forward):
    sotto = forward(server, process={"environment": {"RUNTIME_DIRECTORY": "/nonexistent"}})
    sotto.wait_log("warning control: no control socket: .*/nonexistent/control.sock: No such file")
    assert ask(sotto.address, "localhost").answer
    said = sotto.control("status", code=1)
    assert "/nonexistent/control.sock: No such file or directory (is sotto running" in said


def test_the_first_of_several_runtime_directories(server, forward):
    with unprivileged.PublicFolder() as folder:
        environment = {"RUNTIME_DIRECTORY": f"{folder}:/nonexistent"}
        sotto = forward(server, process={"environment": environment})
        assert (folder / "control.sock").exists()
        assert sotto.status()["pid"] == sotto.pid


@needs_root
@pytest.mark.parametrize("user", ["nobody", "root"])
def test_auto_as_root_is_in_run(server, forward, user):
    """In a /run of its own, so that the machine's is not touched."""
    script = 'mount -t tmpfs tmpfs /run && umask 077 && exec "$0" "$@"'
    sotto = forward(
        server,
        user=user,
        process={
            "wrap": lambda command: ["unshare", "-m", "sh", "-c", script, *command],
            "environment": {"RUNTIME_DIRECTORY": ""},
        },
    )
    sotto.wait_log("control socket /run/sotto/control.sock")
    inside = ["nsenter", "-t", str(sotto.pid), "-m"]

    def look(*command):
        done = subprocess.run(
            [*inside, *map(str, command)],
            env=sotto.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    assert look("stat", "-c", "%a %U", "/run/sotto", "/run/sotto/control.sock").split() == [
        *["755", user],
        *["600", user],
    ]
    assert json.loads(look(sotto.binary, "status", "--json"))["pid"] == sotto.pid
    # Kept by a process that outlives it, the directory can be looked at afterwards.
    command = [*inside, "sh", "-c", "echo here; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as keeper:
        assert keeper.stdout.readline() == b"here\n"
        sotto.stop()
        inside[2] = str(keeper.pid)
        assert look("ls", "-A", "/run/sotto") == ""
        keeper.stdin.close()


@needs_root
def test_auto_as_somebody_is_in_the_users_runtime_directory(server, forward, by_nobody, run):
    with unprivileged.PublicFolder() as folder:
        folder.chmod(0o777)
        environment = {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": str(folder)}
        config = folder / "config"
        config.write_text("listen: ['127.0.0.1:0']\nlog: {level: debug}\n")
        sotto = forward(
            server,
            process={
                "environment": environment,
                "arguments": ["-c", config],
                "wrap": lambda command: by_nobody(command[:-2]),
            },
        )
        path = folder / "sotto" / "control.sock"
        assert mode_of(path) == 0o600 and path.lstat().st_uid == unprivileged.NOBODY.pw_uid
        code, out, _ = run("status", "--json", wrap=by_nobody, **environment)
        assert code == 0 and json.loads(out)["pid"] == sotto.pid
        sotto.stop()
        assert not path.exists()
        code, _, err = run("status", wrap=by_nobody, **environment)
        assert code == 1
        assert f"{path}: No such file or directory" in err
        assert "nor at /run/sotto/control.sock: " in err


@needs_root
def test_auto_as_somebody_without_any_place(server, forward, by_nobody):
    sotto = forward(
        server,
        process={
            "environment": {"RUNTIME_DIRECTORY": "", "XDG_RUNTIME_DIR": ""},
            "arguments": ["-l", "127.0.0.1:0"],
            "wrap": lambda command: by_nobody(command[:-2]),
        },
    )
    sotto.wait_log("no control socket: neither RUNTIME_DIRECTORY nor XDG_RUNTIME_DIR is set")


def test_none(server, forward):
    sotto = forward(server, control={"socket": "none"})
    assert not sotto.control_path.exists()
    said = sotto.control("status", "-c", sotto.config_path, code=1)
    assert "control.socket is none" in said


def test_the_file_says_where(server, forward, tmp_path):
    """To the server and to its clients, who need nothing else of it."""
    path = tmp_path / "a.sock"
    sotto = forward(server, control={"socket": str(path)})
    assert not sotto.control_path.exists()
    assert sotto.control("flush", "-c", sotto.config_path) == "flushed 0 entries\n"
    sotto.environment["SOTTO_CONFIG"] = str(sotto.config_path)
    assert sotto.status()["pid"] == sotto.pid
    # The option has the last word, and then the file is not looked at.
    sotto.config_path.write_text("nonsense")
    assert json.loads(sotto.control("status", "--control-socket", path, "--json"))
    assert "nonsense" in sotto.control("status", code=2)


def test_the_option_says_where(server, forward, tmp_path):
    path = tmp_path / "a.sock"
    sotto = forward(
        server,
        control={"socket": "/nonexistent/a.sock"},
        process={"arguments": ["--control-socket", path]},
    )
    assert sotto.control("status", "--control-socket", path).startswith("sotto ")


# The command line


def test_help(run):
    for name in ("status", "flush"):
        for option in ("-h", "--help"):
            code, out, err = run(name, option)
            assert (code, err) == (0, "") and out.startswith(f"Usage: sotto {name} ")
            assert "--control-socket PATH" in out and "SOTTO_CONFIG" in out
            assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["status", "now"], "unexpected argument: now"),
        (["status", "--subtree"], "--subtree"),
        (["status", "--json=1"], "--json=1"),
        (["status", "-x"], "-x"),
        (["status", "-c"], "an argument is missing after -c"),
        (["status", "--control-socket"], "an argument is missing after --control-socket"),
        (["status", "--control-socket", "a.sock"], '--control-socket "a.sock": expected auto'),
        (["status", "--control-socket", "/" + "a" * 107], "at most 107 octets"),
        (["status", "-c", "/no/such.yaml"], "/no/such.yaml: cannot read"),
        (["flush", "a", "b"], "unexpected argument: b"),
        (["flush", "a..b"], "not a domain name: a..b"),
        (["flush", "a" * 64], "not a domain name: a"),
        (["flush", ""], "not a domain name: "),
        (["flush", "--subtree"], "a name is missing after --subtree"),
        (["flush", "--json"], "--json"),
        (["-v", "status"], "unexpected argument: status"),
    ],
)
def test_mistakes_are_named_and_end_with_2(run, arguments, said):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("sotto") and said in err
    assert len(err.splitlines()) <= 2


def test_nobody_there(server, forward, tmp_path, run):
    def said(path) -> str:
        code, out, err = run("status", "--control-socket", path)
        assert (code, out) == (1, "") and err.startswith(
            f"sotto status: cannot reach sotto at {path}"
        )
        return err

    assert "No such file or directory (is sotto running" in said(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    assert "Connection refused (nobody listens there" in said(tmp_path / "dead.sock")


@pytest.mark.parametrize(
    "response, said",
    [
        (b"", "cut short"),
        (b"sotto/1 ok\nsotto 0.1", "cut short"),
        (b"sotto/2 ok\nsotto 0.1\n", "another version"),
        (b"220 mail.test ESMTP\n", "another version"),
        (b"sotto/1 error no\n", "sotto says: no"),
        (b"sotto/1 error \n", "sotto says: "),
    ],
)
def test_somebody_else_there(run, tmp_path, response, said):
    """What is no whole answer of a sotto is not shown as one."""
    path = tmp_path / "a.sock"

    def serve() -> None:
        with listener.accept()[0] as client:
            client.recv(100)
            client.sendall(response)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        code, out, err = run("status", "--control-socket", path)
        thread.join()
    assert (code, out) == (1, "") and said in err


@pytest.mark.slow
def test_nobody_who_says_anything(run, tmp_path):
    """After the client's patience: CONTROL_CLIENT_TIMEOUT_S."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "a.sock"))
        silent.listen()
        code, out, err = run("status", "--control-socket", tmp_path / "a.sock", seconds=30)
    assert (code, out) == (1, "") and "a.sock: no answer in time (" in err


def test_an_output_that_is_full(server, forward):
    """It is an error if nobody can have read it."""
    sotto = forward(server)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sotto.binary, "status"],
            env=sotto.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1 and "No space left on device" in done.stderr


# Abuse of the protocol

ERROR = b"sotto/1 error "


@pytest.mark.parametrize(
    "request_, said",
    [
        (b"\n", b"not the protocol or version"),
        (b"GET / HTTP/1.1\r\n", b"control character"),
        (b"sotto/2 status json\n", b"not the protocol or version"),
        (b"sotto/1 stauts\n", b"unknown command: there are 'status table'"),
        (b"sotto/1 flush name a..b\n", b"no domain name"),
        (b"sotto/1 flush name \xff\xfe.\x80\0\n", b"control character"),
        (b"\0" * 100 + b"\n", b"control character"),
        (b"sotto/1 flush\nsotto/1 flush\n", b"more than one line"),
        (b"sotto/1 flush name " + b"a" * REQUEST_MAX, b"the line is too long"),
        (b"a" * REQUEST_MAX, b"the line is too long"),
        (b"a" * (1 << 17), b"the line is too long"),
    ],
    ids=[f"request-{number}" for number in range(11)],
)
def test_bad_requests(server, forward, request_, said):
    """One line says what is wrong; then the connection is closed."""
    sotto = forward(server)
    with connect(sotto.control_path) as sock:
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(request_)
        response = receive_all(sock)
    assert response.startswith(ERROR) and said in response
    assert response.count(b"\n") == 1 and response.endswith(b"\n")
    assert_well(sotto)


def test_a_request_in_pieces(server, forward):
    sotto = forward(server)
    with connect(sotto.control_path) as sock:
        for octet in b"sotto/1 flush\n":
            sock.sendall(bytes([octet]))
        assert receive_all(sock) == b"sotto/1 ok\nflushed 0 entries\n"


def test_half_closed(server, forward):
    """After the request it is well; before, there is none."""
    sotto = forward(server)
    for request, start in [
        (b"sotto/1 flush\n", b"sotto/1 ok\n"),
        (b"sotto/1 flush", ERROR + b"the connection ended before the line did"),
        (b"", ERROR + b"the connection ended"),
    ]:
        with connect(sotto.control_path) as sock:
            sock.sendall(request)
            sock.shutdown(socket.SHUT_WR)
            assert receive_all(sock).startswith(start)


def test_gone_before_the_answer(server, forward):
    sotto = forward(server)
    for request in (b"", b"sotto/1 sta", b"sotto/1 status json\n"):
        for _ in range(20):
            with connect(sotto.control_path) as sock:
                sock.sendall(request)
    assert_well(sotto)


def test_silence(server, forward):
    """Is answered after a while, and meanwhile others are served; also when octets trickle in."""
    sotto = forward(server)
    with connect(sotto.control_path) as silent, connect(sotto.control_path) as slow:
        slow.sendall(b"sotto/1 st")
        assert_well(sotto)
        with within(READ_TIMEOUT + 1):
            for sock in (silent, slow):
                assert receive_all(sock) == ERROR + b"no request came in time\n"
    sotto.assert_not_spinning()


def test_more_clients_than_places(server, forward):
    """The silent ones are sent away in time, and those who wait get their turn."""
    sotto = forward(server)
    with contextlib.ExitStack() as silent:
        for _ in range(CLIENTS_MAX + 1):
            silent.enter_context(connect(sotto.control_path))
        sotto.assert_not_spinning()
        with within(2 * READ_TIMEOUT + 1):
            assert sotto.control("flush") == "flushed 0 entries\n"
    sotto.assert_not_spinning()
    assert_well(sotto)


def test_a_slow_reader(server, forward, dot_server):
    """Gets all of it if it reads in the end, and delays nobody until then."""
    name = ".".join(letter * 60 for letter in "abcd")
    urls = [f"tls://127.0.0.1:1#{name[: -number - 1]}" for number in range(31)]
    sotto = forward(server, *urls, process={"workers": 24})
    with connect(sotto.control_path) as slow:
        slow.sendall(b"sotto/1 status json\n")
        wait_until(lambda: slow.recv(1, socket.MSG_PEEK), 5, "the response begins")
        assert_well(sotto)
        sotto.assert_not_spinning()
        body = receive_all(slow).removeprefix(b"sotto/1 ok\n")
    assert len(body) > 300_000  # a socket takes some 200,000
    assert len(json.loads(body)["workers"]) == 24


def test_no_descriptors_left(server, forward):
    """It waits until there are some, without spinning."""
    sotto = forward(server)
    set_open_files(sotto.pid, sotto.open_files())
    with connect(sotto.control_path) as waiting:
        waiting.sendall(b"sotto/1 flush\n")
        sotto.assert_not_spinning()
        set_open_files(sotto.pid)
        assert receive_all(waiting) == b"sotto/1 ok\nflushed 0 entries\n"


# The end, and reloads


def test_stop_with_clients_connected(server, forward):
    """At once, whatever they do."""
    sotto = forward(server)
    with contextlib.ExitStack() as clients:
        silent = [clients.enter_context(connect(sotto.control_path)) for _ in range(3)]
        silent[1].sendall(b"sotto/1 st")
        assert_well(sotto)
        with within(1.0):
            sotto.stop()
        for sock in silent:
            assert receive_all(sock) == b""
    assert not sotto.control_path.exists()


def test_stop_while_status_is_asked_for(server, forward):
    sotto = forward(server, process={"workers": 4})
    stopping = threading.Event()

    def look() -> None:
        with contextlib.suppress(OSError):
            while True:
                exchange(sotto.control_path, b"sotto/1 status json\n")
                stopping.set()

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert stopping.wait(scaled(5))
    sotto.stop()
    for thread in threads:
        thread.join()


def test_reload_does_not_move_it(server, forward, tmp_path):
    """And says that a restart does; who has it keeps it."""
    sotto = forward(server)
    before = sotto.control_path.lstat()
    sotto.reload()
    assert not sotto.log_lines("control: another socket")
    for change in ({"socket": str(tmp_path / "a.sock")}, {"socket": "none"}, {"group": "daemon"}):
        mark = sotto.mark()
        sotto.reload({**sotto.config, "control": change})
        sotto.wait_log("control: another socket or group takes a restart to apply", after=mark)
        assert sotto.control_path.lstat().st_ino == before.st_ino
        assert sotto.status()["pid"] == sotto.pid
    assert not (tmp_path / "a.sock").exists()


def test_reloads_while_status_is_asked_for(dot_server, forward):
    servers = [dot_server(), dot_server()]
    sotto = forward(*servers, process={"workers": 3})
    configs = [sotto.config, {**sotto.config, "upstream": {"servers": [servers[1].url]}}]
    done = threading.Event()
    seen: list[int] = []

    def look() -> None:
        while not done.is_set():
            seen.append(len(sotto.status()["upstreams"]))

    thread = threading.Thread(target=look)
    thread.start()
    for number in range(10):
        sotto.reload(configs[number % 2])
    done.set()
    thread.join()
    assert seen and set(seen) <= {1, 2}


def test_a_signal_is_no_matter(server, forward):
    """The signals are the main thread's, whoever else there is."""
    sotto = forward(server)
    for _ in range(20):
        sotto.signal(signal.SIGUSR1)
        assert_well(sotto)
