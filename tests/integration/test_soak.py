"""A long day in short: names that are never asked twice, and nothing grows."""

import pytest

from lib.clients import ask_many
from lib.timing import variant, wait_until

ROOM_KIB = {"": 2048, "asan": 40960, "tsan": 40960}


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_unique_names_leave_nothing_behind(dot_server, forward, fast_dot, count):
    """E9: with a pool that is full now and then, so that queries are turned away and given up."""
    sotto = forward(fast_dot, log={"level": "info"}, **{"max-in-flight": 150})
    names = (f"soak-{number}.test" for number in range(10 * count))

    def take(number: int):
        return (next(names) for _ in range(number))

    # Each worker and the allocator have what they want after this.
    ask_many(sotto.address, take(count // 2), window=200)
    files, resident = sotto.open_files(), sotto.resident_kib()
    for _ in range(4):
        tally = ask_many(sotto.address, take(count // 4), window=200)
        assert (tally.wrong, tally.lost) == (0, 0)
        assert tally.right + tally.failed == count // 4
        assert tally.right >= count // 40
    assert sotto.resident_kib() - resident < ROOM_KIB[variant()]
    wait_until(lambda: sotto.open_files() <= files + 2, 5, "descriptors are flat")


def test_upstreams_that_come_and_go_leave_nothing_behind(dot_server, forward):
    """E9: connections, tickets and failed queries."""
    server = dot_server()
    sotto = forward(server, timeout=0.3, log={"level": "info"})

    def day(number: int) -> None:
        ask_many(sotto.address, (f"up-{number}-{n}.test" for n in range(50)))
        server.go_down()
        ask_many(sotto.address, (f"down-{number}-{n}.test" for n in range(20)))
        server.come_back()

    for number in range(4):
        day(number)
    files, resident = sotto.open_files(), sotto.resident_kib()
    for number in range(4, 14):
        day(number)
    assert sotto.resident_kib() - resident < ROOM_KIB[variant()]
    wait_until(lambda: sotto.open_files() <= files + 2, 5, "descriptors are flat")
