"""What evaluation protocols share: the judged data with its vectors, scores of the ranker, rankers trained in folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from indexer.encoders.base import Tokens
from indexer.views.view import EncodedPhotos
from reranker.judgments.aggregate import Aggregation, majority
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judged_folder import CrowdRow, ExpertRow, Judgments, photo_of
from reranker.models.joint_space import PAIR_FEATURES
from reranker.ranker import MANY, Ranker, correct_small_gallery
from reranker.ranker_encoders import encoders_of
from reranker.training.examples import BLOCK, PairSettings, candidate_scores
from reranker.training.train import TrainSettings
from reranker.training.train import train as train_ranker

Stage = Callable[[str, int, int], None]
Kept = TypeVar("Kept")

FOLDS = 5
JUDGED_SET = "train_images"
RERANKED = 200


@dataclass(slots=True)
class Evaluation:
    """A ranker and the judged data to measure it on.

    `breadth` is a folder of photos named `<wnid>_<n>_<word>.jpg`, by default `imagen` beside the judged folder, with
    `imagenet_classes.tsv` beside it. `seeds`: how often each protocol that trains is repeated; its figures are means.
    `image_encoder`: name and options of the ranker's image encoder, where it no longer is where it was in training.
    `aggregate`: how judgments become one number in trainings, as `train --score`. `precision`: what the image encoder
    computes in. What a protocol computes is kept, so a report or a run file of it costs no second search.
    `resampled`: what each draw of the bootstrap gave (r,), by a figure's name (`official.recall@1`); every ranker has
    the same draws.
    """

    judgments: Judgments
    ranker: Ranker
    breadth: Path | None = None
    seeds: int = 1
    device: str = "auto"
    image_encoder: tuple[str | None, dict[str, str]] | None = None
    on_stage: Stage | None = None
    aggregate: Aggregation = majority
    precision: str = "auto"
    resampled: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def encoders(self) -> tuple[Any, Any]:
        """The ranker's own encoders; PhotoseekError as of `encoders_of`."""
        if "encoders" not in self._cache:
            image = self.image_encoder or (None, {})
            self._cache["encoders"] = encoders_of(self.ranker, self.device, *image, precision=self.precision)
        image, text = self._cache["encoders"]
        return image, text

    def judged(self) -> tuple[Judgments, EmbeddedJudgments]:
        """The judged photos with their captions, judgments and vectors."""
        if "judged" not in self._cache:
            judgments = self.judgments.restrict(self.judgments.sets[JUDGED_SET])
            self._cache["judged"] = (judgments, embed_judgments(judgments, *self.encoders()))
        judgments, features = self._cache["judged"]
        return judgments, features

    def course(self) -> tuple["Photos", "Queries", np.ndarray]:
        """The course's test: its photos, its queries, and each query's own photo."""
        if "course" not in self._cache:
            names = self.judgments.test_photos
            photos = Photos(*embed_photos([self.judgments.photos[name] for name in names], self.encoders()[0]))
            own = np.array([names.index(query.photo) for query in self.judgments.queries])
            self._cache["course"] = (photos, self.queries([query.text for query in self.judgments.queries]), own)
        photos, queries, own = self._cache["course"]
        return photos, queries, own

    def queries(self, texts: list[str]) -> "Queries":
        """Texts with their vectors and tokens."""
        return Queries(texts, *embed_with_tokens(texts, self.encoders()[1]))

    def captions(self) -> "Queries":
        """The judged photos' own captions."""
        _, features = self.judged()
        rows = np.flatnonzero(features.owner >= 0)
        return Queries([features.texts[row] for row in rows], features.t[rows], features.tokens.select(rows))

    def official(self) -> tuple["Found", np.ndarray]:
        """What all captions of the judged photos find among those, and each one's own photo."""
        if "official" not in self._cache:
            _, features = self.judged()
            found = search(self.ranker, Photos(features.x, features.regions), self.captions())
            self._cache["official"] = (found, features.owner[features.owner >= 0])
        found, own = self._cache["official"]
        return found, own

    def once(self, name: str, compute: Callable[[], Kept]) -> Kept:
        """What `compute` gives, computed the first time that this name is asked for."""
        if name not in self._cache:
            self._cache[name] = compute()
        kept: Kept = self._cache[name]
        return kept

    def without_regions(self) -> "Found":
        """What all captions of the judged photos find among those, as if their index had no regions."""
        _, features = self.judged()
        photos = Photos(features.x, None)
        return self.once("without regions", lambda: search(self.ranker, photos, self.captions()))

    def course_default(self) -> tuple["Found", np.ndarray]:
        """What the course's queries find among its test photos by the given ranker, and each one's own photo."""
        photos, queries, own = self.course()
        return self.once("course_default", lambda: search(self.ranker, photos, queries)), own

    def course_trained(self, seed: int) -> tuple["Found", np.ndarray]:
        """The same by a ranker that learned from the judged photos alone."""

        def train_and_search() -> "Found":
            judgments, features = self.judged()
            return search(self.train(features, judgments, seed), photos, queries)

        photos, queries, own = self.course()
        return self.once(f"course {seed}", train_and_search), own

    def elsewhere(self) -> "Found | None":
        """What all captions of the judged photos find among the named photos, None where there are none."""
        _, _, photos, _ = self.names()
        if not len(photos.x):
            return None
        return self.once("elsewhere", lambda: search(self.ranker, photos, self.captions()))

    def folds(self, seed: int) -> dict[str, np.ndarray]:
        """Relevance of every judged pair by rankers that learned from other photos' judgments (5 folds by photo).

        The given ranker's space and order are kept, which have seen neither these photos nor their captions; its
        relevance may have, and is learned from nothing in each fold. `expert` and `crowd` follow the
        order of the judgments; `strict` scores are of rankers that saw neither the photo nor the caption's own photo
        or its captions, and NaN where photo and caption lie in different folds.
        """
        key = f"folds {seed}"
        if key not in self._cache:
            judgments, features = self.judged()
            fold_of = np.random.default_rng(seed).permutation(len(features.photos)) % FOLDS
            position = {name: i for i, name in enumerate(features.photos)}
            kinds: dict[str, Sequence[ExpertRow | CrowdRow]] = {"expert": judgments.expert, "crowd": judgments.crowd}
            photo = {kind: np.array([position[row.photo] for row in rows], np.int64) for kind, rows in kinds.items()}
            owner = {
                kind: np.array([position.get(photo_of(row.caption), -1) for row in rows], np.int64)
                for kind, rows in kinds.items()
            }
            scores = {name: np.full(len(rows), np.nan) for name, rows in kinds.items()}
            scores["strict"] = np.full(len(judgments.expert), np.nan)
            for fold in range(FOLDS):
                if self.on_stage is not None:
                    self.on_stage(f"folds (seed {seed})", fold, FOLDS)
                seen = np.flatnonzero(fold_of != fold)
                names = {features.photos[i] for i in seen}
                restricted = judgments.restrict(names)
                learned = self.train_on(features.select(seen), restricted, seed)
                for kind, rows in kinds.items():
                    held = np.flatnonzero(fold_of[photo[kind]] == fold)
                    scores[kind][held] = self.pair_relevance(
                        learned, photo[kind][held], [rows[int(i)].caption for i in held]
                    )
                unseen = [c for c in restricted.captions if photo_of(c) not in names]
                learned = self.train_on(features.select(seen), restricted.without_captions(unseen), seed)
                held = np.flatnonzero(
                    (fold_of[photo["expert"]] == fold) & np.isin(owner["expert"], np.flatnonzero(fold_of == fold))
                )
                captions = [judgments.expert[i].caption for i in held]
                scores["strict"][held] = self.pair_relevance(learned, photo["expert"][held], captions)
            self._cache[key] = scores
        found: dict[str, np.ndarray] = self._cache[key]
        return found

    def train(self, features: EmbeddedJudgments, judgments: Judgments, seed: int) -> Ranker:
        """A ranker learned from nothing but these."""
        settings = TrainSettings(seed=seed, pairs=PairSettings(aggregate=self.aggregate))
        return train_ranker(features, judgments, self.encoders(), settings, on_stage=self.on_stage)

    def train_on(self, features: EmbeddedJudgments, judgments: Judgments, seed: int) -> Ranker:
        """The given ranker with a relevance that is learned from nothing but these."""
        pairs = PairSettings(aggregate=self.aggregate)
        settings = TrainSettings(seed=seed, keep_order=True, fresh_relevance=True, pairs=pairs)
        return train_ranker(features, judgments, self.encoders(), settings, base=self.ranker, on_stage=self.on_stage)

    def pair_relevance(self, ranker: Ranker, photo: np.ndarray, captions: Sequence[str]) -> np.ndarray:
        """Relevance of pairs: photo rows of the judged photos beside caption ids."""
        scored = self.pair_scores(ranker, photo, captions)
        return scored[0]

    def pair_scores(self, ranker: Ranker, photo: np.ndarray, captions: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Relevance (n,) and scalars (n, 7) of pairs: photo rows of the judged photos beside caption ids."""
        _, features = self.judged()
        if "caption rows" not in self._cache:
            self._cache["caption rows"] = {caption: i for i, caption in enumerate(features.captions)}
        text = np.array([self._cache["caption rows"][caption] for caption in captions], np.int64)
        distinct, which = np.unique(text, return_inverse=True)
        side = ranker.encode_photos(features.x, features.regions)
        texts = [features.texts[row] for row in distinct]
        query = ranker.encode_queries(features.t[distinct], texts, features.tokens.select(distinct))
        relevance, pair_features = (
            np.empty(len(text), np.float32),
            np.empty((len(text), len(PAIR_FEATURES)), np.float32),
        )
        for row in range(len(distinct)):
            mine = np.flatnonzero(which == row)
            rows = photo[mine]
            regions = None if side.regions is None else side.regions[rows]
            part = EncodedPhotos(side.z[rows], side.hubness[rows], side.hidden[rows], regions)
            scores = ranker.scores(part, query, row)
            relevance[mine], pair_features[mine] = scores.relevance, scores.pair_features
        return relevance, pair_features

    def names(self) -> tuple[list[str], list[str], "Photos", np.ndarray]:
        """Named photos: synsets, their words, the photos, and each photo's synset."""
        if "names" not in self._cache:
            folder = self.breadth or self.judgments.folder.resolve().parent / "imagen"
            files = sorted(folder.glob("n*_*_*.jpg")) if folder.is_dir() else []
            words = {path.name.split("_")[0]: " ".join(path.stem.split("_")[2:]) for path in files}
            synsets = sorted(words)
            photos = Photos(*embed_photos(files, self.encoders()[0])) if files else Photos(np.zeros((0, 1)), None)
            label = np.array([synsets.index(path.name.split("_")[0]) for path in files], np.int64)
            self._cache["names"] = (synsets, [words[synset] for synset in synsets], photos, label)
        synsets, word_list, photos, label = self._cache["names"]
        return synsets, word_list, photos, label

    def has_judged(self) -> bool:
        return JUDGED_SET in self.judgments.sets and bool(self.judgments.sets[JUDGED_SET])

    def has_course(self) -> bool:
        return bool(self.judgments.queries)


@dataclass(frozen=True, slots=True)
class Photos:
    """x: (n, d) float32; regions: (n, c, r) int8 or None."""

    x: np.ndarray
    regions: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Queries:
    """Texts with their vectors t (b, e) and tokens."""

    texts: list[str]
    t: np.ndarray
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class Found:
    """What b queries find among n photos.

    `candidates` (b, n) are the first stage's scores; `learned` (b, n) are the reranker's of the first candidates, and
    behind them the others as they were; `order` (b, n) sorts as a search does, which spreads few photos
    (`correct_small_gallery`); `match` is the chance that anything fits, of any rows.
    """

    ranker: Ranker
    candidates: np.ndarray
    learned: np.ndarray
    ranking_scores: np.ndarray
    pair_features_of: Callable[[np.ndarray], np.ndarray]
    query_hubness: np.ndarray

    def match(self, order: np.ndarray) -> np.ndarray:
        """(b,): the chance that anything fits a query, where `order` (b, n) may lack photos (-inf)."""
        # The first hit of those that are left, which few photos and many have alike.
        first = np.where(np.isfinite(order), self.learned, -np.inf).argmax(axis=1)
        # Behind the first candidates, `learned` holds other numbers; a first hit is never among those.
        of_first = np.take_along_axis(self.learned, first[:, None], axis=1)[:, 0]
        photos = np.isfinite(order).sum(axis=1)
        return self.ranker.match_probability(of_first, self.pair_features_of(first), self.query_hubness, photos)


def search(ranker: Ranker, photos: Photos, queries: Queries) -> Found:
    """Rank every photo for every query."""
    side = ranker.encode_photos(photos.x, photos.regions)
    query = ranker.encode_queries(queries.t, queries.texts, queries.tokens)
    candidates = candidate_scores(side, query)
    learned = np.empty_like(candidates)
    pair_features = np.empty((*candidates.shape, len(PAIR_FEATURES)), np.float16)
    for begin in range(0, len(candidates), BLOCK):
        rows = slice(begin, min(begin + BLOCK, len(candidates)))
        scores = ranker.score_matrix(side, query, rows)
        learned[rows], pair_features[rows] = scores.ranking_scores, scores.pair_features
    kept = min(RERANKED, candidates.shape[1])
    threshold = np.partition(candidates, -kept, axis=1)[:, -kept][:, None]
    reranked = candidates >= threshold
    learned = np.where(reranked, learned, candidates - 1e4)
    order = learned
    if candidates.shape[1] < MANY:
        order = learned.copy()
        mean_caption = ranker.mean_caption()
        at_large = side.z @ mean_caption[:-1] + side.hubness * mean_caption[-1]
        for row, shown in enumerate(reranked):
            order[row, shown] = correct_small_gallery(
                learned[row, shown], at_large[shown], query.gate[row], candidates.shape[1]
            )

    def pair_features_of(first: np.ndarray) -> np.ndarray:
        return np.take_along_axis(pair_features, first[:, None, None], axis=1)[:, 0].astype(np.float32)

    return Found(ranker, candidates, learned, order, pair_features_of, query.query_hubness)
