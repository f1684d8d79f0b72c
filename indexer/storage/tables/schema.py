"""The tables of a catalogue."""

import sqlite3
from contextlib import closing
from functools import cache

SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE roots (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE);
CREATE TABLE embeddings (
    row INTEGER PRIMARY KEY,           -- the row in the embedding file
    digest BLOB NOT NULL UNIQUE,       -- of the file's bytes: exact duplicates share a row
    width INTEGER NOT NULL, height INTEGER NOT NULL,
    live INTEGER NOT NULL DEFAULT 1    -- 0: no photo has this row any more
);
CREATE INDEX dead_rows ON embeddings (row) WHERE live = 0;
CREATE TABLE photos (
    root INTEGER NOT NULL REFERENCES roots, path BLOB NOT NULL,
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
    row INTEGER REFERENCES embeddings, -- NULL: skipped, for `reason`
    reason TEXT,
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE INDEX photos_by_row ON photos (row);
CREATE TABLE views (id TEXT PRIMARY KEY, rows INTEGER NOT NULL, created REAL NOT NULL, active INTEGER NOT NULL);
CREATE TABLE builds (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL,
    seen INTEGER, added INTEGER, changed INTEGER, removed INTEGER, skipped INTEGER
);
"""
# Tables that catalogues of older versions lack. A build makes them; a reader of an older catalogue finds them empty.
ADDED_TABLES = {
    # by which what is on the disk is checked: the SHA-256 of a block of rows of a file, or of a whole file of no rows
    "checksums": "(file TEXT NOT NULL, first_row INTEGER NOT NULL, rows INTEGER NOT NULL, digest BLOB NOT NULL, "
    "PRIMARY KEY (file, first_row)) WITHOUT ROWID",
    "table_sums": "(name TEXT PRIMARY KEY, rows INTEGER NOT NULL, total BLOB NOT NULL) WITHOUT ROWID",
    "notes": "(row INTEGER PRIMARY KEY, note TEXT NOT NULL)",  # what was damaged in a photo that was indexed
    # What a row's photo is beside its picture. `taken` is what the clock showed where it was taken, in microseconds
    # from 1970 on, `taken_offset` its minutes from UTC; `taken_from` is 'file' if that is when the file was changed.
    "metadata": "(row INTEGER PRIMARY KEY, taken INTEGER NOT NULL, taken_offset INTEGER, taken_from TEXT NOT NULL, "
    "camera TEXT, lens TEXT, latitude REAL, longitude REAL, orientation INTEGER, kind TEXT NOT NULL)",
    # What belongs together: hashes of pictures, pairs of rows that look alike, and the rows of each stack as int64.
    "perceptual_hashes": "(row INTEGER PRIMARY KEY, hash BLOB NOT NULL)",
    "links": "(row INTEGER NOT NULL, other INTEGER NOT NULL, PRIMARY KEY (row, other)) WITHOUT ROWID",
    "stacks": "(id INTEGER PRIMARY KEY, rows BLOB NOT NULL)",
    # when a skipped photo is worth another try: a word of indexer.photos.retry
    "failures": "(root INTEGER, path BLOB, retry TEXT NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID",
    # photos that were embedded and are left out now: their rows are dead, and wait for them
    "left_out": "(root INTEGER NOT NULL REFERENCES roots, path BLOB NOT NULL, size INTEGER NOT NULL, "
    "mtime_ns INTEGER NOT NULL, row INTEGER NOT NULL, PRIMARY KEY (root, path)) WITHOUT ROWID",
    # what the last walk of a root passed over: counts by kind, and the first paths with a NUL between them
    "passed_over": "(root INTEGER NOT NULL REFERENCES roots, kind TEXT NOT NULL, files INTEGER NOT NULL, "
    "folders INTEGER NOT NULL, photos INTEGER NOT NULL, all_counted INTEGER NOT NULL, paths BLOB NOT NULL, "
    "PRIMARY KEY (root, kind)) WITHOUT ROWID",
    # what the last walk of a root should have read and did not
    "unseen": "(root INTEGER NOT NULL REFERENCES roots, path BLOB NOT NULL, reason TEXT NOT NULL, "
    "PRIMARY KEY (root, path)) WITHOUT ROWID",
}
# Indexes of these tables, by which filters find their rows.
ADDED_INDEXES = {
    "metadata_by_time": "metadata (taken)",
    "metadata_by_camera": "metadata (camera) WHERE camera IS NOT NULL",
    "metadata_by_place": "metadata (latitude, longitude) WHERE latitude IS NOT NULL",
    "metadata_by_kind": "metadata (kind)",
}
# Every table of values; the sums of them are in a table of their own.
TABLES = ("settings", "roots", "embeddings", "photos", "views", "builds", *(ADDED_TABLES.keys() - {"table_sums"}))


@cache
def columns_of(table: str) -> tuple[str, ...]:
    """Return the names of a table's columns, in their order.

    Args:
        table: One of `TABLES`.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        add_tables(connection, temporary=False)
        return tuple(str(name) for _, name, *_ in connection.execute(f"PRAGMA table_info({table})"))


def add_tables(connection: sqlite3.Connection, *, temporary: bool) -> None:
    """Add tables and indexes that an older version did not make, for this connection alone if the file is only read."""
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    for name, columns in ADDED_TABLES.items():
        if name not in present:
            connection.execute(f"CREATE {'TEMP ' if temporary else ''}TABLE IF NOT EXISTS {name} {columns}")
    if not temporary:
        for name, columns in ADDED_INDEXES.items():
            if name not in present:
                connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")
