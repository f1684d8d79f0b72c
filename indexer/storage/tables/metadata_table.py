"""The table of what photos are beside their picture: when, where and with what they were taken, and of what kind.

A row of the index has one entry, as photos with the same bytes share it. Where the file does not say when it was taken,
the earliest time that was seen of a file of these bytes is kept. A kind that a name tells holds for all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import chain
from typing import Any, TypedDict

import numpy as np

from indexer.photos.metadata.record import PhotoMetadata, file_time
from indexer.storage.tables.database import Database

# Rows named in one statement; SQLite takes 999 or more values, by its version.
ROWS_PER_STATEMENT = 500
# Times are kept as microseconds of the clock where the photo was taken, counted from here.
CLOCK_START = datetime(1970, 1, 1)
COLUMNS = "taken, taken_offset, taken_from, camera, lens, latitude, longitude, orientation, kind"
# Whether an entry of a row brings an earlier time of a file than the entry that it has.
EARLIER = "taken_from = 'file' AND excluded.taken < taken"
# Every camera, found by one step of the index per camera: reading the whole index takes long in a large catalogue.
ALL_CAMERAS = """
WITH RECURSIVE names (name) AS (
    SELECT min(camera) FROM metadata WHERE camera IS NOT NULL
    UNION ALL SELECT (SELECT min(camera) FROM metadata WHERE camera > name) FROM names WHERE name IS NOT NULL
) SELECT name FROM names WHERE name IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class MetadataConditions:
    """Conditions that a photo's entry must meet, all of them; None for any.

    Attributes:
        after: The photo was taken at this time on the clock there, or later.
        before: It was taken earlier than this time.
        camera: Words that are all part of the camera's name, whatever their case.
        kind: Its kind.
        latitudes: (south, north), the degrees between which it was taken.
    """

    after: datetime | None = None
    before: datetime | None = None
    camera: tuple[str, ...] | None = None
    kind: str | None = None
    latitudes: tuple[float, float] | None = None


class MetadataSummary(TypedDict):
    """Summary of what an index knows of its photos beside their pictures; exact duplicates count each.

    Attributes:
        first_taken: The earliest time that a file says it was taken, in ISO format, None if none says so.
        last_taken: The latest such time.
        file_times: How many photos do not say when they were taken, so that the time of the file's change stands for
            it.
        places: How many say where they were taken.
        cameras: How many were taken with each camera, the commonest first.
        kinds: How many are of each kind, the commonest first.
        missing: How many were indexed by a version that did not read this; the next build reads it.
    """

    first_taken: str | None
    last_taken: str | None
    file_times: int
    places: int
    cameras: dict[str, int]
    kinds: dict[str, int]
    missing: int


