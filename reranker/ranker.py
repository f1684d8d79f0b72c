"""A ranker: a space, the MLPs above it, their calibration and the no-match decision, as one folder; numpy is enough."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from indexer.encoders import open_text_encoder
from indexer.encoders.base import Tokens
from indexer.errors import PhotoseekError
from indexer.views.view import EncodedPhotos
from reranker.models.calibration import Calibration
from reranker.models.joint_space import (
    PAIR_FEATURES,
    EncodedQueries,
    JointSpace,
    candidate_of,
    joint_space_arrays,
    joint_space_of_arrays,
)
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.models.no_match import NoMatchClassifier, no_match_features

FORMAT = 2
# What a ranker's id covers, beside its weights.
IDENTITY = ("id", "image_encoder", "text_encoder", "text_encoder_name", "vocabulary", "calibration", "operating_points")
# Single words that a view of many photos is tuned to.
WORDS = 1500
# Brings a candidate's score to the scale of the learned order.
NAMED_SCALE = 10.0
# Among `FEW` photos or fewer, so much of a photo's mean score over captions is taken off, among `MANY` none; off photos
# whose odds are e^`LIKELY` times less than the first hit's or worse, and off likelier ones less.
SPREAD, LIKELY = 0.6, 5.0
FEW, MANY = 100, 500
DEFAULT_FOLDER = Path(__file__).parent / "default"
FAST_FOLDER = Path(__file__).parent / "default-fast"


@dataclass(frozen=True, slots=True)
class Scores:
    """What a ranker says of n gathered photos for one query: `order` (n,) float32, any scale, sorts them; `relevance`
    (n,) float32 is the chance that a person says "this fits"; `pair_features` (n, 7) as in `joint_space`."""

    ranking_scores: np.ndarray
    relevance: np.ndarray
    pair_features: np.ndarray


@dataclass(frozen=True, slots=True)
class Ranker:
    """Everything that turns a photo's and a sentence's vectors into a rank and a relevance.

    `order` is trained to put a caption's own photo first, `relevance` on what people say of a pair: one score cannot
    serve both. `image_encoder` and `text_encoder` are fingerprints; `image_encoder_name` with `image_encoder_options`
    and `text_encoder_name` are what loads them.
    """

    image_encoder: str
    text_encoder: str
    text_encoder_name: str
    joint_space: JointSpace
    ranking_mlp: MLP
    relevance_mlp: MLP
    calibration: Calibration
    no_match: NoMatchClassifier
    training: dict[str, Any] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    image_encoder_name: str = ""
    image_encoder_options: dict[str, str] = field(default_factory=dict)
    id: str = ""

    @classmethod
    def load(cls, folder: str | Path) -> "Ranker":
        """Read a ranker folder. Raises PhotoseekError if it is missing, damaged or of another format."""
        path = Path(folder)
        try:
            card = json.loads((path / "ranker.json").read_text(encoding="utf-8"))
            if not isinstance(card, dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            raise PhotoseekError(f"no ranker at {path}; train one: photoseek train JUDGED -o {path}") from None
        except (OSError, ValueError):
            raise PhotoseekError(
                f"{path / 'ranker.json'} cannot be read: the ranker is damaged; train it again"
            ) from None
        if card.get("format") != FORMAT:
            raise PhotoseekError(
                f"ranker {path} has format {card.get('format')}, this photoseek reads {FORMAT}; train it again"
            )
        try:
            weights = (path / "weights.safetensors").read_bytes()
            arrays = unpack(load(weights))
            ranker = cls(
                image_encoder=card["image_encoder"],
                text_encoder=card["text_encoder"],
                text_encoder_name=card["text_encoder_name"],
                joint_space=joint_space_of_arrays(arrays, tuple(card["vocabulary"])),
                ranking_mlp=_mlp(arrays, "order"),
                relevance_mlp=_mlp(arrays, "relevance"),
                calibration=Calibration.from_dict(card["calibration"]),
                no_match=NoMatchClassifier.from_dict(card["operating_points"]["no_match"]),
                training=card["training"],
                results=card["figures"],
                # Where it was not kept, the fingerprint has it, without the path of a folder or file.
                image_encoder_name=card.get("image_encoder_name") or card["image_encoder"].rpartition("@")[0],
                image_encoder_options=card.get("image_encoder_options", {}),
            )
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise PhotoseekError(f"ranker {path} is damaged ({error}); train it again") from None
        # The id is a digest of the weights as they are used, which takes longer to make than all else of a start; what
        # is stored is what was saved under that id, if its own checksum says so.
        if card.get("checksum") != _checksum(card, weights) and card.get("id") != ranker._digest():
            raise PhotoseekError(
                f"ranker {path} is damaged (its weights are not those of {card.get('id')}); train it again"
            )
        return replace(ranker, id=card["id"])

    @classmethod
    def default(cls) -> "Ranker":
        """The ranker that photoseek ships, for the default encoders."""
        return cls.load(DEFAULT_FOLDER)

    @classmethod
    def shipped(cls, image_encoder: str) -> "Ranker | None":
        """The shipped ranker for an image encoder's fingerprint, if there is one."""
        for folder in (DEFAULT_FOLDER, FAST_FOLDER):
            if folder.is_dir():
                ranker = cls.load(folder)
                if ranker.image_encoder == image_encoder:
                    return ranker
        return None

    def finished(self) -> "Ranker":
        """The same ranker with its weights rounded as they are stored, and its id: what `load` gives after `save`."""
        arrays = unpack(pack(self._arrays()))
        rounded = replace(
            self,
            joint_space=joint_space_of_arrays(arrays, self.joint_space.lexical.words),
            ranking_mlp=_mlp(arrays, "order"),
            relevance_mlp=_mlp(arrays, "relevance"),
        )
        return replace(rounded, id=rounded._digest())

    def save(self, folder: str | Path) -> None:
        """Write the ranker folder, each file beside and renamed. Raises PhotoseekError as `check_place` does."""
        path = Path(folder)
        check_place(path)
        scratch = Path(tempfile.mkdtemp(prefix=".ranker-", dir=path.parent))
        try:
            weights = save(pack(self._arrays()))
            card = {
                "format": FORMAT,
                "id": self.id,
                "image_encoder": self.image_encoder,
                "text_encoder": self.text_encoder,
                "text_encoder_name": self.text_encoder_name,
                "calibration": self.calibration.as_dict(),
                "operating_points": {"no_match": self.no_match.as_dict()},
                "training": self.training,
                "figures": self.results,
                "vocabulary": list(self.joint_space.lexical.words),
                "image_encoder_name": self.image_encoder_name,
                "image_encoder_options": self.image_encoder_options,
            }
            card["checksum"] = _checksum(card, weights)
            (scratch / "ranker.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
            (scratch / "weights.safetensors").write_bytes(weights)
            path.mkdir(exist_ok=True)
            for name in ("weights.safetensors", "ranker.json"):
                (scratch / name).chmod(0o644)
                os.replace(scratch / name, path / name)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def encode_photos(self, embeddings: np.ndarray, regions: np.ndarray | None = None) -> EncodedPhotos:
        """embeddings: (n, d) unit rows; regions: (n, c, r) int8, if the index has them -> what a view keeps of them.

        `hidden` is [late hub term ; photo part of the order's MLP ; photo part of the relevance's].
        """
        x = np.asarray(embeddings, np.float32)
        side = self.joint_space.encode_photos(x, regions)
        hidden = np.concatenate([side.hidden, self.ranking_mlp.photo_part(x), self.relevance_mlp.photo_part(x)], axis=1)
        return replace(side, hidden=hidden)

    def encode_queries(self, vectors: np.ndarray, texts: Sequence[str], tokens: Tokens) -> EncodedQueries:
        """vectors: (b, e) and tokens from the text encoder, for `texts`."""
        t = unit(vectors)
        hidden = np.concatenate([self.ranking_mlp.text_part(t), self.relevance_mlp.text_part(t)], axis=1)
        return replace(self.joint_space.encode_queries(vectors, texts, tokens), hidden=hidden)

    def queries(self) -> dict[str, np.ndarray]:
        """Candidate queries, (s, K + 1) float32: `captions` of the training and single `words` of its lexicon; without
        a lexicon `names`, if it knows any.

        For words the text encoder is opened, which raises PhotoseekError where it is not the one of the training.
        """
        found, words = {"captions": self.joint_space.captions()}, self.joint_space.lexical.words
        if words:
            asked = [words[i] for i in np.random.default_rng(0).permutation(len(words))[:WORDS]]
            vectors = open_text_encoder(self.text_encoder, self.text_encoder_name).encode(asked)
            found["words"] = self.joint_space.encode_queries(vectors, asked, Tokens.none(len(asked))).candidate
        elif self.joint_space.class_names.k:
            keys = self.joint_space.class_names.keys
            found["names"] = self.joint_space.encode_queries(keys, [""] * len(keys), Tokens.none(len(keys))).candidate
        return found

    def scores(self, side: EncodedPhotos, query: EncodedQueries, row: int) -> Scores:
        """Order and relevance of gathered photos for query `row`."""
        pair_features = self.joint_space.pair_features(side, query, row)
        order, logits = self._logits(side.hidden, query.hidden[row], pair_features)
        return Scores(order, self.calibration.apply(logits), pair_features)

    def mean_caption(self) -> np.ndarray:
        """(K + 1,) float32: its product with `[z ; hubness]` is a photo's mean candidate score over captions,
        in the scale of the order, by its weight of a cosine."""
        return self.ranking_mlp.ws[PAIR_FEATURES.index("cosine")] * self.joint_space.mean_caption()

    def score_matrix(self, side: EncodedPhotos, query: EncodedQueries, rows: slice) -> Scores:
        """The same of every photo for some queries: arrays of (queries, n) and (queries, n, 7)."""
        pair_features = self.joint_space.matrix(side, query, rows)
        order, relevance = np.empty((2, *pair_features.shape[:2]), np.float32)
        for place, row in enumerate(range(rows.start, rows.stop)):
            order[place], logits = self._logits(side.hidden, query.hidden[row], pair_features[place])
            relevance[place] = self.calibration.apply(logits)
        return Scores(order, relevance, pair_features)

    def match_probability(
        self, order: np.ndarray, pair_features: np.ndarray, query_hubness: np.ndarray, photos: int | np.ndarray
    ) -> np.ndarray:
        """(b,) chance that something in the gallery fits, from first hits: their order (b,), their scalars (b, 7), the
        queries' `query_hubness` (b,), and how many photos were searched, of all queries or (b,)."""
        return self.no_match.probability(no_match_features(order, pair_features, query_hubness, photos))

    def _logits(self, hidden: np.ndarray, text: np.ndarray, pair_features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        m = self.ranking_mlp.hidden
        order = ranking_scores(self.ranking_mlp, hidden[:, 1 : 1 + m], text[:m], pair_features)
        return order, self.relevance_mlp.logits(hidden[:, 1 + m :], text[m:], pair_features)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = joint_space_arrays(self.joint_space)
        for name, mlp in (("order", self.ranking_mlp), ("relevance", self.relevance_mlp)):
            arrays |= {f"{name}.{f.name}": getattr(mlp, f.name) for f in fields(MLP)}
        return arrays

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for name, array in sorted(self._arrays().items()):
            kept = "<i8" if array.dtype.kind == "i" else "<f4"
            digest.update(name.encode() + np.ascontiguousarray(array, kept).tobytes())
        extra: list[Any] = [
            self.image_encoder,
            self.text_encoder,
            self.text_encoder_name,
            self.joint_space.lexical.words,
        ]
        extra += [self.calibration.as_dict(), self.no_match.as_dict()]
        digest.update(json.dumps(extra).encode())
        return digest.hexdigest()[:12]


def ranking_scores(order: MLP, photo_part: np.ndarray, text_part: np.ndarray, pair_features: np.ndarray) -> np.ndarray:
    """What sorts the hits, (n,) float32: the learned order, which knows sentences; what looks like a name, by the gate,
    is left as the candidates have it. Arguments as of `MLP.logits`."""
    gate = pair_features[:, PAIR_FEATURES.index("gate")]
    learned = order.logits(photo_part, text_part, pair_features)
    return (1 - gate) * learned + gate * NAMED_SCALE * candidate_of(pair_features)


def correct_small_gallery(order: np.ndarray, at_large: np.ndarray, gate: float, photos: int) -> np.ndarray:
    """What sorts the hits where so many `photos` were searched: (n,) float32, from the order scores of n candidates.

    at_large: (n,), the candidates' mean scores over captions, by `Ranker.mean_caption`; gate: the query's. Of thousands
    of photos, one is in the first ten of the few captions that fit it best, and the hub term is taken over those; of a
    hundred, one is in the first ten of every tenth caption, and those that score high for the mass of captions are in
    those of too many. The first hit keeps its place, likely photos nearly theirs.
    """
    if photos >= MANY or not len(order):
        return order
    weight = SPREAD * (1 - gate) * min(np.log(MANY / max(photos, 1)) / np.log(MANY / FEW), 1)
    behind = np.minimum((order.max() - order) / LIKELY, 1)
    # No more than half of what a photo is behind, so that none comes before the first hit.
    taken = np.clip(weight * (at_large - at_large.mean()), -LIKELY / 2, LIKELY / 2)
    return np.asarray(order - behind * taken, np.float32)


def isotonic_relevance(relevance: np.ndarray, count: int) -> np.ndarray:
    """Relevance that never rises: the nearest such values by least squares, of the first `count`; float32.

    relevance: (n,) in the order of the hits. Pool-adjacent-violators (Barlow et al. 1972), which scipy has as well; but
    importing that would double the time of a fresh search. Of the hits behind the first `count` those are looked at
    that share a pool with them: none, where no mean of the next few is above the last pool's.
    """
    values = relevance.astype(np.float64)
    pools: list[tuple[float, int]] = []
    done, needed = 0, min(count, len(values))
    while done < needed:
        for value in values[done:needed].tolist():
            total, size = value, 1
            while pools and pools[-1][0] * size <= total * pools[-1][1]:
                before, more = pools.pop()
                total, size = total + before, size + more
            pools.append((total, size))
        done = needed
        means = np.cumsum(values[done:]) / np.arange(1, len(values) - done + 1)
        if len(means) and means.max() * pools[-1][1] > pools[-1][0]:
            needed = done + 1 + int(means.argmax())
    shown = np.repeat([total / size for total, size in pools], [size for _, size in pools])
    return shown[:count].astype(np.float32)


def check_place(folder: Path) -> None:
    """Raise PhotoseekError unless `folder` is a ranker already, empty, or not there and its parent can be written."""
    if folder.exists() and not folder.is_dir():
        raise PhotoseekError(f"{folder} is a file; give a folder for the ranker with -o")
    if folder.exists() and not (folder / "ranker.json").exists() and any(folder.iterdir()):
        raise PhotoseekError(f"{folder} is not a ranker and not empty; give another folder with -o")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhotoseekError(f"ranker {folder} cannot be written: {error.strerror}") from None
    if not os.access(folder.parent, os.W_OK):
        raise PhotoseekError(f"ranker {folder} cannot be written: {folder.parent} is read-only")


def pack(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Float matrices as int8 with one float32 scale a column, all else as it is: half the size of float16."""
    packed = {}
    for name, array in arrays.items():
        if array.ndim == 2 and len(array) >= 64 and array.size:
            # Scales of 12 bits make every product below exact, so that packing twice changes nothing.
            fraction, exponent = np.frexp(np.maximum(np.abs(array).max(axis=0), 1e-12) / 127)
            scale = np.ldexp(np.ceil(fraction * 4096) / 4096, exponent).astype(np.float32)
            packed[name] = np.ascontiguousarray(np.rint(array / scale).astype(np.int8))
            packed[name + ".scale"] = scale
        else:
            packed[name] = np.ascontiguousarray(array, np.int64 if array.dtype.kind == "i" else np.float32)
    return packed


def unpack(packed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `pack` packed."""
    arrays = {}
    for name, array in packed.items():
        if array.dtype == np.int8:
            arrays[name] = array.astype(np.float32) * packed[name + ".scale"]
        elif not name.endswith(".scale"):
            arrays[name] = array
    return arrays


def _checksum(card: dict[str, Any], weights: bytes) -> str:
    """SHA-256 of the stored weights and of what else the id covers, in hex digits."""
    digest = hashlib.sha256(json.dumps([card.get(key) for key in IDENTITY]).encode())
    digest.update(weights)
    return digest.hexdigest()


def _mlp(arrays: dict[str, np.ndarray], name: str) -> MLP:
    return MLP(*(arrays[f"{name}.{f.name}"] for f in fields(MLP)))
