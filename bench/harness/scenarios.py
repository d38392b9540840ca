"""What is asked of each: the rows of the report."""

from dataclasses import dataclass, replace

from .generator import Load
from .subjects import HIT, MISS, TCP_HIT

HOT_NAMES = 10_000
RATES = {"2k": 2000, "20k": 20_000}
FULL = "full"
MIXES = (80, 90, 97)

MIX = "mix"


@dataclass(frozen=True)
class Scenario:
    key: str
    title: str
    metric: str
    load: Load


def _pressures(key: str, title: str, metric: str, load: Load):
    for name, rate in RATES.items():
        # A generator that sleeps is late by what its CPU takes to wake up, and has the program pay
        # for the waking. With misses it must leave its CPU to the upstream.
        paced = replace(load, rate=rate, spin=metric != MISS)
        yield Scenario(f"{key}-{name}", f"{title}, {rate:,} q/s", metric, paced)
    yield Scenario(f"{key}-{FULL}", f"{title}, 100 in flight", metric, load)


def scenarios(seconds: float, mixes=MIXES) -> list[Scenario]:
    base = Load(seconds=seconds, hot=HOT_NAMES, zipf=1, window=100)
    tcp = replace(base, tcp=True, connections=10)
    found = [
        *_pressures("hit", "hit, UDP", HIT, base),
        *_pressures("tcp", "hit, TCP, 10 connections", TCP_HIT, tcp),
    ]
    for hits in mixes:
        found.append(
            Scenario(
                f"mix{hits}",
                f"{hits} % hits, UDP, 20,000 q/s",
                MIX,
                replace(base, rate=RATES["20k"], miss=100 - hits),
            )
        )
    found += _pressures("miss", "miss, UDP", MISS, replace(base, miss=100))
    return found


def cannot(kind, metric: str) -> str | None:
    """Why this one has no such figure."""
    if metric == MIX:
        return kind.cannot.get(HIT) or kind.cannot.get(MISS)
    return kind.cannot.get(metric)
