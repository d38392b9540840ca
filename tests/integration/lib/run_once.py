"""Programs that run to their end: the program under test with wrong arguments, and real clients."""

import os
import subprocess
from pathlib import Path

from .sotto_process import SANITIZER_COMPLAINT, sanitizer_environment
from .timing import scaled


def run_to_end(
    command, environment: dict[str, str] | None = None, seconds: float = 15
) -> subprocess.CompletedProcess:
    """Run it; output as text. It must end by itself, and no sanitizer may complain."""
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        errors="backslashreplace",
        stdin=subprocess.DEVNULL,
        timeout=scaled(seconds),
        env={
            **os.environ,
            **sanitizer_environment(),
            "RUNTIME_DIRECTORY": "/nonexistent",  # no start here makes the machine's control socket
            **(environment or {}),
        },
    )
    assert not SANITIZER_COMPLAINT.search(done.stderr), done.stderr
    return done


def binary_of(request) -> Path:
    """The program under test."""
    return Path(request.config.getoption("--sotto")).resolve()
