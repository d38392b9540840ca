"""The program under test.

`Sotto` runs the binary with a configuration (a dictionary, written as YAML) or with bare
arguments, follows its log, and returns from `start()` once it has said `ready`. It listens on
ports the kernel chose, learnt from the log. `stop()` is part of every test: the program must
still be alive, must end by itself with code 0, and no sanitizer may have complained.

It has a control socket of its own; `control()` runs `sotto status` and `sotto flush` there.

`upstream_config()` builds the usual configuration from servers of the harness.
"""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import yaml

from .clients import Address
from .counter_names import COUNTERS
from .timing import scaled, variant

SANITIZER_COMPLAINT = re.compile(
    r"ERROR: (Address|Leak)Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w+Sanitizer"
)
LISTENING = re.compile(r"listening on (\w+)://(\S+?):(\d+)(/\S*)?( |$|\"|\))")
STATS = r"\bstats\b.*\w+=\d+"
LISTEN = ["dns://127.0.0.1:0"]
# The deadline of a query in the tests, and when its client must have heard at the latest.
QUERY_TIMEOUT = 2.0
HEARD_BY = QUERY_TIMEOUT + 0.5


def upstream_config(
    *servers, strategy=None, timeout=QUERY_TIMEOUT, bootstrap=None, server_options=None, **rest
):
    """A configuration for these upstreams: objects with a `url`, URLs, or ready dictionaries.

    `server_options` are added to every server that does not say otherwise (None: not at all);
    `rest` are further top-level keys.
    """
    entries = []
    for server in servers:
        entry = server if isinstance(server, dict) else {"url": getattr(server, "url", server)}
        entry = {**(server_options or {}), **entry}
        entries.append({key: value for key, value in entry.items() if value is not None})
    upstream = {"timeout": f"{timeout * 1000:.0f}ms", "servers": entries}
    if strategy:
        upstream["strategy"] = strategy
    if bootstrap:
        upstream["bootstrap"] = bootstrap
    return {"upstream": upstream, **rest}


def sanitizer_environment() -> dict[str, str]:
    common = "log_path=stderr:exitcode=99"
    return {
        "ASAN_OPTIONS": f"{common}:detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": f"{common}:print_stacktrace=1:halt_on_error=1",
        "TSAN_OPTIONS": f"{common}:halt_on_error=0:second_deadlock_stack=1",
    }


