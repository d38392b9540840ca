"""What bench/run and bench/gate both need before they start."""

import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import certificates, processes
from .generator import Generator
from .subjects import Place

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


def say(text: str = "") -> None:
    print(text, flush=True)


def _more_files() -> None:
    """As many open files as we may have: for thousands of clients."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def bench(build: Path):
    """Gives (place, generator, start_upstream). All that was started ends with it."""

    def leave(number, _):
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    build = build.resolve()
    for binary in ("sotto", "bench/load", "bench/echo", "bench/relay", "bench/fast_dot"):
        if not (build / binary).exists():
            sys.exit(f"{build / binary} is missing: make bench builds it")
    _more_files()
    # In memory, if possible: no disk takes part in what is measured.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="sotto-bench-", dir=memory))
    subject_cpu, other_cpu = processes.cpus()
    with contextlib.ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
        made = certificates.make(folder)
        place = Place(build / "sotto", build / "bench", folder, made, subject_cpu)

        def start_upstream():
            upstream = processes.Upstream(place.binaries, made, other_cpu, folder / "upstream.log")
            cleanup.callback(upstream.stop)
            return upstream

        yield place, Generator(place.binaries, other_cpu), start_upstream
