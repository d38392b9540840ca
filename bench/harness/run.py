"""bench/run: the parts in their order, and where their results go."""

import json
import time

from . import encrypted, machine, measure, report, scenarios, subjects
from .measure import Session
from .processes import Failed, cpus
from .setup import BUILD, ROOT, bench, say

__all__ = ["BUILD", "PARTS", "RESULTS", "SUBJECTS", "main"]

RESULTS = ROOT / "bench" / "results"
SUBJECTS = [kind.key for kind in subjects.ALL]
PARTS = ["matrix", "dnsperf", "counts", "encrypted", "growth", "memory", "table"]

# Seconds of one measurement, and rounds of the whole comparison.
FULL = (1.5, 5)
QUICK = (0.3, 2)

# From this share of waiting for a CPU on, what was timed is not to be relied on.
TOO_BUSY = 0.03


def _compare(session: Session, parts, rows, data: dict) -> None:
    """What needs all subjects at the same time."""
    running = measure.start_all(session)
    try:
        if "matrix" in parts:
            samples = measure.matrix(session, running, rows)
            data["samples"] = samples
            data["matrix"] = {
                row: {key: measure.summary(found) for key, found in of_row.items()}
                for row, of_row in samples.items()
            }
            data["interference"] = session.interference
        if "dnsperf" in parts:
            say("dnsperf")
            data["dnsperf"] = measure.dnsperf(session, running)
        if "counts" in parts:
            say("system calls")
            data["system_calls"] = measure.system_calls(session, running)
    finally:
        for subject in running:
            subject.stop()


def _measure(options, parts) -> dict:
    seconds, rounds = QUICK if options.quick else FULL
    session_options = {
        "seconds": options.seconds or seconds,
        "rounds": options.rounds or rounds,
        "quick": options.quick,
    }
    mixes = (90,) if options.quick else scenarios.MIXES
    rows = scenarios.scenarios(session_options["seconds"], mixes)
    start = time.monotonic()
    data = {
        "date": machine.now(),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "cpus": {"subject": cpus()[0], "generator and upstream": cpus()[1]},
        "options": session_options,
        "scenarios": [{"key": r.key, "title": r.title, "metric": r.metric} for r in rows],
        "subjects": [
            {
                "key": kind.key,
                "title": kind.title,
                "note": kind.note,
                "cannot": kind.cannot,
                "version": subjects.version_of(kind),
            }
            for kind in subjects.ALL
        ],
    }
    with bench(options.build) as (place, generator, start_upstream):
        session = Session(place, generator, start_upstream, **session_options)
        if {"matrix", "dnsperf", "counts"} & set(parts):
            _compare(session, parts, rows, data)
        if "counts" in parts:
            say("instructions and allocations")
            data["instructions"] = measure.instructions(session)
        if "encrypted" in parts:
            say("clients over TLS and HTTPS")
            data["encrypted"] = encrypted.measure(session)
        if "growth" in parts:
            say("growth")
            data["growth"] = measure.growth(session)
        if "memory" in parts:
            say("memory")
            data["memory"] = measure.memory(session)
        if "table" in parts:
            say("the cache's table")
            data["cache_table"] = measure.cache_table(session)
        data["problems"] = session.problems
    data["minutes"] = round((time.monotonic() - start) / 60, 1)
    return data


def _wrong_answers(data: dict) -> list[str]:
    return [
        f"{key}, {row}: {sum(sample['wrong'] for sample in samples)} wrong answers"
        for row, of_row in data.get("samples", {}).items()
        for key, samples in of_row.items()
        if any(sample["wrong"] for sample in samples)
    ]


def main(options) -> int:
    latest = options.out / "latest.json"
    if options.readme or options.report:
        data = json.loads(latest.read_text())
        if options.report:
            report.write(data, options.out)
        if options.readme:
            report.put_into_readme(data, ROOT / "README.md")
        return 0
    parts = options.parts.split(",") if options.parts else PARTS
    if options.only:
        chosen = options.only.split(",")
        subjects.ALL[:] = [kind for kind in subjects.ALL if kind.key in chosen]
    try:
        data = _measure(options, parts)
    except Failed as failure:
        say(f"bench: {failure}")
        return 1
    options.out.mkdir(parents=True, exist_ok=True)
    latest.write_text(json.dumps(data, indent=1) + "\n")
    report.write(data, options.out)
    say(report.main_table(data))
    say(f"\n{data['minutes']} minutes; all of it is in {options.out}/latest.md")
    if data.get("interference", {}).get("waited_median", 0) > TOO_BUSY:
        say("bench: other programs used the CPUs: times and latencies are not to be relied on")
    wrong = _wrong_answers(data)
    for line in wrong:
        say(f"bench: {line}")
    return 1 if any(line.startswith("sotto") for line in wrong) else 0
