"""Options and fixtures of the integration tests; the harness itself is in lib/."""

import shutil
import subprocess
from pathlib import Path

import pytest

from lib import postgresql, timing, unprivileged
from lib.certs import Authority, certificate_files
from lib.faulty_dot import FaultyDot
from lib.peers import FastDot
from lib.querylog_feed import Feed, feed_binary
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


@pytest.fixture(scope="session")
def postgresql_template():
    made = postgresql.Template()
    yield made
    made.remove()


@pytest.fixture
def start_postgresql(postgresql_template):
    """Start servers: `start_postgresql(shared_buffers="64MB")`, with all settings of its own."""
    servers = []

    def start(**settings) -> postgresql.Postgresql:
        servers.append(postgresql.Postgresql(postgresql_template, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.clean_up()


def tool_of(request, name) -> Path:
    """A program of tests/tools/."""
    tool = binary_of(request).parent / "tests/tools" / name
    if not tool.exists():
        pytest.skip("needs a build with -Dtests=true")
    return tool


@pytest.fixture
def open_postgresql_sink(request, tmp_path):
    """Start what drives a sink by hand: `open_postgresql_sink(server.url(), password=PASSWORD)`."""
    tool = tool_of(request, "postgresql_sink")
    sinks = []

    def start(url, **options) -> postgresql.Sink:
        folder = tmp_path / f"sink-{len(sinks)}"
        folder.mkdir()
        sinks.append(postgresql.Sink(tool, folder, url, **options))
        return sinks[-1]

    yield start
    for sink in sinks:
        if not sink.process.stdin.closed:
            sink.close()
        print(sink.last_log)


@pytest.fixture
def open_postgresql_store(request):
    """Start what asks the store: `open_postgresql_store(url, password_file)`."""
    tool = tool_of(request, "postgresql_store")
    stores = []

    def start(*arguments) -> postgresql.Store:
        stores.append(postgresql.Store(tool, *arguments))
        return stores[-1]

    yield start
    for store in stores:
        store.close()


@pytest.fixture
def feed(request, tmp_path):
    """Open sinks of the query log, without the rest of the program: `feed(url)`."""
    feeds = []

    def start(url, **options) -> Feed:
        feeds.append(Feed(feed_binary(request), url, tmp_path, **options))
        return feeds[-1]

    yield start
    for one in feeds:
        one.kill()
