"""What an encoder is: a name, a fingerprint, and a way from pixels or sentences to unit vectors."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexer.decode import Fit
from indexer.encoders.network import (
    Network,
    choose_precision,
    export,
    read_facts,
    write_checked,
    write_facts,
)

BATCH = 8
MAX_TOKENS = 256
# Sentences are padded to a multiple of this many word pieces: OpenVINO prepares anew for every shape it has not seen
# lately, which costs a query more than the padding does.
WIDTH_STEP = 16


@dataclass(slots=True)
class ImageEncoder:
    """Pixels -> image embeddings.

    `folder` holds the exported network, which takes (n, size, size, 3) uint8 and gives float32 rows; scaling and
    normalising the pixels are part of it. On CUDA `module` runs instead. A row is the embedding, `dim` wide, and behind
    it the region vectors one after the other: `regions` says (how many, how wide), (0, 0) if there are none. Each is
    the unit vector of a part of the photo.
    """

    name: str
    fingerprint: str
    dim: int
    fit: Fit
    folder: Path
    precision: str = "auto"
    module: Any = None
    regions: tuple[int, int] = (0, 0)
    _network: Network | None = field(default=None, repr=False)

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
        if self._network is None:
            # The embeddings alone decide: they find a photo, its regions only move it among those found.
            self.precision = choose_precision(
                self.folder, self.precision, lambda: (sample_images(self.fit.size),), self.dim
            )
            self._network = Network(self.folder, self.precision, "throughput", BATCH)
        return self._network.run_blocks(images)


@dataclass(slots=True)
class TextEncoder:
    """Sentences -> text vectors, through a tokenizer and an exported network of (ids, mask) -> (n, dim) float32."""

    name: str
    fingerprint: str
    dim: int
    folder: Path
    max_tokens: int = MAX_TOKENS
    precision: str = "auto"
    _network: Network | None = field(default=None, repr=False)
    _tokenizer: Any = field(default=None, repr=False)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """texts -> (n, dim) float32. Texts past `max_tokens` word pieces are cut (see `is_cut`)."""
        if len(texts) == 0:
            return np.zeros((0, self.dim), np.float32)
        network = self._ready()
        encodings = self._tokenizer.encode_batch([text.strip() for text in texts])
        order = sorted(range(len(texts)), key=lambda i: len(encodings[i].ids))
        vectors = np.empty((len(texts), self.dim), np.float32)
        # Sentences of like length share a batch, so that little of it is padding.
        for start in range(0, len(order), 64):
            rows = order[start : start + 64]
            longest = max(len(encodings[row].ids) for row in rows)
            width = min(-(-longest // WIDTH_STEP) * WIDTH_STEP, self.max_tokens)
            vectors[rows] = network(*padded([encodings[row].ids for row in rows], width))
        return vectors

    def is_cut(self, text: str) -> bool:
        """Whether `text` is longer than what the network reads."""
        self._ready()
        return bool(self._tokenizer.encode(text).overflowing)

    def _ready(self) -> Network:
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
    build: Callable[[], tuple[Any, Fit]],
    precision: str,
    device: str,
    regions: tuple[int, int] = (0, 0),
) -> ImageEncoder:
    """An image encoder from a torch module: exported once under `key`, or on the CUDA device as it is.

    `build()` gives the module, (n, size, size, 3) uint8 -> float32 rows as `ImageEncoder` says, and the fit it wants;
    it is not called where an export is in the cache. `regions`: (count, width) of the region vectors in a row.
    """
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
