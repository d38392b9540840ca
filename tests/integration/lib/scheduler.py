"""Actions after a delay, all on one thread."""

import heapq
import itertools
import threading
import time


class Scheduler:
    def __init__(self):
        self._due = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = None

    def call_later(self, seconds: float, action) -> None:
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """Forget what is not due yet."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._stopped and (not self._due or self._due[0][0] > time.monotonic()):
                    wait = self._due[0][0] - time.monotonic() if self._due else None
                    self._changed.wait(wait)
                if self._stopped:
                    return
                action = heapq.heappop(self._due)[2]
            action()
