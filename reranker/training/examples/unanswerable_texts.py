"""Texts that nothing in a gallery fits: random letters, other languages, names of things that no caption says."""

from importlib.resources import files

import numpy as np

from indexer.encoders import TextEncoder
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.lexical_features import WORD, words_of
from reranker.training.examples.encoded_texts import EncodedTexts
from reranker.training.joint_space.class_name_files import ClassName

# Random strings that are asked, and letters of a random word.
RANDOM_STRINGS = 150
RANDOM_LETTERS = (3, 12)
# Names that are asked at most.
ABSENT_NAMES = 600
# A row of a keyboard is what fingers type that mean nothing.
_LETTERS = ("abcdefghijklmnopqrstuvwxyz", "asdfghjkl", "qwertyuiop", "zxcvbnm", "abcdefghijklmnopqrstuvwxyz0123456789")


def random_strings(count: int, seed: int) -> list[str]:
    """Make strings of random letters and digits, of one to three words.

    Args:
        count: How many.
        seed: Draws them.
    """
    generator = np.random.default_rng(seed)

    def word() -> str:
        letters = _LETTERS[generator.integers(len(_LETTERS))]
        length = generator.integers(RANDOM_LETTERS[0], RANDOM_LETTERS[1] + 1)
        return "".join(generator.choice(list(letters), length))

    return [" ".join(word() for _ in range(generator.choice((1, 1, 1, 2, 3)))) for _ in range(count)]


def foreign_sentences() -> list[str]:
    """Return captions in languages other than English, a line each of `foreign_sentences.txt`."""
    text = files("reranker.training.examples").joinpath("foreign_sentences.txt").read_text(encoding="utf-8")
    return text.splitlines()


def names_not_said(embedded: EmbeddedJudgments, class_names: list[ClassName], seed: int) -> list[str]:
    """Return first names of classes none of whose words any caption says, so that hardly any photo shows one.

    Args:
        embedded: The judged data.
        class_names: The classes.
        seed: Draws them, where there are more than enough.
    """
    said = {word for row in np.flatnonzero(embedded.owner >= 0) for word in WORD.findall(embedded.texts[row].lower())}
    names = [class_name.names[0] for class_name in class_names]
    absent = [name for name in names if not said & {form for word in words_of(name) for form in (word, f"{word}s")}]
    chosen = np.random.default_rng(seed).permutation(len(absent))[:ABSENT_NAMES]
    return [absent[place] if place % 2 else f"a photo of a {absent[place]}" for place in np.sort(chosen)]


def unanswerable_texts(
    embedded: EmbeddedJudgments, class_names: list[ClassName], encoder: TextEncoder, seed: int
) -> dict[str, EncodedTexts]:
    """Return texts that nothing fits, by kind: "random", "foreign", "absent".

    Args:
        embedded: The judged data.
        class_names: Classes whose names are asked where no caption says them.
        encoder: The text encoder of the training.
        seed: Draws what is random.
    """
    kinds = {
        "random": random_strings(RANDOM_STRINGS, seed),
        "foreign": foreign_sentences(),
        "absent": names_not_said(embedded, class_names, seed),
    }
    return {kind: EncodedTexts.of(texts, encoder) for kind, texts in kinds.items() if texts}
