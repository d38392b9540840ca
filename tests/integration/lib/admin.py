"""The admin's pages: asking over HTTP, and reading metrics.

`LISTEN` belongs into the configuration; then `get(sotto, "/readyz")` asks, and `Metrics.of(sotto)`
holds every sample of /metrics.
"""

import http.client
import re
import shutil
import subprocess
from dataclasses import dataclass

from .clients import Address
from .timing import scaled

LISTEN = {"listen": "http://127.0.0.1:0"}

SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"(?:,|$)')


def address_of(sotto) -> Address:
    line = sotto.wait_log(r"metrics and health on http://")
    found = re.search(r"http://(\S+):(\d+)", line)
    return Address(found[1].strip("[]"), int(found[2]))


@dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: str


def request(address, method, path, body=None, headers=None) -> Response:
    connection = http.client.HTTPConnection(address.host, address.port, timeout=scaled(10))
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Response(response.status, response.headers, response.read().decode())
    finally:
        connection.close()


def get(sotto, path, **headers) -> Response:
    """`headers` with _ for -."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(address_of(sotto), "GET", path, headers=headers)


def is_ready(sotto) -> bool:
    response = get(sotto, "/readyz")
    assert response.status in (200, 503)
    return response.status == 200


class Metrics:
    """Samples by name and labels: `metrics("sotto_queries_total", type="A")` adds up what fits."""

    def __init__(self, text: str):
        self.samples: list[tuple[str, dict[str, str], float]] = []
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.match(line).groups()
            self.samples.append((name, dict(LABEL.findall(labels or "")), float(value)))

    @classmethod
    def of(cls, sotto, **headers) -> "Metrics":
        response = get(sotto, "/metrics", **headers)
        assert response.status == 200, response.body
        return cls(response.body)

    def find(self, name: str, **labels: str) -> list[float]:
        return [
            value
            for found, has, value in self.samples
            if found == name and all(has.get(key) == wanted for key, wanted in labels.items())
        ]

    def __call__(self, name: str, **labels: str) -> float:
        found = self.find(name, **labels)
        assert found or labels, f"no {name}"
        return sum(found)

    def by(self, name: str, *keys: str) -> dict:
        """The values that are not 0, by these labels."""
        sums: dict = {}
        for found, labels, value in self.samples:
            if found == name and value:
                key = tuple(labels[key] for key in keys)
                key = key[0] if len(keys) == 1 else key
                sums[key] = sums.get(key, 0) + value
        return sums


def promtool(*arguments, stdin: str | None = None) -> str:
    """Run it, insist on success; what it says on stdout and stderr."""
    program = shutil.which("promtool")
    assert program, "promtool (Debian: prometheus) is needed"
    done = subprocess.run(
        [program, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=scaled(30),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
