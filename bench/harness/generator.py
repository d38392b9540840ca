"""bench/load, as functions."""

import itertools
import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .processes import Failed

_labels = itertools.count()


@dataclass(frozen=True)
class Load:
    """What to ask. `window` counts for all connections together, unless there is a rate."""

    rate: float = 0
    window: int = 100
    seconds: float = 0
    queries: int = 0
    tcp: bool = False
    connections: int = 1
    idle: int = 0
    hot: int = 10000
    hot_label: str = "hot"
    zipf: float = 0
    miss: float = 0
    warm: bool = False
    check_address: bool = True
    timeout: float = 1
    spin: bool = False

    def arguments(self) -> list[str]:
        # Labels never repeat: what is to be a miss was never asked before.
        words = ["--hot", self.hot, "--hot-label", self.hot_label, "--miss", self.miss]
        words += ["--miss-label", f"m{os.getpid() % 100000}x{next(_labels)}"]
        words += ["--zipf", self.zipf, "--connections", self.connections, "--idle", self.idle]
        words += ["--timeout", self.timeout, "--window", self.window]
        for option in ("rate", "seconds", "queries"):
            if getattr(self, option):
                words += [f"--{option}", getattr(self, option)]
        for option in ("tcp", "warm", "check_address", "spin"):
            if getattr(self, option):
                words.append("--" + option.replace("_", "-"))
        return [str(word) for word in words]


@dataclass
class Outcome:
    """What load printed, for one subject."""

    raw: dict
    pids: list[int] = field(default_factory=list)

    @property
    def answered(self) -> int:
        return self.raw["answered"]

    @property
    def lost(self) -> int:
        return self.raw["sent"] - self.raw["answered"]

    @property
    def wrong(self) -> int:
        return self.raw["wrong"]

    def cpu_us(self, pid: int) -> float:
        """Microseconds of that process for each answered query."""
        if not self.answered:
            raise Failed("no query was answered")
        return self.raw["cpu_ns"][self.pids.index(pid)] / self.answered / 1000


class Generator:
    def __init__(self, binaries: Path, cpu: int):
        self._binary = binaries / "load"
        self._cpu = cpu

    def run(self, port: int, load: Load, measure=()) -> Outcome:
        pids = [program.pid for program in measure]
        command = [str(self._binary), *load.arguments()]
        for pid in pids:
            command += ["--measure", str(pid)]
        done = subprocess.run(
            [*command, str(port)],
            capture_output=True,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {self._cpu}),
            timeout=600,
            check=False,
        )
        if done.returncode != 0:
            raise Failed(done.stderr.strip() or f"load ended with {done.returncode}")
        return Outcome(json.loads(done.stdout) | {"complaint": done.stderr.strip()[:300]}, pids)

    def warm(self, port: int, hot: int, window=100, tcp=False, **load) -> Outcome:
        """Afterwards the cache has all hot names."""
        load |= {"connections": 10 if tcp else 1, "timeout": 2}
        outcome = self.run(port, Load(hot=hot, warm=True, window=window, tcp=tcp, **load))
        if outcome.answered < hot:
            raise Failed(f"only {outcome.answered} of {hot} names could be asked for in advance")
        return outcome
