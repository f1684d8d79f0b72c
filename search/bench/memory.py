"""Measure the memory of this process."""

import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ProcessMemory:
    """Memory of this process, in megabytes (1e6 bytes).

    Attributes:
        peak_mb: The most that it has had in memory since its start.
        resident_mb: What it has in memory now; None where the system does not tell.
        mapped_mb: The part of `resident_mb` that belongs to mapped files; None where the system does not tell.
    """

    peak_mb: float
    resident_mb: float | None = None
    mapped_mb: float | None = None

    def as_dict(self) -> dict[str, float]:
        """Return the JSON form, without what is not known."""
        values = {"peak_mb": self.peak_mb, "resident_mb": self.resident_mb, "mapped_mb": self.mapped_mb}
        return {name: value for name, value in values.items() if value is not None}


def peak_megabytes() -> float:
    """Return the most memory that this process has had since its start, in megabytes."""
    # macOS counts bytes, Linux counts kilobytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def process_memory() -> ProcessMemory:
    """Return the memory of this process, rounded to 0.1 megabytes."""
    peak = round(peak_megabytes(), 1)
    status = Path("/proc/self/status")
    if not status.exists():
        return ProcessMemory(peak)
    kilobytes = {line.split(":")[0]: line.split()[1] for line in status.read_text().splitlines() if "kB" in line}
    return ProcessMemory(peak, round(int(kilobytes["VmRSS"]) / 1e3, 1), round(int(kilobytes["RssFile"]) / 1e3, 1))