class Sotto:
    """One running program."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        config: dict | None = None,
        arguments=(),
        workers: int = 1,
        wrap=lambda command: command,
        environment: dict[str, str] | None = None,
    ):
        """`wrap` turns the command line into another one, to run it in a namespace or a limit."""
        self.binary = binary
        self.workers = workers
        self.config: dict = {}  # as last written
        self.config_path = folder / "sotto.yaml"
        self.lines: list[str] = []
        self.listeners: list[tuple[str, Address]] = []
        self._changed = threading.Condition()
        self._ended = False
        command = [str(binary), "--workers", str(workers), *map(str, arguments)]
        if config is not None:
            self.write_config(config)
            command += ["-c", str(self.config_path)]
        if variant() == "tsan":
            command = ["setarch", "-R", *command]
        self.command = wrap(command)
        # For the control socket: the machine's own is not to be touched. The path of a socket is
        # short, and whoever the program becomes must be able to make and remove files there.
        self.runtime_directory = Path(tempfile.mkdtemp(prefix="sotto-run-"))
        self.runtime_directory.chmod(0o1777)
        # Whoever runs us may have said where sanitizers report.
        self.environment = {
            **sanitizer_environment(),
            **os.environ,
            "RUNTIME_DIRECTORY": str(self.runtime_directory),
            **(environment or {}),
        }
        self._process: subprocess.Popen | None = None
        self._reader: threading.Thread | None = None
        self.stopped = False

    # life

    def start(self, wait_ready: bool = True) -> "Sotto":
        assert self.binary.exists(), f"no binary at {self.binary}: build it or give --sotto PATH"
        self._process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self.environment,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if wait_ready:
            self.wait_log(r"\bready\b", 10)
        return self

    def stop(self, sig: int = signal.SIGTERM) -> None:
        """End it, and insist that all was well."""
        assert self.alive(), f"died with {self._process.poll()}\n{self.log_tail()}"
        self._process.send_signal(sig)
        self.expect_exit(0)

    def expect_exit(self, code: int, seconds: float = 15.0) -> None:
        """Wait for its end, which must come with this code and without sanitizer complaints."""
        self.stopped = True
        try:
            ended_with = self._process.wait(scaled(seconds))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {seconds} s\n{self.log_tail()}") from None
        self._reader.join()
        self.assert_no_sanitizer_complaint()
        assert ended_with == code, f"ended with {ended_with}\n{self.log_tail()}"

    def kill(self) -> None:
        self.stopped = True
        self._process.kill()
        self._process.wait()

    def clean_up(self) -> None:
        shutil.rmtree(self.runtime_directory, ignore_errors=True)

    def alive(self) -> bool:
        return self._process.poll() is None

    def signal(self, sig: int) -> None:
        self._process.send_signal(sig)

    def write_config(self, config: dict) -> None:
        # As somebody else it could not read our files again on a reload.
        user = pwd.getpwuid(os.geteuid()).pw_name
        # Most tests are about the way to an upstream, and ask for the same names again and again.
        cache = {"size": 0}
        config = {
            "listen": LISTEN,
            "log": {"level": "debug"},
            "user": user,
            "cache": cache,
            **config,
        }
        self.config = config
        self.config_path.write_text(yaml.safe_dump(config, sort_keys=False))

    def reload(self, config: dict | None = None) -> None:
        """Reload, after replacing the configuration if one is given; wait until it is done."""
        if config is not None:
            self.write_config(config)
        mark = self.mark()
        self.signal(signal.SIGHUP)
        self.wait_log(r"\breloaded\b", after=mark)

    # the control socket

    @property
    def control_path(self) -> Path:
        """Where it is by default."""
        return self.runtime_directory / "control.sock"

    def control(self, *arguments, code: int = 0) -> str:
        """Run `sotto status …` or `sotto flush …`, insist on its exit code; return what it says."""
        command = [self.binary, *map(str, arguments)]
        if variant() == "tsan":
            command = ["setarch", "-R", *command]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=scaled(30),
            env=self.environment,
            check=False,
        )
        assert done.returncode == code, f"ended with {done.returncode}\n{done.stderr}"
        assert not SANITIZER_COMPLAINT.search(done.stderr), done.stderr
        return done.stderr if code else done.stdout

    def status(self) -> dict:
        """What `sotto status --json` says."""
        return json.loads(self.control("status", "--json"))

    # addresses

    @property
    def address(self) -> Address:
        """The first listener."""
        return self.listeners[0][1]

    def listener(self, scheme: str) -> Address:
        """The first listener of this kind, such as tls."""
        return next(address for found, address in self.listeners if found == scheme)

    @property
    def pid(self) -> int:
        return self._process.pid

    # log

    def mark(self) -> int:
        """A place in the log, to look only at what comes later."""
        return len(self.lines)

    def log_lines(self, pattern: str, after: int = 0) -> list[str]:
        return [line for line in self.lines[after:] if re.search(pattern, line)]

    def wait_log(self, pattern: str, seconds: float = 5.0, after: int = 0) -> str:
        """Block until a line matches, and return it."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended or self.log_lines(pattern, after), scaled(seconds)
            )
            found = self.log_lines(pattern, after)
            assert found, f"not in the log: {pattern}\n{self.log_tail()}"
            return found[0]

    def log_tail(self, count: int = 200) -> str:
        """The end of the log, without the many lines of counters but the last."""
        stats = self.log_lines(STATS)
        lines = [line for line in self.lines if line not in stats] + stats[-1:]
        skipped = max(0, len(lines) - count)
        head = [f"({skipped} lines before)"] if skipped else []
        return "\n".join(["--- log of the program:", *head, *lines[-count:], "--- end of log"])

    def assert_no_sanitizer_complaint(self) -> None:
        complaint = next(filter(SANITIZER_COMPLAINT.search, self.lines), None)
        assert not complaint, f"{complaint}\n{self.log_tail(400)}"

    # measurements

    def counters(self) -> dict[str, int]:
        """All counters, as the program prints them on SIGUSR1."""
        mark = self.mark()
        self.signal(signal.SIGUSR1)
        line = self.wait_log(STATS, after=mark)
        return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", line)}

    def count(self, event: str) -> int:
        """How often an event of counter_names was counted."""
        counters = self.counters()
        return sum(counters[name] for name in COUNTERS[event])

    def wait_count(self, event: str, at_least: int = 1, seconds: float = 5.0) -> int:
        deadline = time.monotonic() + scaled(seconds)
        while (count := self.count(event)) < at_least:
            assert time.monotonic() < deadline, f"{event}: {count}, expected {at_least}"
            time.sleep(0.02)
        return count

    def resident_kib(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def assert_not_grown(self, since_kib: int, by_kib: int) -> None:
        """Memory is bounded; sanitizers keep freed memory, so nothing is said of it under them."""
        if not variant():
            grown = self.resident_kib() - since_kib
            assert grown < by_kib, f"grown by {grown} KiB, allowed are {by_kib}"

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def assert_not_spinning(self, seconds: float = 0.5) -> None:
        """Idle means idle: almost no processor time passes while nothing happens."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        spent = self.cpu_seconds() - before
        assert spent < seconds * 0.3, f"{spent:.2f} s of processor time in {seconds} s of idling"

    # machinery

    def _read_log(self) -> None:
        for octets in self._process.stderr:
            line = octets.decode(errors="backslashreplace").rstrip("\n")
            with self._changed:
                self.lines.append(line)
                if found := LISTENING.search(line):
                    address = Address(found[2].strip("[]"), int(found[3]))
                    self.listeners.append((found[1], address))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._process.stderr.close()
