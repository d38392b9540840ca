"""bench/gate: what a query costs, compared with the stored baseline."""

import json
from dataclasses import replace

from . import counting
from .processes import Failed
from .setup import BUILD, ROOT, bench, say
from .subjects import HIT, MISS, SOTTO, Subject, TCP_HIT

__all__ = ["BUILD", "main"]

BASELINE = ROOT / "bench" / "baseline.json"

# Enough that what happens once (a timer, a wake-up) does not show.
CALLGRIND_QUERIES = {HIT: 20_000, TCP_HIT: 20_000, MISS: 10_000}
STRACE_QUERIES = 20_000
LONE_QUERIES = 2000  # one at a time: nothing is shared with others
STRACE_RUNS = 3  # the least counts: on a busy machine some batches are not full

# For values that have no baseline yet, by the start of their names; the first that fits counts.
# On a busy machine some batches are not full, and connections need their buffers at other times.
# One call more for each query shows in the lone ones, which hardly vary.
TOLERANCES = {
    "instructions": "5%",
    "allocations": 0.05,
    "system calls for a lone": 0.1,
    "system calls": 0.03,
}


def measure(place, generator, upstream, keep) -> dict[str, float]:
    values = {}
    counted = counting.profiles(SOTTO, place, upstream, generator, CALLGRIND_QUERIES, keep)
    for metric, counts in counted.items():
        for what, value in counts.items():
            values[f"{what} for a {metric}"] = value
    if not counting.may_trace():
        say("  strace may not trace here: system calls are not counted")
        return values
    subject = Subject(SOTTO, place, [upstream])
    try:
        generator.warm(subject.port, hot=counting.WARM_NAMES)
        for metric in CALLGRIND_QUERIES:
            load = counting.load_of(metric, SOTTO, STRACE_QUERIES)
            counting.run_all(generator, subject, load)
            runs = [
                counting.system_calls(subject, place, generator, load) for _ in range(STRACE_RUNS)
            ]
            calls = min(runs, key=lambda run: sum(run.values()))
            values[f"system calls for a {metric}"] = sum(calls.values())
            lone = replace(load, window=1, queries=LONE_QUERIES)
            calls_alone = counting.system_calls(subject, place, generator, lone)
            values[f"system calls for a lone {metric}"] = sum(calls_alone.values())
            names = sorted(calls, key=calls.get, reverse=True)[:6]
            say(f"  {metric}: " + ", ".join(f"{name} {calls[name]:.4f}" for name in names))
    finally:
        subject.stop()
    return values


def limit_of(entry: dict) -> float:
    tolerance = entry["tolerance"]
    if isinstance(tolerance, str):
        return entry["value"] * (1 + float(tolerance.rstrip("%")) / 100)
    return entry["value"] + tolerance


def compare(values: dict, baseline: dict) -> bool:
    """Prints the table; returns whether all is within the limits."""
    good = True
    say(f"\n{'for each query':34} {'baseline':>10} {'at most':>10} {'now':>10} {'change':>8}")
    for name, value in values.items():
        entry = baseline.get(name)
        if not entry:
            say(f"{name:34} {'-':>10} {'-':>10} {value:10.3f} {'':>8}  NOT IN THE BASELINE")
            good = False
            continue
        known, limit = entry["value"], limit_of(entry)
        change = f"{100 * (value / known - 1):+.1f} %" if known else ""
        verdict = "ok" if value <= limit else "TOO MUCH"
        good &= value <= limit
        say(f"{name:34} {known:10.3f} {limit:10.3f} {value:10.3f} {change:>8}  {verdict}")
    for name in sorted(baseline.keys() - values.keys()):
        say(f"{name:34} NOT MEASURED")
        good &= name.startswith("system calls") and not counting.may_trace()
    return good


def update(values: dict, baseline: dict) -> None:
    for name, value in values.items():
        tolerance = next(t for start, t in TOLERANCES.items() if name.startswith(start))
        baseline[name] = {"tolerance": tolerance} | baseline.get(name, {})
        baseline[name]["value"] = round(value, 3)
    BASELINE.write_text(json.dumps(baseline, indent=2) + "\n")
    say(f"\nwritten to {BASELINE.relative_to(ROOT)}")


def main(options) -> int:
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
    try:
        with bench(options.build) as (place, generator, start_upstream):
            say("Counting what a hit and a miss cost (callgrind, strace)")
            values = measure(place, generator, start_upstream(), options.keep)
    except Failed as failure:
        say(f"gate: {failure}")
        return 1
    good = compare(values, baseline)
    if options.update:
        update(values, baseline)
        return 0
    if not good:
        say(
            "\nA query costs more than bench/baseline.json allows. `bench/gate --keep DIR` leaves\n"
            "profiles for `callgrind_annotate --threshold=100`. If it is worth its price, say why\n"
            "in the commit and run `bench/gate --update`."
        )
    return 0 if good else 1
