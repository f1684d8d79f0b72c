"""Fit the class-name head to examples of the classes of a vocabulary."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder
from indexer.errors import PhotoseekError
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.class_names import ClassNameHead
from reranker.models.lexical_features import WORD
from reranker.models.linear_map import unit
from reranker.models.ranking_settings import ClassNameSettings
from reranker.training.joint_space.class_name_files import ClassName, own_class_names
from reranker.training.joint_space.fit_class_names import extend_class_names, fit_class_names, named_texts

# About how many sentences the name gate learns to distinguish from names.
SENTENCES = 8000


@dataclass(frozen=True, slots=True)
class FittedVocabulary:
    """The class-name head of a vocabulary.

    Attributes:
        head: The head of class names.
        without_example: First names of the classes that nothing shows: no class number, no photo, no caption.
        names: The names of each of the c classes that were fitted.
        vectors: (names * templates, e) float32 unit text vectors of `named_texts(names)`.
    """

    head: ClassNameHead
    without_example: tuple[str, ...]
    names: tuple[tuple[str, ...], ...]
    vectors: np.ndarray


def fit_vocabulary(
    embedded: EmbeddedJudgments,
    class_names: Sequence[ClassName],
    image: ImageEncoder,
    text: TextEncoder,
    base: ClassNameHead | None = None,
    settings: ClassNameSettings | None = None,
) -> FittedVocabulary:
    """Fit the head of class names to a vocabulary.

    Args:
        embedded: The judged data.
        class_names: The vocabulary.
        image: The image encoder that made the judged data's photo embeddings.
        text: The text encoder that made its text vectors.
        base: A head whose names stay beside those of the vocabulary.
        settings: How queries are compared with names, by default as new rankers do.

    Returns:
        The head; `base`, or a head without names, where fewer classes are shown than a head needs.

    Raises:
        PhotoseekError: The encoder has no class of that number, or a photo is not among the judged ones, or is one of
            several sets.
    """
    examples = _ClassExamples.of(embedded, image)
    shown: list[tuple[ClassName, np.ndarray]] = []
    unknown = []
    for class_name in class_names:
        prototype = examples.prototype(class_name)
        if prototype is None:
            unknown.append(class_name.names[0])
        else:
            shown.append((class_name, prototype))
    extends = base is not None and base.k > 0
    # The gate of a new head cannot learn from one class: its names must look like those of others.
    if len(shown) < (1 if extends else 2):
        head = base or ClassNameHead.none(embedded.x.shape[1], embedded.t.shape[1])
        return FittedVocabulary(head, tuple(unknown), (), np.zeros((0, embedded.t.shape[1]), np.float32))
    names = [class_name.names for class_name, _ in shown]
    prototypes = np.stack([prototype for _, prototype in shown]).astype(np.float32)
    vectors = unit(text.encode(named_texts(names)))
    if base is not None and extends:
        head = extend_class_names(base, names, prototypes, vectors, examples.centre)
        return FittedVocabulary(head, tuple(unknown), tuple(names), vectors)
    owned = np.flatnonzero(embedded.owner >= 0)
    sentences = unit(embedded.t[owned[:: max(1, len(owned) // SENTENCES)]])
    head = fit_class_names(names, prototypes, vectors, sentences, examples.centre, settings)
    return FittedVocabulary(head, tuple(unknown), tuple(names), vectors)


@dataclass(frozen=True, slots=True)
class _ClassExamples:
    """Examples of classes: the encoder's own classes, judged photos and captions.

    own_classes: numbers of the encoder's own classes by lower-case name; photo_rows: rows of the judged photos by name,
    with their set and without; captions: the words of each caption between spaces, and the row of its photo; centre:
    (d,), the middle of all classes.
    """

    embedded: EmbeddedJudgments
    image: ImageEncoder
    own_classes: dict[str, int | None]
    photo_rows: Mapping[str, list[int]]
    captions: list[tuple[str, int]]
    centre: np.ndarray

    @classmethod
    def of(cls, embedded: EmbeddedJudgments, image: ImageEncoder) -> "_ClassExamples":
        own = {name.lower(): class_name.index for class_name in own_class_names(image) for name in class_name.names}
        captions = [
            (f" {' '.join(WORD.findall(embedded.texts[row].lower()))} ", int(embedded.owner[row]))
            for row in np.flatnonzero(embedded.owner >= 0)
        ]
        without = image.prototypes is None
        centre = embedded.x.mean(axis=0) if without else np.zeros(embedded.x.shape[1], np.float32)
        return cls(embedded, image, own, _rows_by_name(embedded), captions, centre)

    def prototype(self, class_name: ClassName) -> np.ndarray | None:
        """Compute the mean embedding of a class's examples, (d,); None if it has none."""
        index = class_name.index
        if index is None and not class_name.photos:
            names = (name.lower() for name in class_name.names)
            index = next((self.own_classes[name] for name in names if name in self.own_classes), None)
        prototypes = self.image.prototypes
        if index is not None and prototypes is not None:
            if index >= len(prototypes):
                name = class_name.names[0]
                raise PhotoseekError(f"class names: {name!r} has index {index}, {self.image.name} has no such class")
            own_class: np.ndarray = prototypes[index]
            return own_class
        rows = self._named_photos(class_name) or self._photos_by_captions(class_name)
        if not rows:
            return None
        example: np.ndarray = (self.embedded.x[rows] - self.centre).mean(axis=0)
        if prototypes is not None:
            # Only the class part of the photos (the last columns) counts, as in the prototypes of the own classes.
            example = example * (np.arange(len(example)) >= len(example) - self.image.class_dim)
        return example + self.centre

    def _named_photos(self, class_name: ClassName) -> list[int]:
        """Find the rows of the photos that a class names."""
        found = []
        for photo in class_name.photos:
            rows = self.photo_rows.get(photo, [])
            if len(rows) != 1:
                several = " or ".join(self.embedded.photos[row] for row in rows)
                problem = f"in several sets; name {several}" if rows else "not among the judged photos"
                raise PhotoseekError(f"class names: photo {photo!r} of {class_name.names[0]!r} is {problem}")
            found += rows
        return found

    def _photos_by_captions(self, class_name: ClassName) -> list[int]:
        """Find the photos whose captions say a name or its plural as whole words: a row per caption."""
        plain = [" ".join(WORD.findall(name.lower())) for name in class_name.names]
        forms = [f" {form} " for name in plain if name for form in (name, f"{name}s")]
        return [row for words, row in self.captions if any(form in words for form in forms)]


def _rows_by_name(embedded: EmbeddedJudgments) -> dict[str, list[int]]:
    """Find the rows of the judged photos by name; of several sets, by the name with the set before it and without."""
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, (name, place) in enumerate(zip(embedded.photos, embedded.sets.set_of.tolist(), strict=True)):
        for known in {name, name.removeprefix(f"{embedded.sets.names[place]}/")}:
            rows[known].append(row)
    return dict(rows)
