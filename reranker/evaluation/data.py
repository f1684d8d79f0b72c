"""Hold the data of an evaluation: judged photos, the course's test, named photos; embedded when first needed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder, Tokens
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judgments import Judgments
from reranker.ranker import Ranker
from reranker.ranker_encoders import encoders_of

# The photo folder whose photos people judged.
JUDGED_SET = "train_images"


@dataclass(frozen=True, slots=True)
class GalleryPhotos:
    """The photos of a gallery.

    Attributes:
        x: (n, d) float32 image embeddings, unit rows.
        regions: (n, c, r) int8 region vectors, or None.
    """

    x: np.ndarray
    regions: np.ndarray | None


@dataclass(frozen=True, slots=True)
class GalleryQueries:
    """Queries that search a gallery.

    Attributes:
        texts: The b texts.
        t: (b, e) float32 text vectors.
        tokens: Their word pieces with vectors.
    """

    texts: list[str]
    t: np.ndarray
    tokens: Tokens


@dataclass(frozen=True, slots=True)
class CourseTest:
    """The course's test.

    Attributes:
        photos: Its n photos.
        queries: Its b queries.
        own: (b,) int64, the photo that each query was written for.
    """

    photos: GalleryPhotos
    queries: GalleryQueries
    own: np.ndarray


@dataclass(frozen=True, slots=True)
class NamedPhotos:
    """Photos that show one named thing each.

    Attributes:
        synsets: WordNet ids of the things.
        words: A word for each of them.
        photos: The n photos.
        synset_of: (n,) int64, the place in `synsets` of what each photo shows.
    """

    synsets: tuple[str, ...]
    words: tuple[str, ...]
    photos: GalleryPhotos
    synset_of: np.ndarray


@dataclass(eq=False)
class EvaluationData:
    """Judged data with the vectors that one pair of encoders gives it. Each part is computed once.

    Attributes:
        judgments: The judged data.
        load_encoders: Returns the image and the text encoder; called when first needed.
        breadth: Folder of photos named `<wnid>_<n>_<word>.jpg`, with `imagenet_classes.tsv` beside the folder; by
            default `imagen` beside the judged folder.
        precision: What the image encoder was asked to compute in; reports name it.
    """

    judgments: Judgments
    load_encoders: Callable[[], tuple[ImageEncoder, TextEncoder]]
    breadth: Path | None = None
    precision: str = "auto"

    @classmethod
    def of_ranker(cls, judgments: Judgments, ranker: Ranker, breadth: Path | None = None) -> "EvaluationData":
        """Return judged data with the encoders that a ranker was trained with, from their places at that time."""
        return cls(judgments, partial(encoders_of, ranker), breadth)

    @cached_property
    def encoders(self) -> tuple[ImageEncoder, TextEncoder]:
        """The image and the text encoder."""
        return self.load_encoders()

    @cached_property
    def judged(self) -> tuple[Judgments, EmbeddedJudgments]:
        """The judged photos with their captions and judgments, and their vectors."""
        judgments = self.judgments.restrict(self.judgments.sets[JUDGED_SET])
        return judgments, embed_judgments(judgments, *self.encoders)

    @cached_property
    def course(self) -> CourseTest:
        """The course's test."""
        names = self.judgments.test_photos
        photos = GalleryPhotos(*embed_photos([self.judgments.photos[name] for name in names], self.encoders[0]))
        own = np.array([names.index(query.photo) for query in self.judgments.queries])
        return CourseTest(photos, self.queries([query.text for query in self.judgments.queries]), own)

    @cached_property
    def captions(self) -> GalleryQueries:
        """The judged photos' own captions, as queries."""
        _, embedded = self.judged
        rows = np.flatnonzero(embedded.owner >= 0)
        return GalleryQueries([embedded.texts[row] for row in rows], embedded.t[rows], embedded.tokens.select(rows))

    @cached_property
    def caption_rows(self) -> dict[str, int]:
        """Caption id -> its row among the judged photos' captions."""
        return {caption: row for row, caption in enumerate(self.judged[1].captions)}

    @cached_property
    def named_photos(self) -> NamedPhotos:
        """The photos of the `breadth` folder; none where the folder is missing."""
        folder = self.breadth_folder
        files = sorted(folder.glob("n*_*_*.jpg")) if folder.is_dir() else []
        words = {path.name.split("_")[0]: " ".join(path.stem.split("_")[2:]) for path in files}
        synsets = sorted(words)
        empty = GalleryPhotos(np.zeros((0, 1)), None)
        photos = GalleryPhotos(*embed_photos(files, self.encoders[0])) if files else empty
        synset_of = np.array([synsets.index(path.name.split("_")[0]) for path in files], np.int64)
        return NamedPhotos(tuple(synsets), tuple(words[synset] for synset in synsets), photos, synset_of)

    @property
    def breadth_folder(self) -> Path:
        """Where named photos are looked for."""
        return self.breadth or self.judgments.folder.resolve().parent / "imagen"

    @property
    def has_judged(self) -> bool:
        """Whether there are judged photos."""
        return bool(self.judgments.sets.get(JUDGED_SET))

    @property
    def has_course(self) -> bool:
        """Whether there are test queries."""
        return bool(self.judgments.queries)

    def queries(self, texts: list[str]) -> GalleryQueries:
        """Embed texts as queries."""
        return GalleryQueries(texts, *embed_with_tokens(texts, self.encoders[1]))
