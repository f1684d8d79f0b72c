"""Write an index of synthetic photos beside a real one. It has no photo files."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.photos.metadata.record import NOT_READ, PhotoMetadata
from indexer.storage import vector_files
from indexer.storage.catalogue import Catalogue
from indexer.storage.generations import open_for_writing
from indexer.storage.manifest import FORMAT, write_values
from indexer.storage.records import NewPhoto
from search.bench.synthetic.photos import CHOICES, Recipe, nearest_photos, photo_blocks, source_rows, tune
from search.opened_view import ranker_of

# Photos per folder at most, and their width and height in pixels.
FOLDER_ROWS = 1_000
SHAPE = (500, 375)
# When the first photo was taken, and the time between two.
FIRST_TIME, BETWEEN = datetime(2020, 1, 1), timedelta(minutes=1)

OnStage = Callable[[str, int, int], None]


def synthetic_index(real: Index, photos: int, on_stage: OnStage | None = None, seed: int = 0) -> Index:
    """Make an index of synthetic photos beside the real one's folder, with the same ranker attached.

    It is kept and made only once. If it is cut short, the next call goes on where it stopped.

    Args:
        real: The real index.
        photos: How many synthetic photos.
        on_stage: Called with (stage, done, total).
        seed: The seed of the random draws.

    Returns:
        The synthetic index, opened.

    Raises:
        PhotoseekError: The real index has no ranker or too few photos, or the folder holds something else.
    """
    report = on_stage or (lambda stage, done, total: None)
    place = real.folder.resolve()
    folder = place.with_name(f"{place.name}-synthetic-{photos}")
    ranker = ranker_of(real.view())
    sources = source_rows(real, seed)
    recipe = _recipe_for(folder, real, sources, photos, seed, report)
    _add_photos(folder, sources, recipe, report)
    Index.open(folder).attach(ranker, lambda done, total: report("view", done, total))
    return Index.open(folder)


def read_recipe(folder: Path) -> Recipe | None:
    """Read the recipe of a synthetic index.

    Args:
        folder: The index folder.

    Returns:
        The recipe; None if the folder is not a synthetic index.
    """
    try:
        return Recipe(**json.loads((folder / "manifest.json").read_text())["synthetic"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _recipe_for(folder: Path, real: Index, sources: np.ndarray, photos: int, seed: int, report: OnStage) -> Recipe:
    """Return the recipe of a synthetic index, and begin the index if it is not there."""
    digest = hashlib.sha256(np.ascontiguousarray(sources, np.float32).tobytes()).hexdigest()[:16]
    recipe = read_recipe(folder)
    if recipe is None:
        if folder.is_dir() and any(folder.iterdir()):
            raise PhotoseekError(f"{folder} is not a synthetic index and not empty; move it away")
        near = nearest_photos(sources)
        report("tuning", 0, len(CHOICES))
        chosen = tune(sources, near, seed, lambda done: report("tuning", done, len(CHOICES)))
        recipe = Recipe(photos, *chosen, seed, digest)
        _create(folder, real, recipe)
    elif recipe.source != digest:
        raise PhotoseekError(f"{folder} was made of other photos than {real.folder} holds now; delete it")
    return recipe


def _add_photos(folder: Path, sources: np.ndarray, recipe: Recipe, report: OnStage) -> None:
    """Add the photos that a synthetic index lacks, block by block."""
    with open_for_writing(folder) as index:
        catalogue, name = index.catalogue, index.manifest.embeddings
        done = catalogue.row_count()
        if done < recipe.photos:
            root = catalogue.root_id(bytes((folder / "photos").absolute()))
            for start, block in photo_blocks(sources, recipe, done):
                checksum = vector_files.append(folder / name, start, block)
                photos = list(_photos(start, len(block), recipe.photos))
                with catalogue.transaction():
                    catalogue.checksums.put(name, checksum)
                    catalogue.add_many(root, photos, start)
                    catalogue.metadata.put_many((row, p.metadata or NOT_READ, 0) for row, p in enumerate(photos, start))
                report("photos", start + len(block), recipe.photos)


def _photos(start: int, count: int, total: int) -> Iterator[NewPhoto]:
    """Yield the catalogue entries of `count` photos from row `start` on, in folders of alike photos, a minute apart.

    Ten folders lie in one, and ten of these in another.
    """
    per_folder = max(1, min(FOLDER_ROWS, total // 20))
    for row in range(start, start + count):
        folder = row // per_folder
        path = b"%04d/%05d/%06d/%08d.jpg" % (folder // 100, folder // 10, folder, row)
        known = PhotoMetadata(FIRST_TIME + row * BETWEEN, "exif", kind="photo")
        yield NewPhoto(path, 0, 0, row.to_bytes(16, "big"), *SHAPE, metadata=known)


def _create(folder: Path, real: Index, recipe: Recipe) -> None:
    """Begin a synthetic index: an empty catalogue, and the manifest of the real index with the recipe in it."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = replace(real.manifest, embeddings="embeddings-1.f16", region_shape=(0, 0), format=FORMAT)
    Catalogue(folder / manifest.catalogue_file, create=True).close()
    write_values(folder, {**manifest.to_json(), "synthetic": asdict(recipe)})
