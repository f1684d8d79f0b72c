"""Damaged photos in an index: those that viewers show are rows with a note, the others are skipped with a reason."""

import json
import sqlite3
import zlib

import numpy as np

from command_line import photoseek
from indexer.index import Index
from photo_samples import encoded, smooth
from tiny_index import build, grey, rows

PHOTO = smooth(64, 64)
JPEG = encoded(PHOTO, "JPEG", quality=90)
PNG = encoded(PHOTO, "PNG")
TEXT = b"tEXtComment\0hello"
WRONG = PNG[:33] + (len(TEXT) - 4).to_bytes(4, "big") + TEXT + (zlib.crc32(TEXT) ^ 1).to_bytes(4, "big") + PNG[33:]
END, CHUNK = "cut off: the end marker is missing", "damaged chunks of the PNG (tEXt)"


def write(photos) -> None:
    grey(photos, neighbour=77)
    (photos / "whole.jpg").write_bytes(JPEG)
    (photos / "no_end.jpg").write_bytes(JPEG[:-2])
    (photos / "half.jpg").write_bytes(JPEG[: len(JPEG) // 2])
    (photos / "wrong.png").write_bytes(WRONG)
    (photos / "twin.png").write_bytes(WRONG)


def test_damaged_photos_get_the_row_of_their_picture_and_a_note(photos, folder):
    write(photos)
    opened = build(photos, folder)
    found = rows(opened)
    assert found["half.jpg"] == "the file is cut short"
    vectors = opened.embeddings()
    assert np.array_equal(vectors[found["no_end.jpg"]], vectors[found["whole.jpg"]])
    assert found["wrong.png"] == found["twin.png"]
    assert abs(vectors[found["wrong.png"]].astype(float) - vectors[found["whole.jpg"]]).max() < 0.01
    neighbour = vectors[found["neighbour.png"]].astype(float)
    assert abs(neighbour - np.array([77 / 255] * 3 + [0.5]) / np.linalg.norm([77 / 255] * 3 + [0.5])).max() < 0.001
    notes = [("no_end.jpg", END), ("twin.png", CHUNK), ("wrong.png", CHUNK)]
    assert opened.facts()["notes"] == notes
    assert build(photos, folder).facts()["notes"] == notes


def test_notes_go_with_their_photos(photos, folder):
    write(photos)
    build(photos, folder)
    (photos / "no_end.jpg").write_bytes(JPEG)
    (photos / "twin.png").unlink()
    (photos / "wrong.png").rename(photos / "moved.png")
    assert build(photos, folder).facts()["notes"] == [("moved.png", CHUNK)]


def test_info_counts_and_lists_damaged_photos(photos, folder):
    grey(photos, neighbour=77)
    build(photos, folder)
    assert not any(line.startswith("damaged") for line in photoseek("info", "-i", folder).stdout.splitlines())
    write(photos)
    build(photos, folder)
    assert "damaged         3 indexed although damaged" in photoseek("info", "-i", folder).stdout.splitlines()
    result = photoseek("info", "-i", folder, "--skipped")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-6:] == [
        "1 skipped",
        "  half.jpg: the file is cut short",
        "3 indexed although damaged",
        f"  no_end.jpg: {END}",
        f"  twin.png: {CHUNK}",
        f"  wrong.png: {CHUNK}",
    ]
    printed = json.loads(photoseek("info", "-i", folder, "--json").stdout)
    assert printed["notes"] == [["no_end.jpg", END], ["twin.png", CHUNK], ["wrong.png", CHUNK]]


def test_an_index_of_an_older_version_has_no_notes(photos, folder):
    write(photos)
    opened = build(photos, folder)
    opened.catalogue.close()
    with sqlite3.connect(folder / "catalogue.sqlite") as connection:
        connection.execute("DROP TABLE notes")
    assert Index.open(folder).facts()["notes"] == []
