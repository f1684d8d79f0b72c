"""Write a line about long work now and then, for a log or a pipe."""

import threading
import time
from collections.abc import Callable
from itertools import pairwise


class ProgressLines:
    """A display of the stages of long work, where stderr is not a terminal: a line every so many seconds.

    A thread of its own writes them, so that a stage that stands still is told from a program that has died. Work that
    takes less time than one interval is silent.

    Args:
        say: Writes a line.
        seconds: How long to wait between two lines.
        clock: Returns the time in seconds.
    """

    def __init__(self, say: Callable[[str], None], seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._say, self._clock = say, clock
        self._stage, self._done, self._total, self._remark = "", 0, 0, ""
        self._began = clock()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(seconds,), daemon=True)
        self._thread.start()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note how far a stage is; `total` is 0 while it is not known."""
        if stage != self._stage:
            self._stage, self._began, self._remark = stage, self._clock(), ""
        self._done, self._total = done, total

    def remark(self, text: str) -> None:
        """Add a text to the lines about the present stage, in place of an earlier one."""
        self._remark = text

    def close(self) -> None:
        """End the lines."""
        self._closed.set()
        self._thread.join()

    def line(self) -> str:
        """Return the line about the present state: count, rate, time left, remark."""
        done, total = self._done, self._total
        seconds = self._clock() - self._began
        parts = [f"{done:,} of {total:,}" if total else f"{done:,}"]
        if done and seconds > 0:
            rate = done / seconds
            parts.append(f"{rate:,.1f} per second" if rate < 100 else f"{rate:,.0f} per second")
            if total > done:
                parts.append(f"{duration((total - done) / rate)} left")
        if self._remark:
            parts.append(self._remark)
        return f"{self._stage}: {', '.join(parts)}"

    def _run(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            if self._stage:
                try:
                    self._say(self.line())
                except (OSError, ValueError):  # nobody reads any more
                    return


def duration(seconds: float) -> str:
    """Return a duration in words, to two units: 45 s, 3 min 20 s, 2 h 5 min, 3 d 4 h."""
    whole = max(1, round(seconds))
    for (large, unit), (small, part) in pairwise(((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))):
        if whole >= large:
            rest = whole % large // small
            return f"{whole // large} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"
