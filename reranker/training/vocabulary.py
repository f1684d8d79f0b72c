"""The vocabulary of the names head: what things are called, and where photos of them lie."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexer.encoders import ImageEncoder, TextEncoder
from indexer.errors import PhotoseekError
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.class_names import ClassNameHead, extend_class_names, fit_class_names, named_texts
from reranker.models.lexical_features import WORD
from reranker.models.linear_map import unit

# Sentences that the gate learns to tell from names.
SENTENCES = 8000


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a vocabulary: its names, and what shows how it looks: the number of a class of the image encoder's
    own classifier, or photos of the judged folder. With neither, captions that say a name point to photos."""

    names: tuple[str, ...]
    index: int | None = None
    photos: tuple[str, ...] = ()


def read_class_names(path: Path) -> list[Thing]:
    """Read a vocabulary.

    A `.txt` file has one thing a line, its names separated by commas. A `.tsv` or `.csv` file has a header with `names`
    and, if wanted, `index` (a class of the encoder's classifier) or `photo` (a file of the judged folder; a thing may
    have several lines). Raises PhotoseekError naming the line that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PhotoseekError(f"class names {path}: {reason}") from None
    if path.suffix == ".txt":
        rows = [(number, {"names": line}) for number, line in enumerate(text.splitlines(), 1)]
    else:
        reader = csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ",")
        if "names" not in (reader.fieldnames or ()):
            raise PhotoseekError(f"class names {path}: no column 'names' in its first line")
        rows = [(reader.line_num, row) for row in reader]
    found: dict[tuple[str, ...], Thing] = {}
    for number, row in rows:
        names = tuple(name.strip() for name in (row["names"] or "").split(",") if name.strip())
        if not names:
            continue
        index, photo = (row.get("index") or "").strip(), (row.get("photo") or "").strip()
        if index and not index.isdecimal():
            raise PhotoseekError(f"class names {path}, line {number}: index {index!r} is no class number")
        before = found.get(names, Thing(names))
        photos = (*before.photos, photo) if photo else before.photos
        found[names] = Thing(names, int(index) if index else before.index, photos)
    if not found:
        raise PhotoseekError(f"class names {path}: no names in it")
    return list(found.values())


def own_class_names(image: ImageEncoder) -> list[Thing]:
    """The names of the classes that the image encoder's own classifier knows: ImageNet's, as torchvision has them."""
    if image.prototypes is None:
        return []
    from torchvision.models import ResNet18_Weights

    return [Thing((name,), index) for index, name in enumerate(ResNet18_Weights.DEFAULT.meta["categories"])]


def vocabulary_of(image: ImageEncoder, things: Sequence[Thing]) -> list[Thing]:
    """A team's things beside the encoder's own class names; a class that a thing names by its number has its names."""
    named = {thing.index for thing in things}
    return [*(thing for thing in own_class_names(image) if thing.index not in named), *things]


def learn_class_names(
    features: EmbeddedJudgments,
    things: Sequence[Thing],
    image: ImageEncoder,
    text: TextEncoder,
    base: ClassNameHead | None = None,
) -> tuple[ClassNameHead, list[str]]:
    """The names head for a vocabulary, and the things that nothing shows: no class, no photo, no caption. With a base,
    its names stay beside those of the vocabulary.

    Raises PhotoseekError for a class number that the encoder does not have, or a photo that is not among the judged.
    """
    known = {name.lower(): thing.index for thing in own_class_names(image) for name in thing.names}
    place = {name: row for row, name in enumerate(features.photos)}
    owned = np.flatnonzero(features.owner >= 0)
    said = [" " + " ".join(WORD.findall(features.texts[row].lower())) + " " for row in owned]
    shift = np.zeros(features.x.shape[1], np.float32) if image.prototypes is not None else features.x.mean(axis=0)
    shown: list[tuple[Thing, np.ndarray]] = []
    unknown = []
    for thing in things:
        index = thing.index
        if index is None and not thing.photos:
            index = next((known[name.lower()] for name in thing.names if name.lower() in known), None)
        if index is not None and image.prototypes is not None:
            if index >= len(image.prototypes):
                raise PhotoseekError(
                    f"class names: {thing.names[0]!r} has index {index}, {image.name} has no such class"
                )
            shown.append((thing, image.prototypes[index]))
            continue
        for photo in thing.photos:
            if photo not in place:
                raise PhotoseekError(
                    f"class names: photo {photo!r} of {thing.names[0]!r} is not among the judged photos"
                )
        rows = [place[photo] for photo in thing.photos]
        if not rows:
            plain = [" ".join(WORD.findall(name.lower())) for name in thing.names]
            forms = [f" {form} " for name in plain if name for form in (name, f"{name}s")]
            rows = [
                int(features.owner[row])
                for row, text_ in zip(owned, said, strict=True)
                if any(f in text_ for f in forms)
            ]
        if not rows:
            unknown.append(thing.names[0])
            continue
        example = (features.x[rows] - shift).mean(axis=0)
        if image.prototypes is not None:
            example = example * (np.arange(len(example)) >= len(example) - image.class_dim)
        shown.append((thing, example + shift))
    extends = base is not None and base.k > 0
    if len(shown) < (1 if extends else 2):
        return base or ClassNameHead.none(features.x.shape[1], features.t.shape[1]), unknown
    names = [thing.names for thing, _ in shown]
    prototypes = np.stack([prototype for _, prototype in shown]).astype(np.float32)
    vectors = unit(text.encode(named_texts(names)))
    if base is not None and extends:
        return extend_class_names(base, names, prototypes, vectors, shift), unknown
    sentences = unit(features.t[owned[:: max(1, len(owned) // SENTENCES)]])
    return fit_class_names(names, prototypes, vectors, sentences, shift), unknown
