"""Give an index of an older version what protects it: checksums of all files, then the present format; row records."""

from collections.abc import Iterator

from indexer.embedding.regions import FILLED_SETTING
from indexer.storage import manifest
from indexer.storage.atomic_files import explain_disk_errors
from indexer.storage.generations import WritableIndex
from indexer.storage.integrity.checksums import BlockChecksum, blocks_of_rows
from indexer.storage.recovery import row_records
from indexer.views.view_checksums import view_checksums


def fill_checksums(index: WritableIndex) -> bool:
    """Give an index of an older version checksums of everything, then the present format.

    Args:
        index: The index, whose catalogue holds all else that the present format asks for.

    Returns:
        Whether it was of an older version.

    Raises:
        PhotoseekError: One of its files cannot be read, or the index cannot be written.
    """
    if index.manifest.has_checksums:
        return False
    catalogue = index.catalogue
    with explain_disk_errors(index.folder):
        checksums = list(_checksums(index))
        with catalogue.transaction():
            # An older version that wrote in the meantime left those of rows that are no more.
            catalogue.checksums.drop()
            # Region vectors that an interrupted build began have none either: they are made anew from the first row.
            catalogue.set_setting(FILLED_SETTING, None)
            for file, block in checksums:
                catalogue.checksums.put(file, block)
        catalogue.begin_sums()
        return manifest.bring_up(index.folder)


def fill_records(index: WritableIndex) -> None:
    """Give every row its record, where an older version kept none, or a build was killed as it added region vectors.

    Args:
        index: The index.

    Raises:
        PhotoseekError: One of its files cannot be read, or the index cannot be written.
    """
    rows, path = index.catalogue.row_count(), index.folder / index.manifest.digest_file
    if rows and not row_records.has_rows(path, rows, with_regions=index.manifest.has_regions):
        with explain_disk_errors(index.folder):
            row_records.write_all(index.folder, index.manifest, index.catalogue)


def _checksums(index: WritableIndex) -> Iterator[tuple[str, BlockChecksum]]:
    """Yield the checksums of all files, each with the path below the index folder."""
    described, catalogue = index.manifest, index.catalogue
    rows = catalogue.row_count()
    for name, size in described.row_bytes.items():
        for block in blocks_of_rows(index.folder / name, 0, rows, size):
            yield name, block
    view = catalogue.active_view()
    if view is not None and (index.folder / "views" / view.id).is_dir():
        yield from view_checksums(index.folder / "views" / view.id, 0, view.rows)
