"""A sink of the query log, without the rest of the program: tests/tools/querylog_feed.c.

The test says which entries there are, so it knows what must come out at the other end.
"""

import os
import subprocess
from pathlib import Path

import dns.message
import dns.name
import pytest

from .run_once import binary_of
from .sotto_process import SANITIZER_COMPLAINT, sanitizer_environment
from .timing import scaled, wait_until

INSTANCE = "ns1.test"
UDP, TCP, TLS, HTTPS = range(4)
HIT, MISS, JOINED, STALE, LOCAL, REFUSED, LIMITED, ERROR = range(8)
RD, CD, DO, EDNS, PADDED, AD, TC, SILENCE, RESUMED, QUERY_AD = (1 << bit for bit in range(10))
NO_EDE = -1


def feed_binary(request) -> Path:
    binary = binary_of(request).parent / "tests" / "tools" / "querylog_feed"
    if not binary.exists():
        pytest.skip("needs a build with -Dtests=true")
    return binary


class Feed:
    """`write()` gives the sink a batch, and returns what it says."""

    def __init__(self, binary: Path, url: str, folder: Path, wrap=(), stdout=None):
        answers, answers_end = os.pipe()
        self.log_path = folder / f"feed-{answers}-{os.getpid()}.log"
        command = [*wrap, binary, url, INSTANCE, answers_end]
        with open(self.log_path, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                stdin=subprocess.PIPE,
                stdout=stdout or subprocess.DEVNULL,
                stderr=log,
                pass_fds=[answers_end],
                env={**os.environ, **sanitizer_environment()},
                text=True,
            )
        os.close(answers_end)
        self._answers = os.fdopen(answers, encoding="utf-8")

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self) -> str:
        answer = self._answers.readline().strip()
        assert answer, f"it has ended: {self.log()}"
        return answer

    def _ask(self, command: str) -> str:
        self.say(command)
        return self.hear()

    def add(self, entry: dict) -> None:
        self.say("entry " + " ".join(f"{key}={_value(entry[key])}" for key in entry))

    def write(self, entries=()) -> str:
        for entry in entries:
            self.add(entry)
        return self._ask("write")

    def keep(self, entries=(), seconds=20) -> None:
        """As the program does: again and again, until the sink has kept them."""
        for entry in entries:
            self.add(entry)
        wait_until(lambda: self.write() == "ok", seconds, "the sink keeps the entries", 0.1)

    def tick(self) -> None:
        assert self._ask("tick") == "done"

    def reopen(self) -> None:
        assert self._ask("reopen") == "done"

    def close(self) -> None:
        """The sink is closed; the tool must end well."""
        self.process.stdin.close()
        assert self.process.wait(scaled(20)) == 0, self.log()
        self._answers.close()
        assert not SANITIZER_COMPLAINT.search(self.log()), self.log()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait_log(self, part: str) -> None:
        wait_until(lambda: part in self.log(), 10, f"it says: {part}")

    def log(self) -> str:
        return self.log_path.read_text(encoding="utf-8", errors="backslashreplace")


def _value(value) -> str:
    if isinstance(value, dns.name.Name):
        value = value.to_wire()
    return value.hex() if isinstance(value, bytes) else str(value)


def make_entry(number=0, name="www.test.", rdtype="A", rcode=0, records=(), **fields) -> dict:
    """An entry whose reply is that of the question; `number` tells it from others."""
    name = dns.name.from_text(name) if isinstance(name, str) else name
    query = dns.message.make_query(name, rdtype, id=number % 0x10000)
    reply = dns.message.make_response(query, recursion_available=True)
    reply.set_rcode(rcode)
    for record in records:
        reply.answer.append(record)
    wire = reply.to_wire()
    question = query.question[0]
    return {
        "time": 1700000000123456 + number,
        "latency": 1500,
        "client": "192.0.2.1:4000",
        "transport": UDP,
        "outcome": HIT,
        "flags": RD,
        "id": number % 0x10000,
        "name": name,
        "type": int(question.rdtype),
        "class": int(question.rdclass),
        "rcode": rcode,
        "reply": wire,
        "query_size": len(query.to_wire()),
        "reply_size": len(wire),
        **fields,
    }
