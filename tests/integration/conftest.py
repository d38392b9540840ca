"""Options and fixtures of the integration tests; the harness itself is in lib/."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lib import timing, unprivileged
from lib.certs import Authority, certificate_files
from lib.faulty_dot import FaultyDot
from lib.peers import FastDot
from lib.run_once import binary_of
from lib.slow_link import SlowLink
from lib.sotto_process import Sotto, upstream_config

PROJECT = Path(__file__).resolve().parents[2]


def pytest_addoption(parser):
    group = parser.getgroup("sotto")
    group.addoption("--sotto", default=str(PROJECT / "build" / "sotto"), help="the binary to test")
    group.addoption("--workers", type=int, default=1, help="worker threads of the program")
    group.addoption("--time-scale", type=float, help="patience factor for slow builds or machines")


def pytest_configure(config):
    timing.set_scale(config.getoption("--time-scale"))


def pytest_collection_modifyitems(config, items):
    if timing.variant():
        skip = pytest.mark.skip(reason=f"not under {timing.variant()}")
        for item in items:
            if item.get_closest_marker("release_only"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    """The CA the program trusts in the tests."""
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def other_authority(tmp_path_factory) -> Authority:
    """A CA nobody trusts."""
    return Authority(tmp_path_factory.mktemp("other-ca"), "an unknown CA")


@pytest.fixture(scope="session")
def identity(authority):
    """The right certificate for dot.test and for 127.0.0.1."""
    return authority.issue(names=["dot.test"], ips=["127.0.0.1", "::1"])


@pytest.fixture
def dot_server(identity):
    """Start scriptable DoT servers: `dot_server(on_query=…)`, with all options of FaultyDot."""
    servers = []

    def start(identity=identity, **options) -> FaultyDot:
        servers.append(FaultyDot(identity, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()
    errors = [error for server in servers for error in server.script_errors]
    assert not errors, "a script failed:\n" + "\n".join(errors)


@pytest.fixture
def slow_link():
    """Start relays: `slow_link(server.port, rtt=0.3)`."""
    links = []

    def start(target_port, **options) -> SlowLink:
        links.append(SlowLink(target_port, **options))
        return links[-1]

    yield start
    for link in links:
        link.stop()


@pytest.fixture
def start_sotto(request, tmp_path, authority):
    """Start the program: `start_sotto(config)` or `start_sotto(arguments=[…])`.

    At the end of the test every one still running must be alive and end well.
    """
    processes = []

    def start(config=None, wait_ready=True, **options) -> Sotto:
        folder = tmp_path / f"sotto-{len(processes)}"
        folder.mkdir()
        one_worker = request.node.get_closest_marker("one_worker")
        workers = 1 if one_worker else request.config.getoption("--workers")
        options.setdefault("workers", workers)
        binary = Path(request.config.getoption("--sotto")).resolve()
        processes.append(Sotto(binary, folder, config, **options))
        return processes[-1].start(wait_ready)

    yield start
    for process in processes:
        print(process.log_tail(400))
    problems = []
    for process in processes:
        if process.stopped:
            continue
        try:
            process.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    for process in processes:
        process.clean_up()
    assert not problems, "\n".join(problems)


@pytest.fixture
def forward(start_sotto, authority):
    """Start the program in front of upstreams, trusting the test CA: `forward(server, …)`.

    Takes what `upstream_config` takes; `process` holds options of the process itself.
    """

    def start(*servers, process=None, **options) -> Sotto:
        options["server_options"] = {
            "ca-file": str(authority.ca_path),
            **options.get("server_options", {}),
        }
        return start_sotto(upstream_config(*servers, **options), **(process or {}))

    return start


@pytest.fixture
def encrypted(identity):
    """Keys of the configuration that also listen for clients over TLS."""
    return {
        "listen": ["dns://127.0.0.1:0", "tls://127.0.0.1:0"],
        "tls": {"certificates": [certificate_files(identity)]},
    }


@pytest.fixture
def encrypted_http(identity):
    """Keys of the configuration that also listen for clients over HTTPS, and over HTTP."""
    return {
        "listen": ["dns://127.0.0.1:0", "https://127.0.0.1:0", "http://127.0.0.1:0"],
        "tls": {"certificates": [certificate_files(identity)]},
    }


@pytest.fixture(scope="session")
def fast_dot(tmp_path_factory, identity):
    """A quick DoT server, compiled here: needs a C compiler and GnuTLS."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler, "a C compiler is needed"
    binary = tmp_path_factory.mktemp("fast-dot") / "fast_dot"
    source = Path(__file__).with_name("fast_dot.c")
    command = [compiler, "-O2", "-Wall", "-Wextra", "-o", binary, source, "-lgnutls", "-lpthread"]
    subprocess.run(command, check=True)
    server = FastDot(binary, identity)
    yield server
    server.stop()


@pytest.fixture
def server(dot_server):
    """The plainest case: an upstream that answers."""
    return dot_server()


@pytest.fixture
def sotto(forward, server):
    """And the program in front of it."""
    return forward(server)


@pytest.fixture
def place(sotto):
    """Where it listens over TLS, in files whose program does (see `encrypted`)."""
    return sotto.listener("tls")


@pytest.fixture
def by_nobody(request):
    """A `wrap`: run by the user nobody, from where that may read it."""
    with unprivileged.PublicFolder() as folder:
        copy = shutil.copy(binary_of(request), folder / "sotto")

        def wrap(command):
            binary = str(binary_of(request))
            return unprivileged.as_nobody(
                copy if part == binary else part for part in map(str, command)
            )

        yield wrap
