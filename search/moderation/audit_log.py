"""The audit log: what a policy blocked and why, as JSON lines in the index folder.

A line is written by one `write` to a file opened for appending, so lines of several processes never mix. At LIMIT bytes
`audit.jsonl` becomes `audit.1.jsonl`, the older ones move up by one, and the one past KEPT is deleted.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = 1
NAME = "audit.jsonl"
LIMIT = 64_000_000
KEPT = 4
BATCH = 1_000  # lines a write: some 300 KB
LONGEST_TEXT = 1_000


class AuditLog:
    """The log of one index folder. Reading passes over lines that a full disk cut short."""

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.path = folder / NAME
        self.limit = limit

    def write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append entries, each with its format and time (UTC). Texts over LONGEST_TEXT letters are cut.

        Raises OSError if the log cannot be written.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [json.dumps({"format": FORMAT, "time": time, **_shortened(entry)}) + "\n" for entry in entries]
        for start in range(0, len(lines), BATCH):
            self._append("".join(lines[start : start + BATCH]).encode("ascii"))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Every entry that is kept, oldest first."""
        for path in [*(self._older(n) for n in range(KEPT, 0, -1)), self.path]:
            with suppress(FileNotFoundError), open(path, encoding="ascii") as file:
                for line in file:
                    with suppress(ValueError):
                        yield json.loads(line)

    def _append(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            size = os.fstat(descriptor).st_size
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        if written < len(data):
            raise OSError(f"only {written} of {len(data)} bytes were written")
        if size + written >= self.limit:
            self._rotate()

    def _rotate(self) -> None:
        # Another process may be at it, or have done it already; the log then grows by a line or two past its limit.
        from filelock import FileLock, Timeout

        with suppress(Timeout, FileNotFoundError), FileLock(self.path.with_suffix(".lock"), timeout=0):
            if self.path.stat().st_size < self.limit:
                return
            for n in range(KEPT, 1, -1):
                with suppress(FileNotFoundError):
                    os.replace(self._older(n - 1), self._older(n))
            os.replace(self.path, self._older(1))

    def _older(self, n: int) -> Path:
        return self.path.with_name(f"audit.{n}.jsonl")


def _shortened(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Without the end of endless texts, and says so; paths are whole, or nobody could find the photo."""
    return {
        key: value[:LONGEST_TEXT] + "…"
        if isinstance(value, str) and key != "photo" and len(value) > LONGEST_TEXT
        else value
        for key, value in entry.items()
    }
