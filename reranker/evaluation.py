"""What evaluation protocols share: the judged data with its vectors, scores of the ranker, rankers trained in folds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders import load_image_encoder, load_text_encoder
from indexer.errors import PhotoseekError
from indexer.views import PhotoSide
from reranker.features import Features, embed_judgments, embed_photos, embed_texts
from reranker.judgments import CrowdRow, ExpertRow, Judgments, photo_of
from reranker.ranker import QuerySide, Ranker
from reranker.train import TrainSettings, relevance_matrix
from reranker.train import train as train_ranker

Stage = Callable[[str, int, int], None]

FOLDS = 5
JUDGED_SET = "train_images"


@dataclass(slots=True)
class Evaluation:
    """A ranker and the judged data to measure it on.

    `breadth` is a folder of photos named `<wnid>_<n>_<word>.jpg`, by default `imagen` beside the judged folder, with
    `imagenet_classes.tsv` beside it. `seeds`: how often each protocol that trains is repeated; its figures are means.
    """

    judgments: Judgments
    ranker: Ranker
    breadth: Path | None = None
    seeds: int = 1
    device: str = "auto"
    on_stage: Stage | None = None
    _cache: dict[str, Any] = field(default_factory=dict, repr=False)

    def encoders(self) -> tuple[Any, Any]:
        """The ranker's own encoders; PhotoseekError if this machine has others of the same name."""
        if "encoders" not in self._cache:
            image = load_image_encoder(self.ranker.image_encoder.rpartition("@")[0], device=self.device)
            text = load_text_encoder(self.ranker.text_encoder_name)
            for wanted, found in ((self.ranker.image_encoder, image), (self.ranker.text_encoder, text)):
                if wanted != found.fingerprint:
                    raise PhotoseekError(
                        f"ranker {self.ranker.id} was trained with {wanted}, here is {found.fingerprint}"
                    )
            self._cache["encoders"] = (image, text)
        image, text = self._cache["encoders"]
        return image, text

    def judged(self) -> tuple[Judgments, Features]:
        """The judged photos with their captions, judgments and vectors."""
        if "judged" not in self._cache:
            judgments = self.judgments.restrict(self.judgments.sets[JUDGED_SET])
            self._cache["judged"] = (judgments, embed_judgments(judgments, *self.encoders()))
        judgments, features = self._cache["judged"]
        return judgments, features

    def course(self) -> tuple[np.ndarray, list[str], np.ndarray, np.ndarray]:
        """The course's test: x of its photos, query texts, their vectors, and each query's own photo."""
        if "course" not in self._cache:
            names = self.judgments.test_photos
            x = embed_photos([self.judgments.photos[name] for name in names], self.encoders()[0])
            texts = [query.text for query in self.judgments.queries]
            own = np.array([names.index(query.photo) for query in self.judgments.queries])
            self._cache["course"] = (x, texts, embed_texts(texts, self.encoders()[1]), own)
        x, texts, t, own = self._cache["course"]
        return x, texts, t, own

    def official(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """All captions of the judged photos against those: candidate scores, relevances, own photos."""
        if "official" not in self._cache:
            _, features = self.judged()
            rows = np.flatnonzero(features.owner >= 0)
            side = self.ranker.photo_side(features.x)
            query = self.ranker.query_side(features.t[rows], [features.texts[row] for row in rows])
            self._cache["official"] = (*all_scores(self.ranker, side, query), features.owner[rows])
        candidates, relevance, own = self._cache["official"]
        return candidates, relevance, own

    def folds(self, seed: int) -> dict[str, np.ndarray]:
        """Relevance of every judged pair by rankers that learned from other photos' judgments (5 folds by photo).

        The shipped map is kept; it has seen neither these photos nor their captions. `expert` and `crowd` follow the
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
                learned = self.train(features.select(seen), restricted, seed, self.ranker)
                for kind, rows in kinds.items():
                    held = np.flatnonzero(fold_of[photo[kind]] == fold)
                    scores[kind][held] = self.pair_relevance(
                        learned, photo[kind][held], [rows[int(i)].caption for i in held]
                    )
                unseen = [c for c in restricted.captions if photo_of(c) not in names]
                learned = self.train(features.select(seen), restricted.without_captions(unseen), seed, self.ranker)
                held = np.flatnonzero(
                    (fold_of[photo["expert"]] == fold) & np.isin(owner["expert"], np.flatnonzero(fold_of == fold))
                )
                captions = [judgments.expert[i].caption for i in held]
                scores["strict"][held] = self.pair_relevance(learned, photo["expert"][held], captions)
            self._cache[key] = scores
        found: dict[str, np.ndarray] = self._cache[key]
        return found

    def train(self, features: Features, judgments: Judgments, seed: int, base: Ranker | None) -> Ranker:
        settings = TrainSettings(seed=seed)
        return train_ranker(features, judgments, self.encoders(), settings, base=base, on_stage=self.on_stage)

    def pair_relevance(self, ranker: Ranker, photo: np.ndarray, captions: Sequence[str]) -> np.ndarray:
        """Relevance of pairs: photo rows of the judged photos beside caption ids."""
        _, features = self.judged()
        if "caption rows" not in self._cache:
            self._cache["caption rows"] = {caption: i for i, caption in enumerate(features.captions)}
        text = np.array([self._cache["caption rows"][caption] for caption in captions], np.int64)
        distinct, which = np.unique(text, return_inverse=True)
        side = ranker.photo_side(features.x)
        query = ranker.query_side(features.t[distinct], [features.texts[row] for row in distinct])
        relevance = np.empty(len(text), np.float32)
        for row in range(len(distinct)):
            mine = np.flatnonzero(which == row)
            part = PhotoSide(side.z[photo[mine]], side.hub[photo[mine]], side.hidden[photo[mine]])
            relevance[mine] = ranker.relevance(part, query, row)
        return relevance

    def names(self) -> tuple[list[str], list[str], np.ndarray, np.ndarray]:
        """Named photos: synsets, their words, x of the photos, and each photo's synset."""
        if "names" not in self._cache:
            folder = self.breadth or self.judgments.folder.resolve().parent / "imagen"
            files = sorted(folder.glob("n*_*_*.jpg")) if folder.is_dir() else []
            words = {path.name.split("_")[0]: " ".join(path.stem.split("_")[2:]) for path in files}
            synsets = sorted(words)
            x = embed_photos(files, self.encoders()[0]) if files else np.zeros((0, 1), np.float32)
            label = np.array([synsets.index(path.name.split("_")[0]) for path in files], np.int64)
            self._cache["names"] = (synsets, [words[synset] for synset in synsets], x, label)
        synsets, word_list, x, label = self._cache["names"]
        return synsets, word_list, x, label

    def has_judged(self) -> bool:
        return JUDGED_SET in self.judgments.sets and bool(self.judgments.sets[JUDGED_SET])

    def has_course(self) -> bool:
        return bool(self.judgments.queries)


def all_scores(ranker: Ranker, side: PhotoSide, query: QuerySide) -> tuple[np.ndarray, np.ndarray]:
    """(candidate scores, relevances) of every photo for every query, (queries, photos) each."""
    candidates = query.candidate @ np.concatenate([side.z, side.hub[:, None]], axis=1).T
    return candidates, relevance_matrix(ranker, side, query)
