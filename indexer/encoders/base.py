"""What an encoder is: a name, a fingerprint, and a way from pixels or sentences to unit vectors."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexer.encoders.network import (
    Network,
    export,
    read_facts,
    write_checked,
    write_facts,
)
from indexer.encoders.precision import choose_precision, float_precision
from indexer.errors import PhotoseekError

if TYPE_CHECKING:
    # The decoders, which a search does not need.
    from indexer.photos.decode import Fit

BATCH = 8
MAX_TOKENS = 256
# More than a tokenizer puts before and behind a sentence.
SPECIAL_PIECES = 8
# Sentences are padded to a multiple of this many word pieces: OpenVINO prepares anew for every shape it has not seen
# lately, which costs as much as two short queries.
WIDTH_STEP = 4
TEXT_BATCH = 32
# From so many texts on, batches run side by side, in a network compiled for that.
MANY = 256
# Word pieces that name nothing a photo could show, and the piece of what the vocabulary cannot spell.
STOP_WORDS = (
    "the a of and is in an on with to at by for his her its it that this are from as while be or their he she they "
    "there s has have was"
)
STOP_PIECES = frozenset([*STOP_WORDS.split(), "[UNK]"])
MOST_PIECES = 16


@dataclass(slots=True)
class ImageEncoder:
    """Pixels -> image embeddings.

    `folder` holds the exported network, which takes (n, size, size, 3) uint8 and gives float32 rows; scaling and
    normalising the pixels are part of it. On CUDA `module` runs instead. A row is the embedding, `dim` wide, and behind
    it the region vectors one after the other: `regions` says (how many, how wide), (0, 0) if there are none. Each is
    the unit vector of a part of the photo.

    The last `class_dim` columns of an embedding say what a classifier makes of the photo; `prototypes`
    (classes, dim) float32 are the embeddings of photos that show one of its classes and nothing else, unit rows.

    `precision` is one of `precision.PRECISIONS`, "auto" until the first photo; `int8` the folder of the network that
    was calibrated, without which there is no precision "int8". An index says which one it was made with.
    `asked_precision` stays what `precision` was at first.
    """

    name: str
    fingerprint: str
    dim: int
    fit: "Fit"
    folder: Path
    precision: str = "auto"
    module: Any = None
    regions: tuple[int, int] = (0, 0)
    class_dim: int = 0
    prototypes: np.ndarray | None = field(default=None, repr=False)
    int8: Path | None = None
    asked_precision: str = field(init=False)
    _network: Network | None = field(default=None, repr=False)
    _loading: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        self.asked_precision = self.precision

    def encode(self, images: np.ndarray) -> np.ndarray:
        """images: (n, size, size, 3) uint8 RGB -> (n, dim) float32, unit rows."""
        return np.ascontiguousarray(self._rows(images)[:, : self.dim])

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `encode`, with the region vectors beside the embeddings: (n, dim) and (n, *regions) float32, all unit."""
        embeddings, regions = np.split(self._rows(images), [self.dim], axis=1)
        return np.ascontiguousarray(embeddings), regions.reshape(len(images), *self.regions)

    def _rows(self, images: np.ndarray) -> np.ndarray:
        """(n, dim + count * width) float32: the network's own rows."""
        if len(images) == 0:
            count, width = self.regions
            return np.zeros((0, self.dim + count * width), np.float32)
        if self.module is not None:
            return _on_cuda(self.module, images)
        with self._loading:
            if self._network is None:
                self._network = self._load()
        return self._network.run_blocks(images)

    def use_precision(self, precision: str, int8: Path | None = None) -> None:
        """Compute in this precision from now on; `int8`: the folder of the calibrated network."""
        if (precision, int8) != (self.precision, self.int8):
            self.precision, self.int8, self._network = precision, int8, None

    def resolve_precision(self) -> str:
        """Choose the precision if it is still open, and say which it is."""
        # The embeddings alone decide: they find a photo, its regions only move it among those found.
        self.precision = choose_precision(
            self.folder, self.precision, lambda: (sample_images(self.fit.size),), self.dim
        )
        return self.precision

    def _load(self) -> Network:
        precision, folder = self.resolve_precision(), self.folder
        if precision == "int8":
            if self.int8 is None:
                raise PhotoseekError("int8 is calibrated on photos: photoseek build PHOTOS --precision int8 does")
            folder = self.int8
        return Network(folder, float_precision(precision), "throughput", BATCH)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Word pieces of m sentences, side by side.

    vectors: (p, w) float32; pieces: (p,) int64 vocabulary numbers; offsets: (m + 1,) int64, sentence i has rows
    offsets[i]:offsets[i + 1].
    """

    vectors: np.ndarray
    pieces: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        """How many sentences."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """(m,) int64: how many pieces each sentence has."""
        return np.diff(self.offsets)

    def select(self, sentences: np.ndarray) -> "Tokens":
        """Only these sentences, in that order. sentences: (k,) row numbers, or (m,) bool."""
        lengths = self.lengths[sentences]
        offsets = _offsets(lengths)
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][sentences] - offsets[:-1], lengths)
        return Tokens(self.vectors[rows], self.pieces[rows], offsets)

    @classmethod
    def join(cls, parts: Sequence["Tokens"]) -> "Tokens":
        """The sentences of one or more parts, in that order."""
        vectors = np.concatenate([part.vectors for part in parts])
        pieces = np.concatenate([part.pieces for part in parts])
        return cls(vectors, pieces, _offsets(np.concatenate([part.lengths for part in parts])))

    @classmethod
    def none(cls, sentences: int, width: int = 0) -> "Tokens":
        """So many sentences without a piece."""
        return cls(np.zeros((0, width), np.float32), np.zeros(0, np.int64), np.zeros(sentences + 1, np.int64))


def _offsets(lengths: np.ndarray | Sequence[int]) -> np.ndarray:
    """lengths: (m,) -> (m + 1,) int64, from 0 to their sum."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def content_places(pieces: Sequence[str]) -> list[int]:
    """Where among a sentence's pieces, the start and the end included, those with content are: one or more, at most 16.

    A sentence without any gives its first piece, one without a piece its start, so that none is left empty.
    """
    inner = range(1, len(pieces) - 1)
    places = [i for i in inner if pieces[i] not in STOP_PIECES and any(map(str.isalnum, pieces[i]))]
    return places[:MOST_PIECES] or [1 if inner else 0]


