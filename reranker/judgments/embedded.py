"""Embed the photos and captions of judged data; the vectors are kept in the user's cache."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from indexer.cache_folder import cache_folder, explain_cache_errors
from indexer.callbacks import BuildCallbacks
from indexer.encoders import ImageEncoder, TextEncoder, Tokens
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.judgments.judgments import Judgments, photo_of
from reranker.judgments.training_sets import PhotoSets

Progress = Callable[[int, int], None]

# Captions per call of the text encoder: the tokens of all captions in float32 would take a gigabyte.
CHUNK = 2048


@dataclass(frozen=True, slots=True)
class EmbeddedJudgments:
    """Judged data as arrays.

    Attributes:
        photos: Names of n photos.
        x: (n, d) float32 image embeddings of the photos.
        captions: Ids of m captions.
        texts: Texts of the captions.
        t: (m, e) float32 text vectors of the captions.
        owner: (m,) int64, the place of the photo that each caption was written for; -1 where it is not among `photos`.
        tokens: Word pieces of the captions, with float16 vectors; no rows where the encoder gives none.
        regions: (n, count, r) int8 region vectors of the photos, of any norm; None where the encoder gives none.
        class_dim: Number of the last columns of x that a classifier computes.
        photo_sets: Which set each photo comes from; None where all are of one.
        bank: (b,) int64, rows of captions without a photo that widen what hubness is measured against.
        other_captions: More captions without a photo; a training knows their words.
    """

    photos: tuple[str, ...]
    x: np.ndarray
    captions: tuple[str, ...]
    texts: tuple[str, ...]
    t: np.ndarray
    owner: np.ndarray
    tokens: Tokens
    regions: np.ndarray | None = None
    class_dim: int = 0
    photo_sets: PhotoSets | None = None
    bank: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    other_captions: tuple[str, ...] = ()

    @property
    def sets(self) -> PhotoSets:
        """Which set each photo comes from."""
        return self.photo_sets or PhotoSets.one(len(self.photos))

    def select(self, photos: np.ndarray) -> "EmbeddedJudgments":
        """Keep some photos and all captions.

        Args:
            photos: (k,) int, the places of the photos to keep, sorted.

        Returns:
            The data of these photos; captions of the other photos have no owner.
        """
        position = np.full(len(self.photos) + 1, -1)
        position[photos] = np.arange(len(photos))
        names = tuple(self.photos[row] for row in photos)
        regions = None if self.regions is None else self.regions[photos]
        return replace(
            self,
            photos=names,
            x=self.x[photos],
            owner=position[self.owner],
            regions=regions,
            photo_sets=self.sets.select(photos),
        )


def embed_judgments(
    judgments: Judgments, image: ImageEncoder, text: TextEncoder, on_progress: Progress | None = None
) -> EmbeddedJudgments:
    """Embed the photos and captions of judged data, or read them from the cache.

    Photos that were embedded before an interruption are kept.

    Args:
        judgments: The judged data.
        image: The image encoder.
        text: The text encoder.
        on_progress: Called with (done, in all), for each photo folder and for the captions.

    Returns:
        The judged data as arrays.

    Raises:
        PhotoseekError: A photo cannot be read, or int8 was asked for and no index would be in int8.
    """
    photos = tuple(judgments.photos)
    captions = tuple(judgments.captions)
    texts = tuple(judgments.captions.values())
    position = {name: i for i, name in enumerate(photos)}
    owner = np.array([position.get(photo_of(caption), -1) for caption in captions], np.int64)
    x, regions = embed_photos([judgments.photos[name] for name in photos], image, on_progress)
    t, tokens = embed_with_tokens(texts, text, on_progress)
    return EmbeddedJudgments(photos, x, captions, texts, t, owner, tokens, regions, image.class_dim)


def embed_photos(
    files: Sequence[Path], encoder: ImageEncoder, on_progress: Progress | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Embed photo files, through one index per folder in the cache.

    Args:
        files: n photo files.
        encoder: The image encoder.
        on_progress: Called with (photos done, photos in all) of each folder.

    Returns:
        Embeddings, (n, d) float32, and region vectors, (n, count, r) int8 or None where the encoder gives none.

    Raises:
        PhotoseekError: A photo cannot be read, or int8 was asked for and no index would be in int8.
    """
    found = read_photos(files, encoder, on_progress)
    if found.unreadable:
        path = next(path for path in files if path in found.unreadable)
        raise PhotoseekError(f"judged photo {path} cannot be read: {found.unreadable[path]}")
    x = np.stack([found.embeddings[path] for path in files]).astype(np.float32)
    if any(path not in found.regions for path in files):
        return x, None
    return x, np.stack([found.regions[path] for path in files])


