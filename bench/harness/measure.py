"""The measurements. Each takes a `Session` and returns plain data, which goes into latest.json."""

import re
import resource
import statistics
import subprocess
from dataclasses import dataclass, field, replace

from . import counting, subjects
from .generator import Generator, Load
from .machine import Interference
from .processes import Failed, cpus
from .scenarios import HOT_NAMES, RATES, Scenario, cannot
from .setup import say
from .subjects import HIT, MISS, SOTTO, TCP_HIT, Kind, Place, Size, Subject


@dataclass
class Session:
    place: Place
    generator: Generator
    start_upstream: object
    seconds: float  # of one measurement
    rounds: int
    quick: bool
    upstreams: list = field(default_factory=list)
    problems: list = field(default_factory=list)  # (subject, what, why)
    interference: dict = field(default_factory=dict)

    @property
    def upstream(self):
        return self.upstreams_of(1)[0]

    def upstreams_of(self, count: int) -> list:
        while len(self.upstreams) < count:
            self.upstreams.append(self.start_upstream())
        return self.upstreams[:count]

    def problem(self, kind: Kind, what: str, why) -> None:
        say(f"  {kind.key}: {what}: {why}")
        entry = {"subject": kind.key, "what": what, "why": str(why)}
        if entry not in self.problems:
            self.problems.append(entry)


def start_all(session: Session) -> list[Subject]:
    """All that can be started, each known to verify the upstream."""
    running = []
    for kind in subjects.ALL:
        reason = subjects.missing(kind)
        if reason:
            session.problem(kind, "everything", reason)
            continue
        try:
            if not kind.is_floor:
                subjects.verifies(kind, session.place, session.upstream)
            running.append(Subject(kind, session.place, [session.upstream]))
        except Failed as failure:
            session.problem(kind, "everything", failure)
    return running


def _sample(session: Session, subject: Subject, load: Load) -> dict:
    """One measurement of one subject, as plain numbers."""
    load = replace(load, check_address=subject.kind.checks_address)
    before, waited = session.upstream.answered(), subject.program.waited()
    outcome = session.generator.run(subject.port, load, measure=[subject.program, session.upstream])
    raw = outcome.raw
    subject.program.require_alive()
    return {
        "cpu_us": outcome.cpu_us(subject.pid),
        "qps": raw["qps"],
        "lost_share": outcome.lost / raw["sent"],
        "failed": raw["failed"],
        "wrong": raw["wrong"],
        "disconnects": raw["disconnects"],
        "p50": raw["latency_us"]["p50"],
        "p99": raw["latency_us"]["p99"],
        "p99.9": raw["latency_us"]["p99.9"],
        "max": raw["latency_us"]["max"],
        "lag_p99": raw["lag_us"]["p99"],
        "upstream_per_query": (session.upstream.answered() - before) / raw["sent"],
        "upstream_cpu_us": outcome.cpu_us(session.upstream.pid),
        "generator_cpu_us": raw["own_cpu_ns"] / outcome.answered / 1000,
        # Of its CPU, while queries came.
        "subject_busy": raw["cpu_ns"][0] / 1e9 / raw["seconds"],
        "other_busy": (raw["cpu_ns"][1] + raw["own_cpu_ns"]) / 1e9 / raw["seconds"],
        # Others were on its CPU, or its own other threads.
        "waited": (subject.program.waited() - waited) / 1e9 / raw["seconds"],
        "complaint": raw["complaint"],
    }


def _warm(session: Session, subject: Subject) -> None:
    """Over both transports: dnsdist keeps their answers apart."""
    checks = subject.kind.checks_address
    for tcp in (False, True):
        if cannot(subject.kind, TCP_HIT if tcp else HIT):
            continue
        session.generator.warm(subject.port, HOT_NAMES, check_address=checks, tcp=tcp)


def matrix(session: Session, running: list[Subject], rows: list[Scenario]) -> dict:
    """All scenarios of all subjects, alternated A B C A B C over rounds."""
    found = {row.key: {} for row in rows}
    interference = Interference()
    for number in range(session.rounds):
        say(f"round {number + 1} of {session.rounds}")
        for subject in running:
            try:
                _warm(session, subject)
            except Failed as failure:
                session.problem(subject.kind, "warming its cache", failure)
        for row in rows:
            for subject in running:
                if cannot(subject.kind, row.metric):
                    continue
                try:
                    sample = _sample(session, subject, row.load)
                except Failed as failure:
                    session.problem(subject.kind, row.title, failure)
                    continue
                found[row.key].setdefault(subject.kind.key, []).append(sample)
    session.interference = interference.so_far(_waits(found))
    return found