class MetadataTable:
    """The table `metadata` of an open catalogue; a catalogue of an older version has an empty one.

    Args:
        database: The catalogue's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, row: int, metadata: PhotoMetadata, mtime_ns: int) -> None:
        """Keep what is known of a row's photo, inside a transaction.

        Args:
            row: The row.
            metadata: What its file says.
            mtime_ns: When the file was changed, in nanoseconds since 1970; stands for the time taken if that is not
                known. Of several files of a row, the earliest counts, and a kind that one of their names tells.
        """
        self.put_many([(row, metadata, mtime_ns)])

    def put_many(self, entries: Iterable[tuple[int, PhotoMetadata, int]]) -> None:
        """Keep what is known of the photos of many rows, inside a transaction.

        Args:
            entries: (row, metadata, mtime_ns) as `put` takes them.
        """
        self._database.run_for_each(
            f"INSERT INTO metadata (row, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (row) DO UPDATE "
            f"SET taken = CASE WHEN {EARLIER} THEN excluded.taken ELSE taken END, "
            f"taken_offset = CASE WHEN {EARLIER} THEN excluded.taken_offset ELSE taken_offset END, "
            "kind = CASE WHEN kind = 'photo' OR excluded.kind = 'raw' THEN excluded.kind ELSE kind END",
            (_values(*entry) for entry in entries),
        )

    def of_rows(self, rows: Sequence[int]) -> dict[int, PhotoMetadata]:
        """Return what is known of the photos of some rows.

        Args:
            rows: The rows.

        Returns:
            The metadata by row, without the rows that have no entry.
        """
        found = {}
        for start in range(0, len(rows), ROWS_PER_STATEMENT):
            block = [int(row) for row in rows[start : start + ROWS_PER_STATEMENT]]
            marks = ",".join("?" * len(block))
            for row, *values in self._database.run(
                f"SELECT row, {COLUMNS} FROM metadata WHERE row IN ({marks})", *block
            ):
                found[row] = _metadata(*values)
        return found

    def is_empty(self) -> bool:
        """Return whether no row has an entry, as in an index of an older version."""
        return not self._database.run("SELECT 1 FROM metadata LIMIT 1")

    def missing_rows(self) -> list[int]:
        """Return the rows of photos that have no entry, sorted."""
        return self._database.live_rows_missing_in("metadata")

    def select(self, conditions: MetadataConditions) -> np.ndarray:
        """Return the rows whose entry meets all conditions.

        Args:
            conditions: The conditions.

        Returns:
            (m,) int64, sorted; rows of deleted photos may be among them.
        """
        where, values = self._where(conditions)
        found = self._database.run(f"SELECT row FROM metadata WHERE {where}", *values)
        return np.sort(np.fromiter(chain.from_iterable(found), np.int64, len(found)))

    def select_places(self, conditions: MetadataConditions) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows whose entry meets all conditions and has a place, with that place.

        Args:
            conditions: The conditions.

        Returns:
            (m,) int64, sorted, as `select` does; (m, 2) float64 latitude and longitude in degrees.
        """
        where, values = self._where(conditions)
        query = f"SELECT row, latitude, longitude FROM metadata WHERE {where} AND latitude IS NOT NULL ORDER BY row"
        found = np.array(self._database.run(query, *values), np.float64).reshape(-1, 3)
        return found[:, 0].astype(np.int64), found[:, 1:]

    def _where(self, conditions: MetadataConditions) -> tuple[str, list[Any]]:
        """Return the conditions in SQL, and the values of its places."""
        parts: list[str] = ["1"]
        values: list[Any] = []
        if conditions.after is not None:
            parts.append("taken >= ?")
            values.append(_clock(conditions.after))
        if conditions.before is not None:
            parts.append("taken < ?")
            values.append(_clock(conditions.before))
        if conditions.camera is not None:
            names = [name for name in self._cameras() if all(w.lower() in name.lower() for w in conditions.camera)]
            parts.append(f"camera IN ({','.join('?' * len(names))})")
            values += names
        if conditions.kind is not None:
            parts.append("kind = ?")
            values.append(conditions.kind)
        if conditions.latitudes is not None:
            parts.append("latitude BETWEEN ? AND ?")
            values += conditions.latitudes
        return " AND ".join(parts), values

    def _cameras(self) -> Iterator[str]:
        """Yield the names of all cameras."""
        for (name,) in self._database.run(ALL_CAMERAS):
            yield name

    def times(self) -> np.ndarray:
        """Return the times of all entries, (n,) datetime64[us] sorted, as the clocks showed them."""
        found = self._database.run("SELECT taken FROM metadata ORDER BY taken")
        return np.fromiter((time for (time,) in found), np.int64, len(found)).astype("datetime64[us]")

    def summary(self) -> MetadataSummary:
        """Return what the entries of all photos say together."""
        joined = "FROM photos JOIN metadata USING (row)"
        first, last = self._database.run(f"SELECT min(taken), max(taken) {joined} WHERE taken_from <> 'file'")[0]
        counts = "sum(taken_from = 'file'), count(latitude), count(*)"
        file_times, places, known = self._database.run(f"SELECT {counts} {joined}")[0]
        photos = self._database.run("SELECT count(*) FROM photos WHERE row IS NOT NULL")[0][0]

        def counted(column: str) -> dict[str, int]:
            query = f"SELECT {column}, count(*) {joined} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1"
            return dict(self._database.run(query))

        return {
            "first_taken": None if first is None else _time(first, None).isoformat(),
            "last_taken": None if last is None else _time(last, None).isoformat(),
            "file_times": file_times or 0,
            "places": places,
            "cameras": counted("camera"),
            "kinds": counted("kind"),
            "missing": photos - known,
        }


def _values(row: int, known: PhotoMetadata, mtime_ns: int) -> tuple[Any, ...]:
    """Return the values of an entry."""
    taken, source = known.taken or file_time(mtime_ns), known.taken_from or "file"
    offset = taken.utcoffset()
    minutes = None if offset is None else offset // timedelta(minutes=1)
    place = (known.latitude, known.longitude)
    return (row, _clock(taken), minutes, source, known.camera, known.lens, *place, known.orientation, known.kind)


def _metadata(taken: int, offset: int | None, *others: Any) -> PhotoMetadata:
    """Make the record of the values of an entry, without its row."""
    return PhotoMetadata(_time(taken, offset), *others)


def _clock(time: datetime) -> int:
    """Return the microseconds of the clock that a time shows, whatever its offset."""
    return (time.replace(tzinfo=None) - CLOCK_START) // timedelta(microseconds=1)


def _time(microseconds: int, offset: int | None) -> datetime:
    """Return the time that a clock shows, with its offset in minutes."""
    zone = None if offset is None else timezone(timedelta(minutes=offset))
    return (CLOCK_START + timedelta(microseconds=microseconds)).replace(tzinfo=zone)
