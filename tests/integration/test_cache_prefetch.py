"""Answers that are asked for often are refreshed before their end, so that nobody waits."""

import time

from lib import dns_wire as wire
from lib.caching import answer_numbered, errors, let_pass, number_of, numbered, ttls
from lib.clients import ask
from lib.faulty_dot import answering, by_name, hold
from lib.timing import variant, wait_until, within

# Its last tenth is long enough to be met on a busy machine.
TTL = 10 if variant() else 5
AT_ONCE = 0.4


def kept(sotto, *names) -> float:
    """Have them kept. Returns when that was."""
    for name in ("warm-up", *names):
        ask(sotto.address, f"{name}.test")
    return time.monotonic()


def let_last_tenth_come(kept_at: float) -> None:
    time.sleep(max(0.0, kept_at + 0.915 * TTL - time.monotonic()))


def asked(server, name: str) -> int:
    return len(server.queries_for(f"{name}.test."))


def test_what_is_asked_often_is_refreshed_once(dot_server, forward):
    """In the last tenth of its TTL, and not before; what is asked seldom is not."""
    server = dot_server(on_query=numbered(ttl=TTL))
    sotto = forward(server, cache={"stale-max": "0s"})
    kept_at = kept(sotto, "often", "once", "failing", "never")
    for name in ["often", "failing"] * 5:
        assert number_of(ask(sotto.address, f"{name}.test")) == 1
    let_pass(TTL / 2)
    assert number_of(ask(sotto.address, "often.test")) == 1
    assert sotto.count("prefetches") == 0

    server.on_query = by_name(often=hold, failing=answering(rcode=wire.SERVFAIL))
    let_last_tenth_come(kept_at)
    for _ in range(5):
        with within(AT_ONCE):
            reply = ask(sotto.address, "often.test")
        assert (number_of(reply), *ttls(reply)) == (1, 1)
    # Its first time since it was kept.
    assert number_of(ask(sotto.address, "once.test")) == 1
    # No failure makes the answer that there is worse.
    assert number_of(ask(sotto.address, "failing.test")) == 1
    server.wait_for(lambda: asked(server, "failing") == 2, "the refresh that fails")
    assert number_of(ask(sotto.address, "failing.test")) == 1
    assert sotto.count("prefetches") == 2

    server.wait_for(lambda: asked(server, "often") == 2, "the refresh")
    answer_numbered(server.queries_for("often.test.")[1], ttl=300)
    wait_until(lambda: number_of(ask(sotto.address, "often.test")) == 2, 2, "it is fresh")
    assert ttls(ask(sotto.address, "often.test"))[0] > 290
    assert [asked(server, name) for name in ("often", "failing", "once", "never")] == [2, 2, 1, 1]


def test_nothing_is_refreshed_if_so_configured(dot_server, forward):
    """prefetch: false"""
    server = dot_server(on_query=numbered(ttl=TTL))
    sotto = forward(server, cache={"prefetch": False})
    kept_at = kept(sotto, "often")
    for _ in range(5):
        ask(sotto.address, "often.test")
    let_last_tenth_come(kept_at)
    for _ in range(5):
        reply = ask(sotto.address, "often.test")
        assert not errors(reply)
    assert sotto.count("prefetches") == 0
    # Its end may have come meanwhile.
    assert number_of(reply) == asked(server, "often")