def _waits(found: dict) -> list[float]:
    """Of those with one busy thread: nobody else should be on its CPU."""
    alone = ("echo", "relay", "sotto", "kresd", "stubby")
    return [s["waited"] for row in found.values() for key in row if key in alone for s in row[key]]


def summary(samples: list[dict]) -> dict:
    """Medians, with the least and the most."""
    keys = [key for key, value in samples[0].items() if isinstance(value, (int, float))]
    medians = {}
    for key in keys:
        values = [sample[key] for sample in samples]
        medians[key] = {
            "median": statistics.median(values),
            "min": min(values),
            "max": max(values),
        }
    return medians


# --- memory


def memory(session: Session) -> dict:
    """Resident octets: after one query, and with so many answers in the cache."""
    steps = [("100k", 100_000, subjects.STANDARD)]
    if not session.quick:
        steps.append(("1M", 1_000_000, subjects.LARGE))
    found = {}
    for kind in subjects.ALL:
        if subjects.missing(kind):
            continue
        rows = found.setdefault(kind.key, {})
        for name, entries, size in steps:
            try:
                subject = Subject(kind, session.place, [session.upstream], size=size)
            except Failed as failure:
                session.problem(kind, f"memory at {name}", failure)
                continue
            try:
                subject.answers(1)
                rows.setdefault("idle", subject.program.resident())
                if HIT in kind.cannot or kind.is_floor:
                    break
                empty = subject.program.resident()
                session.generator.warm(subject.port, entries, hot_label=f"memory{name.lower()}")
                rows[name] = subject.program.resident()
                rows[f"{name} for each"] = (rows[name] - empty) / entries
            except Failed as failure:
                session.problem(kind, f"memory at {name}", failure)
            finally:
                subject.stop()
        say(
            "  "
            + kind.key
            + ": "
            + ", ".join(f"{n} {v / 2**20:.1f} MiB" for n, v in rows.items() if "each" not in n)
        )
    return found


# --- counts


def system_calls(session: Session, running: list[Subject]) -> dict:
    """With full batches where there are batches: strace makes all of them slow."""
    found = {}
    queries = 5_000 if session.quick else 20_000
    for subject in running:
        for metric in (HIT, TCP_HIT, MISS):
            if cannot(subject.kind, metric):
                continue
            load = counting.load_of(metric, subject.kind, queries)
            try:
                if metric != MISS:
                    _warm(session, subject)
                counting.run_all(session.generator, subject, replace(load, queries=1000))
                calls = counting.system_calls(subject, session.place, session.generator, load)
            except Failed as failure:
                session.problem(subject.kind, f"system calls, {metric}", failure)
                continue
            found.setdefault(subject.kind.key, {})[metric] = {
                "total": sum(calls.values()),
                "most": dict(sorted(calls.items(), key=lambda item: -item[1])[:8]),
            }
    return found


def instructions(session: Session) -> dict:
    """Of sotto and the floors, in user code."""
    found = {}
    for kind in (subjects.ECHO, subjects.RELAY, SOTTO):
        try:
            found[kind.key] = counting.profiles(
                kind,
                session.place,
                session.upstream,
                session.generator,
                {HIT: 20_000, TCP_HIT: 20_000, MISS: 10_000},
            )
        except Failed as failure:
            session.problem(kind, "instructions", failure)
    return found


# --- the well-known tool


def dnsperf(session: Session, running: list[Subject]) -> dict:
    """Hits with 100 in flight, as in the matrix."""
    names = session.place.folder / "dnsperf-names"
    names.write_text("".join(f"h{i:07d}.hot.bench.example A\n" for i in range(HOT_NAMES)))
    seconds = 1 if session.quick else 3
    found = {}
    for subject in running:
        if HIT in subject.kind.cannot:
            continue
        command = ["dnsperf", "-s", "127.0.0.1", "-p", str(subject.port), "-d", str(names)]
        command += ["-c", "1", "-T", "1", "-q", "100", "-l", str(seconds)]
        command = ["taskset", "-c", str(cpus()[1]), *command]
        before = subject.program.cpu_time()
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            spent = subject.program.cpu_time() - before
            completed = int(re.search(r"Queries completed:\s+(\d+)", done.stdout).group(1))
            found[subject.kind.key] = {
                "qps": float(re.search(r"Queries per second:\s+([\d.]+)", done.stdout).group(1)),
                "lost": int(re.search(r"Queries lost:\s+(\d+)", done.stdout).group(1)),
                "cpu_us": spent / completed / 1000,
            }
        except (OSError, AttributeError, ZeroDivisionError) as failure:
            session.problem(subject.kind, "dnsperf", failure)
    return found