@dataclass(frozen=True, slots=True)
class ReadPhotos:
    """Photo files with their vectors, as an index stores them.

    Attributes:
        embeddings: File -> its embedding, (d,) float16; of every photo in the folders, whether asked for or not.
        regions: File -> its region vectors, (count, r) int8; empty where the encoder gives none.
        unreadable: File that was asked for and cannot be read -> the reason.
    """

    embeddings: dict[Path, np.ndarray]
    regions: dict[Path, np.ndarray]
    unreadable: dict[Path, str]


def read_photos(files: Sequence[Path], encoder: ImageEncoder, on_progress: Progress | None = None) -> ReadPhotos:
    """Embed photo files as far as they can be read, through one index per folder in the cache.

    Args:
        files: Photo files.
        encoder: The image encoder.
        on_progress: Called with (photos done, photos in all) of each folder.

    Returns:
        The vectors, and the files that cannot be read.

    Raises:
        PhotoseekError: int8 was asked for and no index would be in int8.
    """
    found = ReadPhotos({}, {}, dict.fromkeys(files, "no photo"))
    for folder in sorted({path.parent for path in files}):
        index = _index_of(folder, encoder, on_progress)
        stored, regions = index.embeddings(), index.regions()
        for photo in index.catalogue.all_photos():
            path = folder / os.fsdecode(photo.path)
            if photo.row is not None:
                found.embeddings[path] = stored[photo.row]
                if regions is not None:
                    found.regions[path] = regions[photo.row]
                found.unreadable.pop(path, None)
            elif path in found.unreadable:
                found.unreadable[path] = photo.reason or "no photo"
    _follow_links(found)
    return found


def _follow_links(found: ReadPhotos) -> None:
    """Give links what the photo has that they lead to, which an index has once."""
    links = [path for path in found.unreadable if path.is_symlink()]
    if not links:
        return
    photos = {os.path.realpath(path): path for path in found.embeddings}
    for link in links:
        photo = photos.get(os.path.realpath(link))
        if photo is not None:
            found.embeddings[link] = found.embeddings[photo]
            if photo in found.regions:
                found.regions[link] = found.regions[photo]
            del found.unreadable[link]


def _index_of(folder: Path, encoder: ImageEncoder, on_progress: Progress | None) -> Index:
    """Build or update the index of a photo folder in the cache; there is one for each precision asked for."""
    asked = encoder.asked_precision if isinstance(encoder, ImageEncoder) else "auto"
    precision = "" if asked == "auto" else f" {asked}"
    name = hashlib.sha256(f"{encoder.fingerprint}{precision} {folder.absolute()}".encode()).hexdigest()[:16]

    def refuse_other_precision(note: str) -> None:
        # Stop before anything is embedded: results of another precision would pass for those of this one.
        if asked not in ("auto", encoder.resolve_precision()):
            raise PhotoseekError(f"{folder} is not measured in {asked}, as no index of it would be: {note}")

    return Index.build(
        folder,
        cache_folder() / "judged" / name,
        encoder=encoder,
        regions=encoder.region_shape[0] > 0,
        callbacks=BuildCallbacks(on_progress or (lambda _done, _total: None), on_note=refuse_other_precision),
    )


def embed_with_tokens(
    texts: Sequence[str], encoder: TextEncoder, on_progress: Progress | None = None
) -> tuple[np.ndarray, Tokens]:
    """Encode texts with their tokens, or read them from the cache, which keeps both as float16.

    Args:
        texts: n texts.
        encoder: The text encoder.
        on_progress: Called with (texts done, texts in all).

    Returns:
        Text vectors, (n, e) float32, and tokens. The tokens' vectors stay float16 in memory: those of 35,000 captions
        take half a gigabyte.
    """

    def write(path: Path) -> None:
        vectors, parts = [], []
        for start in range(0, len(texts) or 1, CHUNK):
            t, tokens = encoder.encode_with_tokens(texts[start : start + CHUNK])
            vectors.append(t.astype(np.float16))
            parts.append(replace(tokens, vectors=tokens.vectors.astype(np.float16)))
            if on_progress is not None:
                on_progress(min(start + CHUNK, len(texts)), len(texts))
        tokens = Tokens.join(parts)
        arrays = {"vectors": tokens.vectors, "pieces": tokens.pieces, "offsets": tokens.offsets}
        save_file({"texts": np.concatenate(vectors), **arrays}, path)

    arrays = load_file(_cached_file(texts, encoder, write))
    return arrays.pop("texts").astype(np.float32), Tokens(**arrays)


def _cached_file(texts: Sequence[str], encoder: TextEncoder, write: Callable[[Path], None]) -> Path:
    """Return the cache's file for these texts; if it is missing, `write(path)` makes it, complete or not at all."""
    digest = hashlib.sha256("\0".join([encoder.fingerprint, *texts]).encode("utf-8", "surrogatepass")).hexdigest()[:20]
    path = cache_folder() / "texts" / f"{digest}.safetensors"
    if not path.exists():
        with explain_cache_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                write(Path(scratch) / path.name)
                os.replace(Path(scratch) / path.name, path)
    return path
