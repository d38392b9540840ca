"""What it was measured on, and what else the machine did meanwhile."""

import datetime
import os
import platform
import re
import statistics
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def _command(*words) -> str:
    try:
        return subprocess.run(
            words, capture_output=True, text=True, check=False, cwd=ROOT
        ).stdout.strip()
    except OSError:
        return ""


def describe() -> dict:
    memory = _first(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    cpuinfo = Path("/proc/cpuinfo").read_text()
    release = Path("/etc/os-release").read_text()
    return {
        "cpu": _first(r"^model name\s*:\s*(.*)$", cpuinfo),
        "cpus": os.cpu_count(),
        "virtual": "hypervisor" in cpuinfo,
        "memory_gib": round(int(memory) / 2**20, 1) if memory.isdigit() else None,
        "kernel": platform.release(),
        "system": _first(r'^PRETTY_NAME="?([^"\n]*)', release),
        "compiler": _command("gcc", "-dumpfullversion"),
        "gnutls": _command("pkg-config", "--modversion", "gnutls"),
    }


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def commit() -> str:
    """Of the sources; + if they were changed since."""
    revision = _command("git", "rev-parse", "--short", "HEAD")
    changed = _command("git", "status", "--porcelain", "--untracked-files=no", "--", "src")
    return (revision or "unknown") + ("+" if changed else "")


class Interference:
    """How much others disturbed what was measured since this was made."""

    def __init__(self):
        self._stolen = self._read()

    @staticmethod
    def _read() -> float:
        steal = int(Path("/proc/stat").read_text().split("\n")[0].split()[8])
        return steal / os.sysconf("SC_CLK_TCK")

    def so_far(self, waits: list[float]) -> dict:
        """`waits`: shares of its time in which a program had to wait for its CPU."""
        return {
            "waited_median": statistics.median(waits) if waits else 0,
            "waited_max": max(waits, default=0),
            "stolen_seconds": self._read() - self._stolen,
        }
