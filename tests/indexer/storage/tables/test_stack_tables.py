from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexer.photos.perceptual_hash import WIDTH
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import NewPhoto


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    """A catalogue of three photos, rows 0 to 2."""
    opened = Catalogue(tmp_path / "catalogue.sqlite", create=True)
    with opened.transaction():
        root = opened.root_id(b"/photos")
        opened.add_many(root, [NewPhoto(b"%d.jpg" % i, 5, 7, b"digest %d" % i, 30, 20) for i in range(3)], 0)
    yield opened
    opened.close()


def test_hashes_come_back_by_row(catalogue: Catalogue) -> None:
    values = np.arange(2 * WIDTH, dtype=np.int64).reshape(2, WIDTH) % 255 - 127
    hashes = values.astype(np.int8)
    assert catalogue.stacks.rows_without_hash() == [0, 1, 2]
    with catalogue.transaction():
        catalogue.stacks.put_hashes([(2, hashes[1].tobytes()), (0, hashes[0].tobytes())])
    rows, found = catalogue.stacks.hashes()
    assert rows.tolist() == [0, 2]
    np.testing.assert_array_equal(found, hashes)
    assert catalogue.stacks.rows_without_hash() == [1]
    with catalogue.transaction():
        catalogue.remove(catalogue.root_id(b"/photos"), [b"1.jpg"])
    assert catalogue.stacks.rows_without_hash() == []


def test_a_link_is_kept_once(catalogue: Catalogue) -> None:
    assert catalogue.stacks.links().shape == (0, 2)
    for links in ([[2, 0], [1, 0]], [[2, 0], [2, 1]]):
        with catalogue.transaction():
            catalogue.stacks.add_links(np.array(links))
    assert catalogue.stacks.links().tolist() == [[1, 0], [2, 0], [2, 1]]
    with catalogue.transaction():
        catalogue.stacks.remove_links(np.array([[2, 0], [3, 0]]))
    assert catalogue.stacks.links().tolist() == [[1, 0], [2, 1]]


def test_stacks_are_written_anew(catalogue: Catalogue) -> None:
    assert catalogue.stacks.stacks() == []
    for stacks in ([[0, 1, 2]], [[2, 0], [1, 3, 2**40]]):
        with catalogue.transaction():
            catalogue.stacks.replace_stacks(stacks)
    assert catalogue.stacks.stacks() == [[0, 2], [1, 3, 2**40]]
    rows, lengths = catalogue.stacks.members()
    assert (rows.tolist(), lengths.tolist()) == ([0, 2, 1, 3, 2**40], [2, 3])


def test_a_catalogue_of_an_older_version_has_no_stacks(catalogue: Catalogue, tmp_path: Path) -> None:
    for name in ("perceptual_hashes", "links", "stacks"):
        catalogue._run(f"DROP TABLE {name}")
    catalogue.close()
    reader = Catalogue(tmp_path / "catalogue.sqlite")
    assert (reader.stacks.stacks(), reader.stacks.links().shape, len(reader.stacks.hashes()[0])) == ([], (0, 2), 0)
    reader.close()
