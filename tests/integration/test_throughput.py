"""Full speed through one TLS upstream: every name its own answer, and none lost."""

import pytest

from lib.clients import ask_many

NAMES = 100_000


@pytest.mark.release_only
def test_a_hundred_thousand_distinct_names(fast_dot, forward):
    sotto = forward(fast_dot, timeout=5, log={"level": "info"})
    tally = ask_many(sotto.address, (f"n{number}.load.test" for number in range(NAMES)), window=200)
    print(f"{NAMES / tally.seconds:.0f} queries/s, slowest {tally.worst_latency * 1000:.0f} ms")
    assert (tally.right, tally.failed, tally.wrong, tally.lost) == (NAMES, 0, 0, 0)
    assert sotto.count("upstream queries") == NAMES, "nothing was asked twice"


def test_five_thousand_distinct_names(fast_dot, forward):
    """The same in small, for every build."""
    sotto = forward(fast_dot, timeout=5, log={"level": "info"})
    tally = ask_many(sotto.address, (f"n{number}.load.test" for number in range(5000)), window=100)
    assert (tally.right, tally.failed, tally.wrong, tally.lost) == (5000, 0, 0, 0)
