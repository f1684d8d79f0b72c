"""Text encoders: a name, a fingerprint, and a way from sentences to vectors, through a tokenizer and a network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.prompts import forms_of
from indexer.encoders.samples import SAMPLE_SENTENCES
from indexer.encoders.tokens import Tokens, content_positions, offsets_of
from indexer.inference.export import read_facts, write_facts
from indexer.inference.network import Network
from indexer.inference.precision import choose_precision
from indexer.storage.fork_safe_lock import ForkSafeLock

# Word pieces of a sentence that are read, by default.
MAX_TOKENS = 256
# More pieces than any tokenizer puts before and behind a sentence.
SPECIAL_PIECES = 8
# Sentences are padded to a multiple of this many word pieces: OpenVINO prepares anew for every shape that it has not
# seen lately, which costs as much as two short queries.
WIDTH_STEP = 4
# Sentences of a batch.
TEXT_BATCH = 32
# From so many texts on, batches run side by side, in a network compiled for that.
PARALLEL_FROM = 256
TOKENIZER = "tokenizer.json"

# Gets the places of sentences, their (n, width) int64 ids, and what the network gives for them.
OnBatch = Callable[[list[int], np.ndarray, Sequence[np.ndarray]], None]


@dataclass(frozen=True, slots=True)
class PairLogits:
    """Rule by which a joint encoder scores a text and a photo: `logit = scale * cosine + bias`.

    Attributes:
        scale: The factor.
        bias: What is added; None for an encoder that was trained by a softmax over texts (CLIP), whose logits mean
            nothing but beside those of other texts. With a bias (SigLIP), the sigmoid of a logit is a probability.
    """

    scale: float
    bias: float | None


@dataclass(slots=True)
class TextEncoder:
    """A text encoder: sentences -> vectors, through a tokenizer and an exported network of (ids, mask).

    Attributes:
        name: Its name, as `load_text_encoder` takes it.
        fingerprint: Which says whether two vectors can be compared.
        dim: Width of a sentence's vector, the network's first output.
        folder: The export's folder, with the tokenizer.
        max_tokens: Word pieces of a sentence that are read, those around it included.
        precision: What it computes in, "f32" or "bf16"; "auto" until the first text.
        token_dim: Width of a word piece's vector, the network's second output (n, width, token_dim) float32; 0 if there
            is none.
        prompts: Forms in which a short text is asked, too; its vector is then the unit mean over all forms.
        pair_logits: How its vectors are scored with those of photos; None unless it is a side of a joint encoder.
    """

    name: str
    fingerprint: str
    dim: int
    folder: Path
    max_tokens: int = MAX_TOKENS
    precision: str = "auto"
    token_dim: int = 0
    prompts: tuple[str, ...] = ()
    pair_logits: PairLogits | None = None
    _network: Network | None = field(default=None, repr=False)
    _tokenizer: Any = field(default=None, repr=False)
    _parallel_network: Network | None = field(default=None, repr=False)
    _lock: ForkSafeLock = field(default_factory=ForkSafeLock, repr=False)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Encode texts; what is beyond `max_tokens` word pieces is cut (see `is_cut`).

        Args:
            texts: The texts.

        Returns:
            (n, dim) float32.
        """
        if len(texts) == 0:
            return np.empty((0, self.dim), np.float32)
        if not self.prompts:
            return self._encode_as_they_are(texts)
        forms = [forms_of(text, self.prompts) for text in texts]
        vectors = self._encode_as_they_are([form for of_text in forms for form in of_text])
        sums = np.add.reduceat(vectors, offsets_of([len(of_text) for of_text in forms])[:-1], axis=0)
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)

    def _encode_as_they_are(self, texts: Sequence[str]) -> np.ndarray:
        """Run the network for texts: (n, dim) float32."""
        vectors = np.empty((len(texts), self.dim), np.float32)
        self._load()

        def keep(places: list[int], _: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
            vectors[places] = outputs[0]

        self._run(self._tokenize(texts), keep)
        return vectors

    def encode_with_tokens(self, texts: Sequence[str]) -> tuple[np.ndarray, Tokens]:
        """Encode texts and their content pieces, in one pass of the network.

        Args:
            texts: The texts.

        Returns:
            (n, dim) float32, as `encode` gives it, and 1 to 16 pieces of each text (see `content_positions`), none if
            the encoder gives no tokens.
        """
        if len(texts) == 0 or self.token_dim == 0:
            return self.encode(texts), Tokens.none(len(texts), self.token_dim)
        self._load()
        encodings = self._tokenize(texts)
        positions = [content_positions(encoding.tokens) for encoding in encodings]
        offsets = offsets_of([len(kept) for kept in positions])
        vectors = np.empty((len(texts), self.dim), np.float32)
        tokens = Tokens(np.empty((offsets[-1], self.token_dim), np.float32), np.empty(offsets[-1], np.int64), offsets)

        def keep(places: list[int], ids: np.ndarray, outputs: Sequence[np.ndarray]) -> None:
            vectors[places], states = outputs
            for i, place in enumerate(places):
                own = slice(offsets[place], offsets[place + 1])
                tokens.vectors[own], tokens.pieces[own] = states[i, positions[place]], ids[i, positions[place]]

        self._run(encodings, keep)
        return vectors, tokens

    def is_cut(self, text: str) -> bool:
        """Return whether a text is longer than what the network reads."""
        if text.isascii() and len(text) <= self.max_tokens - SPECIAL_PIECES:
            return False  # a piece has a letter at least, and to cut the text up again takes a tenth of a millisecond
        self._load()
        return bool(self._tokenizer.encode(text).overflowing)

    def is_word(self, word: str) -> bool:
        """Return whether the tokenizer has a word whole, as a single piece, as it has the frequent words of a language.

        Args:
            word: A word in lower case.
        """
        self._load()
        return len(self._tokenizer.encode(word, add_special_tokens=False).ids) == 1

    def _run(self, encodings: Sequence[Any], on_batch: OnBatch) -> None:
        """Run the network for sentences, batch by batch, in no set order."""
        network = self._load()
        batches = list(_batches(encodings, self.max_tokens))
        if len(encodings) < PARALLEL_FROM:
            for places, ids, mask in batches:
                on_batch(places, ids, network.all_outputs(ids, mask))
            return
        if self._parallel_network is None:
            self._parallel_network = Network(self.folder, self.precision, "throughput")
        calls = ((ids, mask) for _, ids, mask in batches)
        self._parallel_network.run_each(calls, lambda i, outputs: on_batch(batches[i][0], batches[i][1], outputs))

    def _tokenize(self, texts: Sequence[str]) -> list[Any]:
        """Cut each text into word pieces, at most `max_tokens`."""
        return list(self._tokenizer.encode_batch([text.strip() for text in texts]))

    def _load(self) -> Network:
        """Read the tokenizer and compile the network, unless that is done."""
        with self._lock:
            if self._network is None:
                from tokenizers import Tokenizer

                self._tokenizer = Tokenizer.from_file(str(self.folder / TOKENIZER))
                self._tokenizer.no_padding()
                self._tokenizer.enable_truncation(self.max_tokens)
                self.precision = choose_precision(self.folder, self.precision, self._sample)
                self._network = Network(self.folder, self.precision, "latency")
            return self._network

    def _sample(self) -> tuple[np.ndarray, ...]:
        return pad_ids([self._tokenizer.encode(sentence).ids for sentence in SAMPLE_SENTENCES])


@dataclass(frozen=True, slots=True)
class TextExport:
    """Metadata of an exported text encoder, kept beside it so that its network need not be loaded to know them.

    Attributes:
        dim: As in `TextEncoder`.
        max_tokens: As in `TextEncoder`.
        token_dim: As in `TextEncoder`.
        prompts: As in `TextEncoder`.
        pair_logits: As in `TextEncoder`.
    """

    dim: int
    max_tokens: int
    token_dim: int = 0
    prompts: tuple[str, ...] = ()
    pair_logits: PairLogits | None = None

    def write(self, folder: Path) -> None:
        """Write it to the export's folder."""
        joint = {"prompts": self.prompts, "pair_logits": None if self.pair_logits is None else asdict(self.pair_logits)}
        facts = {"dim": self.dim, "max_tokens": self.max_tokens, "token_dim": self.token_dim}
        write_facts(folder, facts if self.pair_logits is None else facts | joint)

    @classmethod
    def read(cls, folder: Path) -> "TextExport":
        """Read it from the export's folder; exports of older versions have no tokens."""
        facts = read_facts(folder)
        logits = facts.get("pair_logits")
        return cls(
            facts["dim"],
            facts["max_tokens"],
            facts.get("token_dim", 0),
            tuple(facts.get("prompts", ())),
            None if logits is None else PairLogits(**logits),
        )

    def encoder(self, name: str, fingerprint: str, folder: Path, precision: str = "auto") -> TextEncoder:
        """Return the encoder whose export lies in a folder.

        Args:
            name: As in `TextEncoder`.
            fingerprint: As in `TextEncoder`.
            folder: As in `TextEncoder`.
            precision: As in `TextEncoder`.
        """
        return TextEncoder(
            name=name,
            fingerprint=fingerprint,
            dim=self.dim,
            folder=folder,
            max_tokens=self.max_tokens,
            precision=precision,
            token_dim=self.token_dim,
            prompts=self.prompts,
            pair_logits=self.pair_logits,
        )


def _batches(encodings: Sequence[Any], max_tokens: int) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
    """Give the places of up to TEXT_BATCH sentences with their ids and mask, (n, width) int64 each.

    Sentences of like length share a batch, so that little of it is padding.
    """
    order = sorted(range(len(encodings)), key=lambda i: len(encodings[i].ids))
    for start in range(0, len(order), TEXT_BATCH):
        places = order[start : start + TEXT_BATCH]
        ids = [encodings[place].ids for place in places]
        width = min(-(-len(ids[-1]) // WIDTH_STEP) * WIDTH_STEP, max_tokens)
        yield places, *pad_ids(ids, width)


def pad_ids(sentences: Sequence[Sequence[int]], width: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pad the ids of sentences to the same length.

    Args:
        sentences: Ids of the word pieces of each sentence.
        width: Length to pad to, if the longest sentence is not longer.

    Returns:
        Ids and mask, (n, length) int64 each, 0 beyond a sentence's end.
    """
    ids = np.zeros((len(sentences), max(width, *map(len, sentences))), np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(sentences):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return ids, mask
