"""Keep the audit log: what a policy blocked and why, as JSON lines in the index folder.

Each write is a single system call on a file opened for appending, so lines of several processes never mix. When
`audit.jsonl` reaches its limit it becomes `audit.1.jsonl`, older files move up by one, and the oldest is deleted.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Version of the lines.
FORMAT = 1
NAME = "audit.jsonl"
# Bytes of a file before it is moved.
LIMIT = 64_000_000
# Older files that are kept.
KEPT = 4
# Lines per write: some 300 KB.
BATCH = 1_000
# Characters of a text that are kept.
LONGEST_TEXT = 1_000


class AuditLog:
    """Write and read the audit log of one index folder.

    Args:
        folder: The index folder.
        limit: Bytes that a file may reach before it is moved.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.path = folder / NAME
        self.limit = limit

    def write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Append entries, each with its format and the time (UTC).

        Args:
            entries: The entries. Texts longer than `LONGEST_TEXT` are cut; the path of a `photo` never is.

        Raises:
            OSError: The log cannot be written.
        """
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = [json.dumps({"format": FORMAT, "time": time, **_shortened(entry)}) + "\n" for entry in entries]
        for start in range(0, len(lines), BATCH):
            self._append("".join(lines[start : start + BATCH]).encode("ascii"))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield every entry that is kept, oldest first. Lines that a full disk cut short are skipped."""
        for path in [*(self._older(n) for n in range(KEPT, 0, -1)), self.path]:
            with suppress(FileNotFoundError), open(path, encoding="ascii") as file:
                for line in file:
                    with suppress(ValueError):
                        yield json.loads(line)

    def _append(self, data: bytes) -> None:
        """Append whole lines by one system call, and move the file if it has reached its limit."""
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
        """Move every file up by one, unless another process does it or has done it already."""
        # While another process rotates the files, the log may grow a line or two past its limit.
        from filelock import FileLock, Timeout

        with suppress(Timeout, FileNotFoundError), FileLock(self.path.with_suffix(".lock"), timeout=0):
            if self.path.stat().st_size < self.limit:
                return
            for n in range(KEPT, 1, -1):
                with suppress(FileNotFoundError):
                    os.replace(self._older(n - 1), self._older(n))
            os.replace(self.path, self._older(1))

    def _older(self, n: int) -> Path:
        """Return the path of the nth older file."""
        return self.path.with_name(f"audit.{n}.jsonl")


def _shortened(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Cut long texts, and mark where; paths stay whole, as nobody could find the photo otherwise."""
    return {
        key: value[:LONGEST_TEXT] + "…"
        if isinstance(value, str) and key != "photo" and len(value) > LONGEST_TEXT
        else value
        for key, value in entry.items()
    }
