"""Hold a ranker: the joint space, the MLPs above it, their calibration and the no-match decision; NumPy is enough."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders import Tokens, open_text_encoder
from indexer.user_paths import absolute_path
from indexer.views.view import EncodedPhotos
from reranker import ranker_files
from reranker.models.calibration import Calibration
from reranker.models.class_names import GATE_FEATURES
from reranker.models.joint_space import (
    PAIR_FEATURES,
    EncodedQueries,
    JointSpace,
    joint_space_arrays,
    joint_space_of_arrays,
)
from reranker.models.linear_map import unit
from reranker.models.mlp import MLP
from reranker.models.no_match import NoMatchClassifier, no_match_features
from reranker.models.pair_scores import PairScores
from reranker.models.photo_parts import PhotoParts
from reranker.models.ranking_settings import RankingSettings
from reranker.ranker_files import RankerCard

# Single words that the ANN search of a large index is tuned to; more of them change nothing but the time.
TUNING_WORDS = 1500
DEFAULT_FOLDER = Path(__file__).parent / "default"
FAST_FOLDER = Path(__file__).parent / "default-fast"

# What the training summary says of the calibration of a ranker that has seen no judgments.
NOT_CALIBRATED = "not calibrated on judgments"

# Names that the two MLPs have among the stored weights.
_STORED_MLPS = {"ranking_mlp": "order", "relevance_mlp": "relevance"}


@dataclass(frozen=True, slots=True)
class Ranker:
    """Everything that turns the vectors of photos and of a sentence into a ranking and a relevance.

    The ranking MLP is trained to put a caption's own photo first, the relevance MLP on what people say of a pair: one
    score cannot serve both.

    Attributes:
        image_encoder: Fingerprint of the image encoder.
        text_encoder: Fingerprint of the text encoder.
        text_encoder_name: Name that loads the text encoder.
        joint_space: Where photos and queries meet.
        ranking_mlp: The MLP that sorts the hits.
        relevance_mlp: The MLP whose calibrated output is the relevance.
        calibration: Maps the relevance MLP's logits to probabilities.
        no_match: Decides whether anything in the gallery fits.
        training: What the ranker was trained on, for people.
        results: What it reached on validation photos, for people.
        image_encoder_name: Name that loads the image encoder.
        image_encoder_options: Options that load it.
        id: Digest of everything that changes a ranking, 12 hex digits; empty before `finished`.
        mean_caption: (K + 1,) float32, the mean caption as a candidate query, times the ranking MLP's weight of a
            cosine; its product with `[z ; hubness]` is what a photo scores for captions at large, in logits.
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
    mean_caption: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        mean_caption = self.ranking_mlp.ws[PAIR_FEATURES.index("cosine")] * self.joint_space.mean_caption()
        object.__setattr__(self, "mean_caption", mean_caption)

    @classmethod
    def load(cls, folder: str | Path) -> "Ranker":
        """Read a ranker folder, of this format or of format 2.

        Args:
            folder: The folder that `save` wrote.

        Raises:
            PhotoseekError: The folder is missing, damaged, or of another format.
        """
        path = absolute_path(folder)
        found = ranker_files.read_folder(path)
        card = found.card
        try:
            arrays = _in_order(found.arrays, card.pair_features, card.gate_features)
            ranker = cls(
                image_encoder=card.image_encoder,
                text_encoder=card.text_encoder,
                text_encoder_name=card.text_encoder_name,
                joint_space=joint_space_of_arrays(
                    arrays, card.vocabulary, RankingSettings.from_dict(card.ranking), card.known_words
                ),
                ranking_mlp=_mlp(arrays, "ranking_mlp"),
                relevance_mlp=_mlp(arrays, "relevance_mlp"),
                calibration=Calibration.from_dict(card.calibration),
                no_match=NoMatchClassifier.from_dict(card.no_match),
                training=card.training,
                results=card.results,
                image_encoder_name=card.image_encoder_name,
                image_encoder_options=card.image_encoder_options,
                id=card.id,
            )
        except (LookupError, ArithmeticError, AttributeError, TypeError, ValueError) as error:
            raise ranker_files.damaged(path, error) from None
        if not found.whole:
            raise ranker_files.damaged(path, f"its weights are not those of {card.id or None}")
        return ranker

    @classmethod
    def default(cls) -> "Ranker":
        """Return the ranker that photoseek ships for the default encoders."""
        return cls.load(DEFAULT_FOLDER)

    @classmethod
    def shipped(cls, image_encoder: str) -> "Ranker | None":
        """Return the shipped ranker for an image encoder.

        Args:
            image_encoder: The fingerprint of the encoder.

        Returns:
            The ranker; None if none is shipped for this encoder.
        """
        for folder in (DEFAULT_FOLDER, FAST_FOLDER):
            if folder.is_dir():
                ranker = cls.load(folder)
                if ranker.image_encoder == image_encoder:
                    return ranker
        return None

    @property
    def known_words(self) -> tuple[str, ...]:
        """The words that training captions and names say, lower case, the most frequent first."""
        lexical = self.joint_space.lexical
        # A ranker that was trained before these words were kept has its lexical ones; the rare ones weigh more.
        return self.joint_space.known_words.words or tuple(lexical.words[i] for i in np.argsort(lexical.idf))

    @property
    def settings(self) -> RankingSettings:
        """Every number that changes a ranking and is not a learned weight."""
        return self.joint_space.settings

    @property
    def is_calibrated(self) -> bool:
        """Whether the relevance was calibrated; that of a joint encoder's own ranker was not."""
        return self.training.get("calibration") != NOT_CALIBRATED

    def finished(self) -> "Ranker":
        """Return the ranker with its weights rounded as they are stored, and with its id: what `load` gives."""
        arrays = ranker_files.unpack(ranker_files.pack(self._arrays()))
        rounded = replace(
            self,
            joint_space=joint_space_of_arrays(arrays, self.joint_space.lexical.words, self.settings, self.known_words),
            ranking_mlp=_mlp(arrays, "ranking_mlp"),
            relevance_mlp=_mlp(arrays, "relevance_mlp"),
        )
        card, stored = rounded._card(), rounded._arrays()
        return replace(rounded, id=ranker_files.digest_of(stored, ranker_files.identity(card)))

    def save(self, folder: str | Path) -> None:
        """Write the ranker folder.

        Args:
            folder: A folder that is a ranker already, empty, or not there.

        Raises:
            PhotoseekError: The folder holds something else, or cannot be written.
        """
        ranker_files.write_folder(absolute_path(folder), self._card(), self._arrays())

    def encode_photos(self, embeddings: np.ndarray, regions: np.ndarray | None = None) -> EncodedPhotos:
        """Compute what a view keeps of photos.

        Args:
            embeddings: (n, d) float, unit rows, from the image encoder.
            regions: (n, c, r) int8 region vectors, if the index keeps them.

        Returns:
            The encoded photos; `hidden` holds `PhotoParts`.
        """
        x = np.asarray(embeddings, np.float32)
        encoded = self.joint_space.encode_photos(x, regions)
        parts = PhotoParts(encoded.hidden[:, 0], self.ranking_mlp.photo_part(x), self.relevance_mlp.photo_part(x))
        return replace(encoded, hidden=parts.pack())

    def encode_queries(self, vectors: np.ndarray, texts: Sequence[str], tokens: Tokens) -> EncodedQueries:
        """Compute everything that depends on the queries alone.

        Args:
            vectors: (b, e) float32 text vectors, from the text encoder.
            texts: The b texts.
            tokens: Their word pieces with vectors, or none, for an index without regions.
        """
        t = unit(vectors)
        return replace(
            self.joint_space.encode_queries(vectors, texts, tokens),
            ranking_part=self.ranking_mlp.text_part(t),
            relevance_part=self.relevance_mlp.text_part(t),
        )

    def queries(self) -> dict[str, np.ndarray]:
        """Return typical candidate queries by kind, to which the ANN search of a large index is tuned.

        Returns:
            (s, K + 1) float32 per kind: `captions` of the training and single `words` of the vocabulary; without a
            vocabulary `names`, if the ranker knows any.

        Raises:
            PhotoseekError: The text encoder, which encodes the words, is not the one of the training.
        """
        space = self.joint_space
        found, words = {"captions": space.captions()}, space.lexical.words
        if words:
            asked = [words[i] for i in np.random.default_rng(0).permutation(len(words))[:TUNING_WORDS]]
            vectors = open_text_encoder(self.text_encoder, self.text_encoder_name).encode(asked)
            found["words"] = space.encode_queries(vectors, asked, Tokens.none(len(asked))).candidate
        elif space.class_names.k:
            keys = space.class_names.keys
            found["names"] = space.encode_queries(keys, [""] * len(keys), Tokens.none(len(keys))).candidate
        return found

    def scores(self, photos: EncodedPhotos, queries: EncodedQueries, row: int) -> PairScores:
        """Score photos for one query.

        A sentence is sorted by the ranking MLP. What the name gate takes for a name is sorted as candidates are.

        Args:
            photos: n encoded photos.
            queries: Encoded queries.
            row: Which of them is asked.
        """
        features = self.joint_space.pair_features(photos, queries, row)
        parts = PhotoParts.unpack(photos.hidden, self.ranking_mlp.hidden)
        learned = self.ranking_mlp.logits(parts.ranking, queries.ranking_part[row], features)
        logits = self.relevance_mlp.logits(parts.relevance, queries.relevance_part[row], features)
        return PairScores(gated_scores(learned, features, self.joint_space), self.calibration.apply(logits), features)

    def match_probability(
        self, first_hits: PairScores, query_hubness: np.ndarray, query_words: np.ndarray, gallery_size: int | np.ndarray
    ) -> np.ndarray:
        """Return the chance that anything in the gallery fits each of b queries: (b,) float32 in 0..1.

        Args:
            first_hits: Scores of the b first hits.
            query_hubness: (b,) float32, how near the queries are to photos at large.
            query_words: (b, 4) float32, what `query_words` says of their texts.
            gallery_size: How many photos were searched, for all queries or per query.
        """
        return self.no_match.probability(no_match_features(first_hits, query_hubness, query_words, gallery_size))

    def _arrays(self) -> dict[str, np.ndarray]:
        """Return all weights by the names that they are stored under."""
        arrays = joint_space_arrays(self.joint_space)
        for name, stored in _STORED_MLPS.items():
            arrays |= {f"{stored}.{f.name}": getattr(getattr(self, name), f.name) for f in fields(MLP)}
        return arrays

    def _card(self) -> RankerCard:
        return RankerCard(
            id=self.id,
            image_encoder=self.image_encoder,
            image_encoder_name=self.image_encoder_name,
            image_encoder_options=self.image_encoder_options,
            text_encoder=self.text_encoder,
            text_encoder_name=self.text_encoder_name,
            vocabulary=self.joint_space.lexical.words,
            calibration=self.calibration.as_dict(),
            no_match=self.no_match.as_dict(),
            ranking=self.settings.as_dict(),
            pair_features=PAIR_FEATURES,
            gate_features=GATE_FEATURES,
            known_words=self.known_words,
            training=self.training,
            results=self.results,
        )


