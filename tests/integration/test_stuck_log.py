"""Nobody reads the log: nobody waits for it either."""

import os
import signal
import subprocess

import pytest
import yaml

from lib import dns_wire as wire
from lib.clients import Address, Bystanders, UdpClient, ask, ask_many, assert_own_answer
from lib.ports import own_address
from lib.sotto_process import upstream_config
from lib.timing import scaled, wait_until, within


@pytest.fixture
def run_with_stderr(request, tmp_path, authority):
    """Start the program with a stderr of the test's making; it must end well."""
    started = []

    def start(server, stderr, level="debug", wrap=lambda command: command, **options):
        address = Address(*own_address())
        config = upstream_config(
            {"url": server.url, "ca-file": str(authority.ca_path)},
            listen=[f"dns://{address.host}:{address.port}"],
            log={"level": level},
            control={"socket": "none"},
            **options,
        )
        path = tmp_path / "sotto.yaml"
        path.write_text(yaml.safe_dump(config))
        binary = os.path.abspath(request.config.getoption("--sotto"))
        command = wrap([binary, "--workers", "1", "-c", str(path)])
        environment = {**os.environ, "ASAN_OPTIONS": f"exitcode=99:log_path={tmp_path}/asan"}
        process = subprocess.Popen(command, stderr=stderr, env=environment)
        started.append(process)
        wait_until(lambda: answers(address), 10, "it answers")
        return process, address

    yield start
    for process in started:
        assert process.poll() is None, f"died with {process.poll()}"
        process.terminate()
        assert process.wait(scaled(10)) == 0
    assert not list(tmp_path.glob("asan*")), [p.read_text() for p in tmp_path.glob("asan*")]


def answers(address) -> bool:
    with UdpClient(address) as client:
        try:
            return bool(client.exchange(wire.query("localhost"), 0.2))
        except (TimeoutError, ConnectionRefusedError):
            return False


def test_a_pipe_that_nobody_reads(dot_server, run_with_stderr):
    """E7: full; answers go on, at the most talkative level, and it still ends."""
    server = dot_server()
    reading, writing = os.pipe()
    process, address = run_with_stderr(server, writing)
    os.close(writing)
    with Bystanders(address) as bystanders:
        for number in range(3000):
            process.send_signal(signal.SIGUSR1)
            if number % 300 == 0:
                name = f"name-{number}.test"
                assert_own_answer(ask(address, name), name)
        wait_until(lambda: bystanders.asked > 20, 10, "bystanders are served")
    with within(4.0):
        process.terminate()
        assert process.wait(scaled(10)) == 0
    os.close(reading)
    # The fixture ends what still runs.
    process.poll = lambda: None
    process.terminate = lambda: None


def test_a_pipe_whose_reader_has_gone(dot_server, run_with_stderr):
    """E7: no signal kills it."""
    reading, writing = os.pipe()
    process, address = run_with_stderr(dot_server(), writing)
    os.close(writing)
    os.close(reading)
    for _ in range(20):
        process.send_signal(signal.SIGUSR1)
    assert ask_many(address, (f"name-{n}.test" for n in range(200))).right == 200


def test_a_closed_stderr(dot_server, run_with_stderr):
    """E7: descriptor 2 is free then; no socket may take its place and get the log."""
    server = dot_server()
    closing = ["sh", "-c", 'exec "$0" "$@" 0<&- 1>&- 2>&-']
    process, address = run_with_stderr(
        server, subprocess.DEVNULL, wrap=lambda command: [*closing, *command]
    )
    for descriptor in (0, 1, 2):
        link = f"/proc/{process.pid}/fd/{descriptor}"
        target = os.readlink(link) if os.path.lexists(link) else "closed"
        assert target in ("/dev/null", "closed"), f"descriptor {descriptor} is {target}"
    for number in range(20):
        process.send_signal(signal.SIGUSR1)
        assert_own_answer(ask(address, f"name-{number}.test"), f"name-{number}.test")
    assert not server.script_errors


def test_a_full_disk(dot_server, run_with_stderr):
    """E7: the log is lost, nothing else."""
    with open("/dev/full", "wb") as full:
        process, address = run_with_stderr(dot_server(), full)
    for _ in range(20):
        process.send_signal(signal.SIGUSR1)
    assert ask_many(address, (f"name-{n}.test" for n in range(200))).right == 200