@dataclass(slots=True)
class TextEncoder:
    """Sentences -> text vectors, through a tokenizer and an exported network of (ids, mask) -> (n, dim) float32.

    Where `token_dim` is not 0, the network's second output is (n, width, token_dim) float32, a vector for every piece.
    """

    name: str
    fingerprint: str
    dim: int
    folder: Path
    max_tokens: int = MAX_TOKENS
    precision: str = "auto"
    token_dim: int = 0
    _network: Network | None = field(default=None, repr=False)
    _tokenizer: Any = field(default=None, repr=False)
    _side_by_side: Network | None = field(default=None, repr=False)
    _loading: Any = field(default_factory=threading.Lock, repr=False)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """texts -> (n, dim) float32. Texts past `max_tokens` word pieces are cut (see `is_cut`)."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        if len(texts) == 0:
            return vectors
        self._ready()

        def keep(rows: list[int], _: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
            vectors[rows] = outputs[0]

        self._run(self._read(texts), keep)
        return vectors

    def encode_with_tokens(self, texts: Sequence[str]) -> tuple[np.ndarray, Tokens]:
        """texts -> what `encode` gives, and the texts' content pieces, from one pass of the network.

        Every text has 1 to 16 pieces (see `content_places`), or none where the encoder gives no tokens.
        """
        if len(texts) == 0 or self.token_dim == 0:
            return self.encode(texts), Tokens.none(len(texts), self.token_dim)
        self._ready()
        encodings = self._read(texts)
        places = [content_places(encoding.tokens) for encoding in encodings]
        offsets = _offsets([len(kept) for kept in places])
        vectors = np.empty((len(texts), self.dim), np.float32)
        tokens = Tokens(np.empty((offsets[-1], self.token_dim), np.float32), np.empty(offsets[-1], np.int64), offsets)

        def keep(rows: list[int], ids: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
            vectors[rows], states = outputs
            for i, row in enumerate(rows):
                own = slice(offsets[row], offsets[row + 1])
                tokens.vectors[own], tokens.pieces[own] = states[i, places[row]], ids[i, places[row]]

        self._run(encodings, keep)
        return vectors, tokens

    def is_cut(self, text: str) -> bool:
        """Whether `text` is longer than what the network reads."""
        if text.isascii() and len(text) <= self.max_tokens - SPECIAL_PIECES:
            return False  # a piece has a letter at least, and to cut the text up again takes a tenth of a millisecond
        self._ready()
        return bool(self._tokenizer.encode(text).overflowing)

    def _run(
        self, encodings: Sequence[Any], keep: Callable[[list[int], np.ndarray, Sequence[np.ndarray]], None]
    ) -> None:
        """`keep(rows, ids, outputs)` gets what the network gives for each batch of sentences."""
        network = self._ready()
        batches = list(_batches(encodings, self.max_tokens))
        if len(encodings) < MANY:
            for rows, ids, mask in batches:
                keep(rows, ids, network.all(ids, mask))
            return
        if self._side_by_side is None:
            self._side_by_side = Network(self.folder, self.precision, "throughput")
        calls = ((ids, mask) for _, ids, mask in batches)
        self._side_by_side.each(calls, lambda i, outputs: keep(batches[i][0], batches[i][1], outputs))

    def _read(self, texts: Sequence[str]) -> list[Any]:
        """What the tokenizer makes of each text, cut at `max_tokens`."""
        return list(self._tokenizer.encode_batch([text.strip() for text in texts]))

    def _ready(self) -> Network:
        with self._loading:
            if self._network is None:
                from tokenizers import Tokenizer

                self._tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
                self._tokenizer.no_padding()
                self._tokenizer.enable_truncation(self.max_tokens)
                self.precision = choose_precision(self.folder, self.precision, self._sample)
                self._network = Network(self.folder, self.precision, "latency")
            return self._network

    def _sample(self) -> tuple[np.ndarray, ...]:
        return padded([self._tokenizer.encode(sentence).ids for sentence in SAMPLE_SENTENCES])


def _batches(encodings: Sequence[Any], max_tokens: int) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Row numbers of up to TEXT_BATCH sentences with their ids and mask; sentences of like length share a batch, so
    that little of it is padding.
    """
    order = sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids))
    for start in range(0, len(order), TEXT_BATCH):
        rows = order[start : start + TEXT_BATCH]
        ids = [encodings[row].ids for row in rows]
        width = min(-(-len(ids[-1]) // WIDTH_STEP) * WIDTH_STEP, max_tokens)
        yield rows, *padded(ids, width)


def padded(rows: Sequence[Sequence[int]], width: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Token numbers of sentences -> ids and mask, (n, longest or `width`) int64 each, 0 beyond a sentence's end."""
    ids = np.zeros((len(rows), max(width, *map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask


def encoder_of_module(
    name: str,
    key: str,
    build: "Callable[[], tuple[Any, Fit]]",
    precision: str,
    device: str,
    regions: tuple[int, int] = (0, 0),
) -> ImageEncoder:
    """An image encoder from a torch module: exported once under `key`, or on the CUDA device as it is.

    `build()` gives the module, (n, size, size, 3) uint8 -> float32 rows as `ImageEncoder` says, and the fit it wants;
    it is not called where an export is in the cache. `regions`: (count, width) of the region vectors in a row.
    """
    from indexer.photos.decode import Fit

    behind = regions[0] * regions[1]
    if device == "cuda":
        module, fit = build()
        dim = _module_rows(module, np.zeros((1, fit.size, fit.size, 3), np.uint8)).shape[1] - behind
        return ImageEncoder(name, key, dim, fit, Path(), precision, module.to("cuda"), regions)

    def write(scratch: Path) -> None:
        module, fit = build()
        images = sample_images(fit.size)[[0, 5, 9]]
        rows = _module_rows(module, images)
        write_checked(name, module, (_tensor(images[:2]),), (images,), rows, scratch)
        write_facts(scratch, {"dim": rows.shape[1] - behind, "fit": asdict(fit), "regions": regions})

    folder = export(key, write)
    facts = read_facts(folder)
    count, width = facts.get("regions", (0, 0))  # exports of older versions have none
    return ImageEncoder(name, key, facts["dim"], Fit(**facts["fit"]), folder, precision, regions=(count, width))


SAMPLE_SENTENCES = (
    "a dog",
    "two children play football on the beach at sunset",
    "A man in a red jacket climbs a snow-covered mountain with an ice axe .",
    "violin",
    "a photo of a lighthouse",
    "People wait for a bus in the rain under umbrellas, and one of them is reading a newspaper.",
    "an empty street at night",
    "black and white portrait of an old woman smiling",
)


def sample_images(size: int) -> np.ndarray:
    """(16, size, size, 3) uint8: crops of the two photos that scikit-learn ships, to compare precisions on."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    crops = []
    for photo in load_sample_images().images:
        height, width = photo.shape[:2]
        for top in (0, height // 3):
            for left in (0, width // 8, width // 4, width // 2):
                crop = Image.fromarray(photo[top : top + height // 2, left : left + width // 2])
                crops.append(np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(crops)


def _module_rows(module: Any, images: np.ndarray) -> np.ndarray:
    """The module's own rows on the CPU, one photo at a time, as no batch can influence them."""
    import torch

    module.eval()
    with torch.inference_mode():
        return np.concatenate([module(_tensor(image[None])).numpy() for image in images])


def _tensor(images: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.ascontiguousarray(images))


def _on_cuda(module: Any, images: np.ndarray) -> np.ndarray:
    import torch

    rows = []
    with torch.inference_mode():
        for start in range(0, len(images), 64):
            block = torch.from_numpy(images[start : start + 64]).to("cuda", non_blocking=True)
            rows.append(module(block).float().cpu().numpy())
    return np.concatenate(rows)