def gated_scores(learned: np.ndarray, pair_features: np.ndarray, joint_space: JointSpace) -> np.ndarray:
    """Return what sorts hits: the ranking MLP's logits for sentences, the candidate score for names, by the name gate.

    Args:
        learned: (...,) float32 logits of the ranking MLP.
        pair_features: (..., 7) float32.
        joint_space: The joint space that gave the pair features.

    Returns:
        (...,) float32 ranking scores.
    """
    gate = pair_features[..., PAIR_FEATURES.index("gate")]
    scale = joint_space.settings.class_names.score_scale
    scores: np.ndarray = (1 - gate) * learned + gate * scale * joint_space.candidate_scores_of(pair_features)
    return scores


def _mlp(arrays: dict[str, np.ndarray], name: str) -> MLP:
    return MLP(**{f.name: arrays[f"{_STORED_MLPS[name]}.{f.name}"] for f in fields(MLP)})


def _in_order(
    arrays: dict[str, np.ndarray], pair_features: tuple[str, ...], gate_features: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return the weights in the order of `PAIR_FEATURES` and `GATE_FEATURES`; a gate input that is not stored has 0."""
    if unknown := set(gate_features) - set(GATE_FEATURES):
        raise ValueError(f"the name gate has weights of unknown inputs: {', '.join(sorted(unknown))}")
    # Rankers that had one gate ask it for all queries.
    arrays = {"names.said_gate": arrays["names.gate"], **arrays}
    for name in ("names.gate", "names.said_gate"):
        text, stored = np.split(arrays[name], [len(arrays[name]) - len(gate_features)])
        by_name = dict(zip(gate_features, stored, strict=True))
        behind = np.array([by_name.get(feature, 0.0) for feature in GATE_FEATURES], np.float32)
        arrays[name] = np.concatenate([text, behind])
    if pair_features == PAIR_FEATURES:
        return arrays
    if sorted(pair_features) != sorted(PAIR_FEATURES):
        raise ValueError(f"pair features {', '.join(pair_features)} are not {', '.join(PAIR_FEATURES)}")
    places = [pair_features.index(name) for name in PAIR_FEATURES]
    moved = {f"{mlp}.{part}": arrays[f"{mlp}.{part}"][places] for mlp in _STORED_MLPS.values() for part in ("Ws", "ws")}
    return arrays | moved
