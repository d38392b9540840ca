"""How long to wait.

Every time limit in the tests is written for a plain build on an idle machine and goes through
`scaled()`, so that sanitizer builds and busy machines get more. Times that configure the program
under test are not scaled: only the patience of the test is.
"""

import contextlib
import os
import time

SCALE_OF_VARIANT = {"asan": 3.0, "tsan": 6.0}

_scale = 1.0


def set_scale(option: float | None) -> None:
    """Take the factor from the command line, the environment or the variant, in this order."""
    global _scale
    if option is not None:
        _scale = option
    elif os.environ.get("SOTTO_TIME_SCALE"):
        _scale = float(os.environ["SOTTO_TIME_SCALE"])
    else:
        _scale = SCALE_OF_VARIANT.get(variant(), 1.0)


def variant() -> str:
    """The build under test: '' (plain), 'asan' or 'tsan'."""
    return os.environ.get("SOTTO_VARIANT", "")


def scaled(seconds: float) -> float:
    return seconds * _scale


class Deadline:
    """A moment after which waiting is over."""

    def __init__(self, seconds: float):
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        return max(0.0, self.at - time.monotonic())

    def passed(self) -> bool:
        return time.monotonic() >= self.at


@contextlib.contextmanager
def within(seconds: float):
    """The block must not take longer."""
    started = time.monotonic()
    yield
    took = time.monotonic() - started
    assert took <= scaled(seconds), f"took {took:.2f} s, allowed are {seconds} s"


def wait_until(condition, seconds: float, what: str, interval: float = 0.02):
    """Poll for what has no event of its own; return the condition's first true value."""
    deadline = Deadline(scaled(seconds))
    while not (value := condition()):
        assert not deadline.passed(), f"not within {seconds} s: {what}"
        time.sleep(interval)
    return value
