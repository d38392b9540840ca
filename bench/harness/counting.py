"""What can be counted instead of timed: instructions, heap allocations and system calls.

Counts are those of a running program between two moments, so that its start does not matter; they
hardly depend on what else the machine does, since a program that is watched is slow enough to
find full batches waiting.
"""

import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .generator import Generator, Load
from .processes import Failed, Program, wait_until
from .subjects import Kind, MISS, Place, Subject, TCP_HIT

ALLOCATORS = {"malloc", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc"}
WARM_NAMES = 1000
TIMEOUT = 10  # seconds for a query: valgrind is slow


def load_of(metric: str, kind: Kind, queries: int, window: int = 100) -> Load:
    return Load(
        queries=queries,
        hot=WARM_NAMES,
        miss=100 if metric == MISS else 0,
        tcp=metric == TCP_HIT,
        connections=10 if metric == TCP_HIT else 1,
        window=window,
        timeout=TIMEOUT,
        check_address=kind.checks_address,
    )


def run_all(generator: Generator, subject: Subject, load: Load) -> None:
    """Every query must be answered: else the counts mean nothing."""
    outcome = generator.run(subject.port, load)
    if outcome.lost:
        raise Failed(f"{outcome.lost} of {load.queries} queries were not answered")


# --- instructions and allocations, by callgrind


@dataclass
class Profile:
    instructions: int
    allocations: int
    path: Path


def _read_profile(path: Path) -> Profile:
    """Of callgrind's file: the totals, and how often the allocators were called."""
    names, allocations, callee, instructions = {}, 0, "", None
    for line in path.read_text().splitlines():
        if line.startswith("cfn="):
            number, _, name = line[4:].partition(" ")
            callee = names.setdefault(number, name)
        elif line.startswith("fn="):
            number, _, name = line[3:].partition(" ")
            names.setdefault(number, name)
        elif line.startswith("calls=") and callee.split("'")[0] in ALLOCATORS:
            allocations += int(line[6:].split()[0])
        elif line.startswith(("totals:", "summary:")) and instructions is None:
            instructions = int(line.split()[1])
    if instructions is None:
        raise Failed(f"callgrind wrote no totals to {path}")
    return Profile(instructions, allocations, path)


class UnderCallgrind:
    """A subject under callgrind; `since_last()` is what it did since the last time."""

    def __init__(self, kind: Kind, place: Place, upstreams):
        self._out = place.folder / f"callgrind-{kind.key}-{time.monotonic_ns()}"
        prefix = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={self._out}"]
        self.subject = Subject(kind, place, upstreams, prefix=prefix, ready_within=60)
        self._taken = 0

    def since_last(self) -> Profile:
        self._taken += 1
        path = Path(f"{self._out}.{self._taken}")
        command = ["callgrind_control", "--dump", str(self.subject.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"callgrind_control: {done.stderr.strip()[-200:]}")
        wait_until(lambda: path.exists() and "\ntotals:" in path.read_text(), 20, f"{path.name}")
        return _read_profile(path)

    def stop(self) -> None:
        self.subject.stop()


def profiles(
    kind: Kind, place: Place, upstream, generator, queries: dict, keep: Path | None = None
):
    """Instructions and allocations for each query, by metric. `keep`: a folder for the profiles."""
    counts = {}
    watched = UnderCallgrind(kind, place, [upstream])
    try:
        for metric, number in queries.items():
            if metric in kind.cannot:
                continue
            if metric != MISS:
                generator.warm(
                    watched.subject.port, hot=WARM_NAMES, check_address=kind.checks_address
                )
            # The first queries grow slabs and buffers.
            run_all(generator, watched.subject, load_of(metric, kind, WARM_NAMES))
            watched.since_last()
            run_all(generator, watched.subject, load_of(metric, kind, number))
            profile = watched.since_last()
            counts[metric] = {
                "instructions": profile.instructions / number,
                "allocations": profile.allocations / number,
            }
            if keep:
                name = f"callgrind.{kind.key}.{metric.replace(' ', '-')}"
                (keep / name).write_bytes(profile.path.read_bytes())
    finally:
        watched.stop()
    return counts


# --- system calls, by strace


def _read_summary(path: Path) -> dict[str, int]:
    """strace -c: % time, seconds, usecs/call, calls, [errors,] name."""
    calls = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and re.fullmatch(r"[\d.]+", words[0]) and words[-1] != "total":
            calls[words[-1]] = int(words[3])
    return calls


def may_trace() -> bool:
    """Whether strace can do anything here: some containers forbid it."""
    done = subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], check=False)
    return done.returncode == 0


def system_calls(subject: Subject, place: Place, generator, load: Load) -> dict[str, float]:
    """By name, for each query."""
    summary = place.folder / f"strace-{time.monotonic_ns()}"
    command = ["strace", "-f", "-c", "-qq", "-o", summary, "-p", subject.pid]
    tracer = Program(command, {place.subject_cpu}, place.folder / "strace.log")
    status = Path(f"/proc/{subject.pid}/status")
    try:
        wait_until(lambda: "TracerPid:\t0\n" not in status.read_text(), 10, "strace attaches")
        time.sleep(0.1)  # to the other threads too
        run_all(generator, subject, load)
    except Failed as failure:
        raise Failed(f"{failure} (strace: {tracer.last_words()})") from failure
    finally:
        tracer.stop(signal.SIGINT)
    return {name: calls / load.queries for name, calls in _read_summary(summary).items()}