# --- how cost grows


def _growth_point(session: Session, subject: Subject, load: Load, x) -> dict:
    samples = [_sample(session, subject, load) for _ in range(1 if session.quick else 3)]
    medians = summary(samples)
    return {
        "x": x,
        "cpu_us": medians["cpu_us"]["median"],
        "cpu_us_min": medians["cpu_us"]["min"],
        "cpu_us_max": medians["cpu_us"]["max"],
        "qps": medians["qps"]["median"],
        "lost_share": medians["lost_share"]["median"],
        "wrong": sum(sample["wrong"] for sample in samples),
        "p99": medians["p99"]["median"],
        "resident": subject.program.resident(),
    }


def growth_workers(session: Session) -> dict:
    """1 and 2 workers, on as many CPUs; the second shares its CPU with the generator."""
    found = {"hit": [], "miss": []}
    base = Load(seconds=session.seconds, hot=HOT_NAMES, zipf=1, connections=32, rate=RATES["20k"])
    for workers in (1, 2):
        affinity = {session.place.subject_cpu} if workers == 1 else set(cpus())
        subject = Subject(
            SOTTO, session.place, [session.upstream], workers=workers, affinity=affinity
        )
        try:
            session.generator.warm(subject.port, HOT_NAMES)
            found["hit"].append(_growth_point(session, subject, base, workers))
            found["miss"].append(_growth_point(session, subject, replace(base, miss=100), workers))
        finally:
            subject.stop()
    return found


def growth_idle(session: Session) -> dict:
    """TCP clients that are connected and say nothing, while others ask over UDP."""
    found = []
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100
    subject = Subject(SOTTO, session.place, [session.upstream])
    try:
        session.generator.warm(subject.port, HOT_NAMES)
        for clients in (10, 1000) if session.quick else (10, 100, 1000, 10_000):
            if clients > limit:
                session.problem(
                    SOTTO, f"{clients} idle clients", f"at most {limit} open files are allowed here"
                )
                continue
            load = Load(
                seconds=session.seconds,
                hot=HOT_NAMES,
                zipf=1,
                rate=RATES["20k"],
                idle=clients,
                spin=True,
            )
            found.append(_growth_point(session, subject, load, clients))
    finally:
        subject.stop()
    return {"hit": found}


def growth_names(session: Session) -> dict:
    """Cached names, all equally popular: the worst case for the processor's caches."""
    counts = [10_000, 100_000] if session.quick else [10_000, 100_000, 1_000_000, 5_000_000]
    found = []
    size = Size(entries=counts[-1], mib=max(64, counts[-1] * 200 // 2**20))
    subject = Subject(SOTTO, session.place, [session.upstream], size=size)
    try:
        for count in counts:
            session.generator.warm(subject.port, count, hot_label="grow", window=200)
            load = Load(seconds=session.seconds, hot=count, hot_label="grow")
            found.append(_growth_point(session, subject, load, count))
    finally:
        subject.stop()
    return {"hit": found}


def growth_upstreams(session: Session) -> dict:
    """Misses spread over so many upstreams, by the strategy `balance`."""
    found = []
    for count in (1, 4) if session.quick else (1, 4, 16):
        subject = Subject(SOTTO, session.place, session.upstreams_of(count))
        try:
            load = Load(seconds=session.seconds, hot=HOT_NAMES, miss=100)
            session.generator.run(subject.port, replace(load, seconds=0, queries=2000))
            found.append(_growth_point(session, subject, load, count))
        finally:
            subject.stop()
    return {"miss": found}


GROWTH = {
    "workers": ("workers", growth_workers),
    "idle": ("idle TCP clients", growth_idle),
    "names": ("cached names", growth_names),
    "upstreams": ("upstreams", growth_upstreams),
}


def growth(session: Session) -> dict:
    found = {}
    for key, (title, measure) in GROWTH.items():
        try:
            found[key] = measure(session)
        except Failed as failure:
            session.problem(SOTTO, f"growth with {title}", failure)
    return found


def cache_table(session: Session) -> str:
    """What bench_cache prints: the table itself, without a network."""
    command = [session.place.binaries / "bench_cache"] + (["100000"] if session.quick else [])
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
