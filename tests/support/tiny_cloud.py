"""Indexes without photos: unit vectors from a cloud of few dimensions, with the shipped ranker attached."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np

from indexer.index import Index
from indexer.storage import vector_files
from indexer.storage.catalogue import Catalogue
from indexer.storage.records import NewPhoto
from indexer.storage.write_lock import write_lock
from reranker.ranker import Ranker

DIMENSIONS = 10


def vectors(count: int, width: int, seed: int = 0, dimensions: int = DIMENSIONS) -> np.ndarray:
    """Draw (count, width) float32 unit rows: a Gaussian cloud of few dimensions around one direction, as photos are."""
    generator = np.random.default_rng(seed)
    axes = np.linalg.qr(generator.standard_normal((width, dimensions + 1)))[0].T
    cloud = generator.standard_normal((count, dimensions)) @ axes[1:] + 3 * axes[0]
    return (cloud / np.linalg.norm(cloud, axis=1, keepdims=True)).astype(np.float32)


def make_index(folder: Path, count: int, ranker: Ranker, seed: int = 0) -> Index:
    """Make an index of `count` rows in folders of fifty: a/00/0000.jpg and so on."""
    folder.mkdir(parents=True)
    Catalogue(folder / "catalogue.sqlite", create=True).close()
    width = ranker.joint_space.map.A.shape[0]
    manifest = {"format": 1, "encoder": ranker.image_encoder, "encoder_name": "efficientnet-lite", "dim": width}
    (folder / "manifest.json").write_text(json.dumps({**manifest, "embeddings": "embeddings-1.f16"}))
    vector_files.append(folder / "embeddings-1.f16", 0, vectors(count, width, seed))
    photos = (NewPhoto(b"a/%02d/%04d.jpg" % (i // 50, i), 1, 1, b"%016d" % i, 40, 30) for i in range(count))
    with write_lock(folder), closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue:
        root = catalogue.root_id(bytes((folder / "photos").absolute()))
        with catalogue.transaction():
            catalogue.add_many(root, photos, 0)
    made = Index.open(folder)
    made.attach(ranker)
    return Index.open(folder)
