"""Programs that are ours: started on a CPU, asked what they cost, and stopped by their own ID."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """Something that should be measured does not work; the text says why."""


def cpus() -> tuple[int, int]:
    """The CPU of what is measured, and that of the generator and the upstream."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def _prepare(affinity):
    """For the child: on these CPUs, and gone when we are."""
    libc = ctypes.CDLL(None)

    def prepare():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, affinity)

    return prepare


class Program:
    """A running program; its output goes to a file."""

    def __init__(self, command, affinity, log: Path, environment=None, **pipes):
        self.name = Path(command[0]).name
        self.log_path = log
        with open(log, "ab") as output:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output} | pipes
            self.process = subprocess.Popen(
                [str(word) for word in command],
                preexec_fn=_prepare(affinity),
                cwd=log.parent,
                env=environment,
                **pipes,
            )
        self.pid = self.process.pid

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def require_alive(self) -> None:
        if not self.is_alive():
            raise Failed(f"{self.name} has ended ({self.process.returncode}): {self.last_words()}")

    def last_words(self) -> str:
        lines = self.log_path.read_text(errors="replace").split("\n")
        return " | ".join(line for line in lines[-6:] if line)[-400:] or "it said nothing"

    def resident(self) -> int:
        """Octets of memory, with what it has mapped of files in memory (kresd's cache)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise Failed(f"{self.name} has ended")

    def cpu_time(self) -> int:
        """Nanoseconds, of all threads, also those that have ended."""
        # What clock_getcpuclockid() returns.
        return time.clock_gettime_ns((~self.pid << 3) | 2)

    def waited(self) -> int:
        """Nanoseconds in which a thread of it could have run, but its CPU was taken."""
        total = 0
        for schedstat in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            try:
                total += int(schedstat.read_text().split()[1])
            except OSError:
                pass  # that thread has ended
        return total

    def stop(self, with_signal=signal.SIGTERM, patience=5.0) -> int:
        """Returns its exit status."""
        if self.is_alive():
            self.process.send_signal(with_signal)
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        return self.process.returncode


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has, neither over UDP nor over TCP."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                    return port
                except OSError:
                    pass


class PrintsPort(Program):
    """One of ours that chooses a port and prints it."""

    def __init__(self, command, affinity, log: Path, **pipes):
        super().__init__(command, affinity, log, stdout=subprocess.PIPE, **pipes)
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.stop()
            raise Failed(f"{self.name} did not start: {self.last_words()}")
        self.port = int(line)


class Upstream(PrintsPort):
    """The DoT server that all ask (tests/integration/fast_dot.c)."""

    TTL = 86400  # nothing expires while we measure

    def __init__(self, binaries: Path, certificates, cpu: int, log: Path):
        command = [binaries / "fast_dot", certificates.chain, certificates.key, self.TTL]
        super().__init__(command, {cpu}, log, stdin=subprocess.PIPE)

    def answered(self) -> int:
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


def wait_until(condition, seconds: float, what: str):
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)
