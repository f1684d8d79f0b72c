"""Hold the data of an evaluation: judged photos, tests, named photos, other photos; embedded when first needed."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder
from indexer.errors import PhotoseekError
from reranker.gallery_ranking import GalleryPhotos, GalleryQueries
from reranker.judgments.captions_table import CAPTIONS_TABLE, TABLE_PHOTOS, read_captions_table
from reranker.judgments.embedded import EmbeddedJudgments, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judgments import Judgments, photo_of
from reranker.judgments.tables import TableReader, refuse_row
from reranker.ranker import Ranker
from reranker.ranker_encoders import encoders_of

# The photo folder whose photos people judged.
JUDGED_SET = "train_images"
# Short queries, and the photos `<set>/<file name>` that are right for each; `docs/evaluation.md` describes both.
EVERYDAY = Path(__file__).with_name("everyday.tsv")


@dataclass(frozen=True, slots=True)
class GalleryTest:
    """A gallery, and queries that were each written for one of its photos.

    Attributes:
        names: Names of the n photos.
        photos: The n photos.
        queries: The b queries.
        own: (b,) int64, the photo that each query was written for.
    """

    names: tuple[str, ...]
    photos: GalleryPhotos
    queries: GalleryQueries
    own: np.ndarray


@dataclass(frozen=True, slots=True)
class MarkedTest:
    """A gallery, and queries for which every photo is marked as right or wrong.

    Attributes:
        photos: The n photos.
        queries: The b queries.
        right: (b, n) bool, which photos are right; at least one per query.
    """

    photos: GalleryPhotos
    queries: GalleryQueries
    right: np.ndarray


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
        elsewhere: Folder of sets of other photos, each with `captions.tsv` and `photos/`; by default `elsewhere` beside
            the judged folder.
    """

    judgments: Judgments
    load_encoders: Callable[[], tuple[ImageEncoder, TextEncoder]]
    breadth: Path | None = None
    precision: str = "auto"
    elsewhere: Path | None = None

    @classmethod
    def of_ranker(
        cls, judgments: Judgments, ranker: Ranker, breadth: Path | None = None, elsewhere: Path | None = None
    ) -> "EvaluationData":
        """Return judged data with the encoders that a ranker was trained with, from their places at that time."""
        return cls(judgments, partial(encoders_of, ranker), breadth, elsewhere=elsewhere)

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
    def course(self) -> GalleryTest:
        """The course's test."""
        names, queries = self.judgments.test_photos, self.judgments.queries
        own = [query.photo for query in queries]
        return self._gallery_test(self.judgments, names, [query.text for query in queries], own)

    @cached_property
    def elsewhere_sets(self) -> dict[str, GalleryTest]:
        """Name of a set of other photos -> its test photos and their captions; none where the folder is missing."""
        tests = {}
        for name, judgments in self._elsewhere_judgments.items():
            photos = judgments.splits["test"]
            captions = judgments.restrict(photos).captions
            own = [photo_of(caption) for caption in captions]
            tests[name] = self._gallery_test(judgments, photos, list(captions.values()), own)
        return tests

    @cached_property
    def _elsewhere_judgments(self) -> dict[str, Judgments]:
        """Name of a set of other photos -> what is said of them, for sets with test photos."""
        folder = self.elsewhere or self.judgments.folder.resolve().parent / "elsewhere"
        tables = sorted(folder.glob(f"*/{CAPTIONS_TABLE}")) if folder.is_dir() else []
        whole = (table for table in tables if (table.parent / TABLE_PHOTOS).is_dir())
        read = {table.parent.name: read_captions_table(table) for table in whole}
        return {name: judgments for name, judgments in read.items() if judgments.splits.get("test")}

    def check_folders(self) -> None:
        """Refuse folders that were named and hold nothing to measure with.

        Raises:
            PhotoseekError: `elsewhere` has no set with test photos, or `breadth` no named photo.
        """
        if self.elsewhere is not None and not self._elsewhere_judgments:
            raise PhotoseekError(
                f"no folder in {self.elsewhere} is a set of other photos; a set has {CAPTIONS_TABLE} and "
                f"{TABLE_PHOTOS}/, with photos of the split 'test'"
            )
        if self.breadth is not None and not self._named_files:
            raise PhotoseekError(f"no photo in {self.breadth} is named as SYNSET_NUMBER_NAME.jpg")

    @cached_property
    def everyday(self) -> MarkedTest | None:
        """The everyday queries against the test photos of all sets; None where no right photo is there."""
        tests = self.elsewhere_sets
        place: dict[str, int] = {}
        for name, test in tests.items():
            place |= {f"{name}/{photo}": len(place) + n for n, photo in enumerate(test.names)}
        right_of: dict[str, list[int]] = {}
        for _, row in TableReader(EVERYDAY, refuse_row).rows("\t", ("query", "image"), quotes=False):
            if row["image"] in place:
                right_of.setdefault(row["query"], []).append(place[row["image"]])
        if not right_of:
            return None
        right = np.zeros((len(right_of), len(place)), bool)
        for query, places in enumerate(right_of.values()):
            right[query, places] = True
        regions = [test.photos.regions for test in tests.values() if test.photos.regions is not None]
        x = np.concatenate([test.photos.x for test in tests.values()])
        photos = GalleryPhotos(x, np.concatenate(regions) if len(regions) == len(tests) else None)
        return MarkedTest(photos, self.queries(list(right_of)), right)

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
        files = self._named_files
        words = {path.name.split("_")[0]: " ".join(path.stem.split("_")[2:]) for path in files}
        synsets = sorted(words)
        empty = GalleryPhotos(np.zeros((0, 1)), None)
        photos = GalleryPhotos(*embed_photos(files, self.encoders[0])) if files else empty
        synset_of = np.array([synsets.index(path.name.split("_")[0]) for path in files], np.int64)
        return NamedPhotos(tuple(synsets), tuple(words[synset] for synset in synsets), photos, synset_of)

    @cached_property
    def _named_files(self) -> list[Path]:
        folder = self.breadth_folder
        return sorted(folder.glob("n*_*_*.jpg")) if folder.is_dir() else []

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

    def _gallery_test(
        self, judgments: Judgments, names: tuple[str, ...], texts: list[str], own: list[str]
    ) -> GalleryTest:
        """Embed these photos and these texts, each written for the photo of `own` at its place."""
        photos = GalleryPhotos(*embed_photos([judgments.photos[name] for name in names], self.encoders[0]))
        place = {name: n for n, name in enumerate(names)}
        return GalleryTest(names, photos, self.queries(texts), np.array([place[photo] for photo in own], np.int64))
