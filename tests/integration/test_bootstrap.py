"""Upstreams given by name are resolved through the bootstrap, never through ourselves."""

import pytest

from lib.clients import Bystanders, ask, ask_many, assert_failed, assert_own_answer
from lib.faulty_dot import accept_and_freeze, answering_from, hold
from lib.sotto_process import HEARD_BY
from lib.timing import within

NAME = "dot.test"


@pytest.fixture
def bootstrap(dot_server):
    """A DoT server for the names of upstreams, and its table."""
    table = {NAME: ["127.0.0.1"]}
    server = dot_server(on_query=answering_from(table))
    server.table = table
    return server


@pytest.fixture
def forward_by_name(forward, authority):
    def start(bootstrap, *servers, **options):
        return forward(
            *(f"tls://{NAME}:{server.port}" for server in servers),
            bootstrap=[{"url": bootstrap.url, "ca-file": str(authority.ca_path)}],
            **options,
        )

    return start


def test_the_name_is_resolved_and_verified(bootstrap, dot_server, forward_by_name):
    server = dot_server()
    sotto = forward_by_name(bootstrap, server)
    assert_own_answer(ask(sotto.address, "first.test"), "first.test")
    assert {query.name for query in bootstrap.queries} == {NAME + "."}
    assert not server.queries_for(NAME + "."), "the upstream was asked for its own name"
    assert server.connections[0].sni == NAME
    assert sotto.count("bootstrap lookups") >= 1


def test_it_is_not_resolved_for_every_query(bootstrap, dot_server, forward_by_name):
    sotto = forward_by_name(bootstrap, dot_server())
    for number in range(20):
        name = f"many-{number}.test"
        assert_own_answer(ask(sotto.address, name), name)
    assert len(bootstrap.queries) <= 2 * sotto.workers


def test_a_resolved_server_must_still_prove_its_name(
    bootstrap, dot_server, forward_by_name, authority
):
    """A bootstrap that lies gains nothing."""
    server = dot_server(authority.issue(names=["other.test"]))
    sotto = forward_by_name(bootstrap, server)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "secret.test"), reason="verify")
    assert not server.queries


def test_the_address_changes(bootstrap, dot_server, forward_by_name):
    """T10: when all known addresses fail, the name is resolved again."""
    server = dot_server()
    sotto = forward_by_name(bootstrap, server)
    assert_own_answer(ask(sotto.address, "before.test"), "before.test")
    port = server.port
    server.go_down()
    bootstrap.table[NAME] = ["127.0.0.2"]
    moved = dot_server(address="127.0.0.2", port=port)
    with within(2.0):
        number = 0
        while ask(sotto.address, f"after-{number}.test").rcode() != 0:
            number += 1
            server.stopping.wait(0.05)
    assert moved.queries_starting("after")


def test_the_second_address_works_when_the_first_does_not(bootstrap, dot_server, forward_by_name):
    """T10: IPv6 and IPv4 are both tried."""
    bootstrap.table[NAME] = ["::1", "127.0.0.9", "127.0.0.1"]
    sotto = forward_by_name(bootstrap, dot_server())
    with within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "first.test"), "first.test")


def test_addresses_are_raced_through_the_handshake(bootstrap, dot_server, forward_by_name):
    """T4: one that accepts and then stalls is overtaken, and left."""
    server = dot_server()
    stalling = dot_server(address="127.0.0.2", port=server.port, on_connection=accept_and_freeze)
    bootstrap.table[NAME] = ["127.0.0.2", "127.0.0.1"]
    sotto = forward_by_name(bootstrap, server)
    with within(1.0):  # less than a set-up may take by itself
        assert_own_answer(ask(sotto.address, "first.test"), "first.test")
    assert stalling.wait_closed(stalling.connections[0])
    # The winner is where the next one begins.
    server.connections[0].close()
    assert_own_answer(ask(sotto.address, "second.test"), "second.test")
    assert len(stalling.connections) <= sotto.workers
    assert sotto.count("upstream down") == 0


def test_an_unknown_name_is_a_failure_with_a_reason(bootstrap, dot_server, forward_by_name):
    del bootstrap.table[NAME]
    sotto = forward_by_name(bootstrap, dot_server())
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "nowhere.test"), reason="bootstrap")


def test_a_name_that_appears_later(bootstrap, dot_server, forward_by_name):
    """T10: asked again, but not in a storm."""
    del bootstrap.table[NAME]
    server = dot_server()
    sotto = forward_by_name(bootstrap, server)
    tally = ask_many(sotto.address, (f"nowhere-{number}.test" for number in range(200)))
    assert tally.failed == 200
    assert len(bootstrap.queries) <= 30 * sotto.workers
    bootstrap.table[NAME] = ["127.0.0.1"]
    with within(2.0):
        number = 0
        while ask(sotto.address, f"later-{number}.test").rcode() != 0:
            number += 1
            server.stopping.wait(0.05)


def test_a_bootstrap_that_is_down_does_not_hold_others_up(
    bootstrap, dot_server, forward, authority
):
    bootstrap.on_query = hold
    named = dot_server()
    sotto = forward(
        f"tls://{NAME}:{named.port}",
        dot_server(),
        bootstrap=[{"url": bootstrap.url, "ca-file": str(authority.ca_path)}],
    )
    with within(HEARD_BY):
        assert_own_answer(ask(sotto.address, "first.test"), "first.test")
    bootstrap.wait_queries(1)
    with Bystanders(sotto.address):
        for number in range(10):
            name = f"later-{number}.test"
            assert_own_answer(ask(sotto.address, name), name)


def test_the_bootstrap_is_verified_too(dot_server, forward_by_name, authority):
    bad = dot_server(
        authority.issue(names=["other.test"]), on_query=answering_from({NAME: ["127.0.0.1"]})
    )
    server = dot_server()
    sotto = forward_by_name(bad, server)
    with within(HEARD_BY):
        assert_failed(ask(sotto.address, "secret.test"))
    assert not bad.queries and not server.connections
