"""The state of an index, as `photoseek info` prints it."""

import os
from pathlib import Path
from typing import TypedDict

from indexer.building.roots.passed_over import sum_by_kind
from indexer.embedding.index_precision import SETTING
from indexer.photos.rules.patterns import Patterns
from indexer.storage.catalogue import Catalogue
from indexer.storage.manifest import Manifest
from indexer.storage.tables.metadata_table import MetadataSummary


class IndexFacts(TypedDict):
    """The state of an index, as `photoseek info --json` prints it.

    Attributes:
        index: Its folder.
        photos: How many photos have an embedding; exact duplicates count each.
        rows: How many embeddings there are, dead ones included.
        dead_rows: How many of these no photo has any more.
        skipped: How many photos, and folders, should have been read and were not.
        roots: The photo folders.
        exclude: Patterns of what is left out.
        include: Patterns of what is taken all the same.
        left_out: How many photos are left out that have been embedded.
        passed_over: How many files the last walks passed over, by kind, with the photos in folders that are left out.
        encoder: Fingerprint of the image encoder.
        precision: What the embeddings were computed in; None in CUDA and in indexes of older versions.
        dim: Width of an embedding.
        regions: Whether the index keeps region vectors.
        ranker: Id of the attached ranker, None if there is none.
        tail: How many rows are not in the ranker's view yet.
        policy: Name or file of the policy that searches obey, None if there is none.
        megabytes: Size of the folder, in 10^6 bytes.
        builds: How many builds there were.
        unfinished: How many of them were cut short.
        metadata: What is known of the photos beside their pictures.
        skipped_photos: Path and reason of each of the skipped.
        notes: Path and damage of each photo that was indexed although it is damaged.
    """

    index: str
    photos: int
    rows: int
    dead_rows: int
    skipped: int
    roots: list[str]
    exclude: list[str]
    include: list[str]
    left_out: int
    passed_over: dict[str, int]
    encoder: str
    precision: str | None
    dim: int
    regions: bool
    ranker: str | None
    tail: int
    policy: str | None
    megabytes: float
    builds: int
    unfinished: int
    metadata: MetadataSummary
    skipped_photos: list[tuple[str, str | None]]
    notes: list[tuple[str, str]]


def read_facts(folder: Path, manifest: Manifest, catalogue: Catalogue, rows: int) -> IndexFacts:
    """Read the state of an index: counts, encoder, ranker, sizes, skipped photos.

    Args:
        folder: The index folder.
        manifest: What it holds.
        catalogue: Its catalogue.
        rows: How many embeddings it had when it was opened.
    """
    photos = list(catalogue.all_photos())
    failed = [(os.fsdecode(photo.path), photo.reason) for photo in photos if photo.row is None]
    skipped = failed + [(os.fsdecode(path), reason) for path, reason in catalogue.unindexed.unseen()]
    patterns = Patterns.from_json(catalogue.setting(Patterns.SETTING))
    active = catalogue.active_view()
    size = sum(os.path.getsize(path) for path in folder.rglob("*") if os.path.isfile(path))
    builds = catalogue.builds()
    return {
        "index": str(folder),
        "photos": len(photos) - len(failed),
        "rows": rows,
        "dead_rows": len(catalogue.dead_rows()),
        "skipped": len(skipped),
        "roots": [os.fsdecode(root) for root in catalogue.roots()],
        "exclude": list(patterns.exclude),
        "include": list(patterns.include),
        "left_out": catalogue.unindexed.left_out_count(),
        "passed_over": {
            kind.kind: kind.files + kind.photos
            for kind in sum_by_kind(files for _, files in catalogue.unindexed.passed_over())
        },
        "encoder": manifest.encoder,
        "precision": catalogue.setting(SETTING),
        "dim": manifest.dim,
        "regions": manifest.has_regions,
        "ranker": None if active is None else active.ranker_id,
        "tail": rows - (0 if active is None else active.rows),
        "policy": catalogue.setting("policy"),
        "megabytes": round(size / 1e6, 1),
        "builds": len(builds),
        "unfinished": sum(build.finished is None for build in builds),
        "metadata": catalogue.metadata.summary(),
        "skipped_photos": skipped,
        "notes": [(os.fsdecode(path), note) for path, note in catalogue.notes()],
    }
