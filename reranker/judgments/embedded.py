"""Vectors of judged data: every photo and caption embedded once, kept in the user's cache."""

import hashlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from indexer.encoders import ImageEncoder, TextEncoder, Tokens
from indexer.encoders.network import cache_folder
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.judgments.judged_folder import Judgments, photo_of

Progress = Callable[[int, int], None]

# Captions encoded at a time: all of them in float32 would take a gigabyte.
CHUNK = 2048


@dataclass(frozen=True, slots=True)
class EmbeddedJudgments:
    """Judged data as arrays.

    x: (n, d) float32 image embeddings of `photos`; t: (m, e) float32 text vectors of `captions` (ids) and `texts`;
    owner: (m,) the photo that each caption was written for, -1 where it is not among `photos`; tokens: the word pieces
    of `captions`, their vectors float16, no rows where the encoder gives none; regions: (n, count, r) int8 region
    vectors of `photos`, directions, None where the encoder gives none; class_dim: how many of the last columns of x
    are a classifier's view.
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

    def select(self, photos: np.ndarray) -> "EmbeddedJudgments":
        """Only these photos (sorted rows), with every caption; captions of other photos have no owner then."""
        position = np.full(len(self.photos) + 1, -1)
        position[photos] = np.arange(len(photos))
        names = tuple(self.photos[row] for row in photos)
        regions = None if self.regions is None else self.regions[photos]
        return replace(self, photos=names, x=self.x[photos], owner=position[self.owner], regions=regions)


def embed_judgments(
    judgments: Judgments, image: ImageEncoder, text: TextEncoder, on_progress: Progress | None = None
) -> EmbeddedJudgments:
    """Embed the photos and captions of judged data, reading from the cache what it has. Can be interrupted."""
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
    """Embeddings (n, d) float32 and region vectors (n, count, r) int8 of photo files, if the encoder gives them.

    They come through one index a folder in the cache. PhotoseekError names the first photo that does not open.
    """
    found, unread = read_photos(files, encoder, on_progress)
    if unread:
        path = next(path for path in files if path in unread)
        raise PhotoseekError(f"judged photo {path} cannot be read; photoseek build {path.parent} says why")
    x = np.stack([found[path][0] for path in files]).astype(np.float32)
    parts = [found[path][1] for path in files]
    return x, None if any(part is None for part in parts) else np.stack(parts)  # type: ignore[arg-type]


def read_photos(
    files: Sequence[Path], encoder: ImageEncoder, on_progress: Progress | None = None
) -> tuple[dict[Path, tuple[np.ndarray, np.ndarray | None]], dict[Path, str]]:
    """What opens: file -> its vector (d,) float16 and its regions (count, r) int8 or None; and the others with the
    reason why they do not open. Raises PhotoseekError where int8 was asked for and would be refused for an index."""
    found: dict[Path, tuple[np.ndarray, np.ndarray | None]] = {}
    unread = dict.fromkeys(files, "no photo")
    for folder in sorted({path.parent for path in files}):
        index = _index_of(folder, encoder, on_progress)
        stored, regions = index.embeddings(), index.regions()
        for photo in index.catalogue.all_photos():
            path = folder / os.fsdecode(photo.path)
            if photo.row is not None:
                found[path] = (stored[photo.row], None if regions is None else regions[photo.row])
                unread.pop(path, None)
            elif path in unread:
                unread[path] = photo.reason or "no photo"
    return found, unread


def _index_of(folder: Path, encoder: ImageEncoder, on_progress: Progress | None) -> Index:
    """The cache's index of a photo folder, made or brought up to date; each precision that is asked for has its own."""
    asked = encoder.asked_precision if isinstance(encoder, ImageEncoder) else "auto"
    precision = "" if asked == "auto" else f" {asked}"
    name = hashlib.sha256(f"{encoder.fingerprint}{precision} {folder.absolute()}".encode()).hexdigest()[:16]

    def refuse(note: str) -> None:
        # Before anything is embedded: figures of another precision would be taken for those of this one.
        if asked != "auto":
            raise PhotoseekError(f"{folder} is not measured in {asked}, as no index of it would be: {note}")

    return Index.build(
        folder,
        cache_folder() / "judged" / name,
        encoder=encoder,
        regions=encoder.regions[0] > 0,
        on_progress=on_progress,
        on_note=refuse,
    )


def embed_texts(texts: Sequence[str], encoder: TextEncoder) -> np.ndarray:
    """(n, e) float32 text vectors, kept as float16 in the cache."""
    path = _kept(texts, encoder, ".npy", lambda path: np.save(path, encoder.encode(texts).astype(np.float16)))
    return np.load(path).astype(np.float32)


def embed_with_tokens(
    texts: Sequence[str], encoder: TextEncoder, on_progress: Progress | None = None
) -> tuple[np.ndarray, Tokens]:
    """(n, e) float32 text vectors and the texts' tokens, from one pass; the cache keeps both as float16.

    The tokens' vectors stay float16 in memory: those of 35,000 captions take half a gigabyte.
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

    arrays = load_file(_kept(texts, encoder, ".safetensors", write))
    return arrays.pop("texts").astype(np.float32), Tokens(**arrays)


def _kept(texts: Sequence[str], encoder: TextEncoder, suffix: str, write: Callable[[Path], None]) -> Path:
    """The cache's file about these texts; `write(path)` makes it where there is none, beside it and renamed."""
    digest = hashlib.sha256("\0".join([encoder.fingerprint, *texts]).encode("utf-8", "surrogatepass")).hexdigest()[:20]
    path = cache_folder() / "texts" / f"{digest}{suffix}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            write(Path(scratch) / path.name)
            os.replace(Path(scratch) / path.name, path)
    return path
