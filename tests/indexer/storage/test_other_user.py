"""A reader that may not write an index sees what its owner commits, while the owner writes and after."""

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from indexer.storage.catalogue import Catalogue
from tiny_index import build, grey

# Reads the index named first, once for each line that comes. It gives up its rights after it has imported everything.
READER = """
import os, sys
import indexer.index, indexer.storage.consistency
from indexer.index import Index

if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
index = Index.open(sys.argv[1])
print(index.catalogue._database._connection.assumed is not None, flush=True)
for line in sys.stdin:
    print(index.changed, index.catalogue.photo_count(), index.catalogue.setting("mark"), flush=True)
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """Yield a folder that every user may read; those of pytest are the user's own."""
    folder = Path(tempfile.mkdtemp(prefix="photoseek-shared-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


class Reader:
    """A process that may only read an index: of another user, or, where that cannot be, of a folder that is read-only.

    Args:
        index: The index folder.
        cache: The reader's cache.
    """

    def __init__(self, index: Path, cache: Path) -> None:
        self.index = index
        self._allow(writing=False)
        environment = {**os.environ, "PHOTOSEEK_CACHE": str(cache), "PYTHONPATH": os.pathsep.join(sys.path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", READER, str(index)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        assert self.process.stdout is not None
        # Nobody has the catalogue open, so SQLite cannot look by itself whether it is written.
        assert self.process.stdout.readline() == "True\n"
        self._allow(writing=True)

    def _allow(self, *, writing: bool) -> None:
        if os.getuid() != 0:
            self.index.chmod(0o755 if writing else 0o555)

    def read(self) -> list:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        changed, photos, mark = self.process.stdout.readline().split()
        return [changed == "True", int(photos), mark]

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait() == 0


def made(photos: Path, index: Path) -> None:
    """Build an index that no process has open, with no file beside its catalogue, as a copy of it has none."""
    build(photos, index).close()
    gc.collect()
    for beside in (*index.glob("*-shm"), *index.glob("*-wal")):
        beside.unlink()


def test_a_reader_without_rights_follows_the_writer(shared: Path) -> None:
    grey(shared / "photos", a=1, b=2)
    index = shared / "index"
    made(shared / "photos", index)
    with closing(Reader(index, shared / "cache")) as reader:
        assert reader.read() == [False, 2, "None"]
        writer = Catalogue(index / "catalogue.sqlite", writable=True)
        for number in range(50):
            with writer.transaction():
                writer.set_setting("mark", str(number))
            assert reader.read() == [True, 2, str(number)]
        grey(shared / "photos", c=3)
        build(shared / "photos", index).close()
        assert reader.read() == [True, 3, "49"]
        writer.close()
        assert reader.read() == [True, 3, "49"]
        with closing(Catalogue(index / "catalogue.sqlite", writable=True)) as later:
            later.set_setting("mark", "last")
        assert reader.read() == [True, 3, "last"]


def test_many_short_writers_are_never_seen_in_part(shared: Path) -> None:
    grey(shared / "photos", a=1)
    index = shared / "index"
    made(shared / "photos", index)
    with closing(Reader(index, shared / "cache")) as reader:
        for number in range(100):
            with closing(Catalogue(index / "catalogue.sqlite", writable=True)) as writer, writer.transaction():
                # A page's worth of values each time, so that the file grows and its pages move.
                for key in range(20):
                    writer.set_setting(f"filler {key}", json.dumps([number] * (key * 20)))
                writer.set_setting("mark", str(number))
            assert reader.read() == [True, 1, str(number)]
