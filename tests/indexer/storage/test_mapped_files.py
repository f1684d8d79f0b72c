import os
from pathlib import Path

import numpy as np
import pytest

from indexer.storage import mapped_files as mapped

PAGES = 64


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rows.f16"
    path.write_bytes(os.urandom(PAGES * os.sysconf("SC_PAGE_SIZE")))
    return np.memmap(path, "<u2", "r").reshape(-1, 128)


def resident(name: str) -> int:
    """Kilobytes of a mapped file that count as this process's memory."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith(name))
    return next(int(line.split()[1]) for line in lines[at:] if line.startswith("Rss:"))


def test_what_is_let_go_is_this_processs_memory_no_longer_and_reads_as_before(file):
    before = np.array(file)
    assert resident("rows.f16") == PAGES * os.sysconf("SC_PAGE_SIZE") // 1024
    mapped.release_pages(file[3:])  # a part of it is let go as a whole
    assert resident("rows.f16") == 0
    assert np.array_equal(file, before)


def test_arrays_in_memory_are_left_alone():
    rows = np.arange(6).reshape(3, 2)
    mapped.release_pages(rows)
    mapped.release_pages(None)
    mapped.read_at_random(rows)
    mapped.prefetch(rows, np.array([0, 2]), 16)
    assert rows.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_rows_to_be_read_are_asked_for_by_page(file, monkeypatch):
    asked = []
    monkeypatch.setattr(mapped, "_mapping_of", lambda rows: Asked(asked))
    page = os.sysconf("SC_PAGE_SIZE")
    # Rows of 256 bytes behind a head of 100: rows 0 and 1 lie on the first page, row 40 begins on the third.
    mapped.prefetch(file, np.array([0, 1, 40]), 256, first=100)
    assert asked == [(0, 256 + page), (2 * page, 256 + page)]


class Asked:
    """A mapping of three pages and a bit that keeps what it is advised."""

    def __init__(self, asked):
        self.asked = asked

    def __len__(self):
        return 4 * os.sysconf("SC_PAGE_SIZE")

    def madvise(self, option, start, length):
        self.asked.append((start, length))
