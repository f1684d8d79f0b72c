"""Texts that nothing fits: random letters, other languages, and names of things that no caption says."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.lexical_features import WORD
from reranker.training.examples import unanswerable_texts as module
from reranker.training.examples.unanswerable_texts import (
    foreign_sentences,
    names_not_said,
    random_strings,
    unanswerable_texts,
)
from reranker.training.joint_space.class_name_files import ClassName
from tiny_judged import StubTextEncoder, made


@given(st.integers(0, 30), st.integers(0, 2**32 - 1))
def test_random_strings_are_one_to_three_words_of_three_to_twelve_letters_and_digits(count: int, seed: int):
    found = random_strings(count, seed)
    assert len(found) == count
    for text in found:
        words = text.split(" ")
        assert 1 <= len(words) <= 3
        assert all(
            3 <= len(word) <= 12 and word.isascii() and word.isalnum() and word == word.lower() for word in words
        )
    assert random_strings(count, seed) == found


def test_random_strings_differ_by_their_seed():
    assert random_strings(5, 0) != random_strings(5, 1)
    assert len(set(random_strings(150, 0))) == 150


def test_foreign_sentences_are_lines_without_a_doublet_in_several_scripts():
    sentences = foreign_sentences()
    assert len(set(sentences)) == len(sentences) == 88
    assert all(sentence == sentence.strip() != "" for sentence in sentences)
    # Cyrillic, Chinese, Arabic, and letters of German and French.
    for first, last in (("\u0430", "\u044f"), ("\u4e00", "\u9fff"), ("\u0621", "\u064a"), ("\u00e0", "\u00ff")):
        assert any(first <= letter <= last for sentence in sentences for letter in sentence), first


def said() -> EmbeddedJudgments:
    """Six captions of three photos, and two of none."""
    texts = ("A dog runs", "two cats", "red cars", "the sea", "Tea pots", "a bus", "a violin", "zebra")
    part = made(3, seed=0)[0]
    return replace(part, texts=texts, owner=np.array([0, 0, 1, 1, 2, 2, -1, -1]))


def test_names_are_absent_if_no_caption_says_one_of_their_words_or_its_plural():
    names = ["dog", "cat", "car", "tea cup", "pot", "violin", "zebra", "sports bag", "Sea lion", "bus", "the"]
    found = names_not_said(said(), [ClassName((name, "dog")) for name in names], 0)
    # Captions of no photo do not count, nor does a second name. "the" has no word that counts. Half of them are asked
    # in a longer form.
    assert found == ["a photo of a violin", "zebra", "a photo of a sports bag", "the"]


def test_no_more_names_are_asked_than_there_may_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "ABSENT_NAMES", 5)
    names = [ClassName((f"thing{chr(97 + i)}",)) for i in range(20)]
    found = [WORD.findall(text)[-1] for text in names_not_said(said(), names, 0)]
    assert len(set(found)) == 5
    # In the order of the classes, others for another seed.
    assert found == sorted(found)
    assert names_not_said(said(), names, 0) != names_not_said(said(), names, 1)


@pytest.mark.usefixtures("cache")
def test_texts_that_nothing_fits_come_by_kind_and_a_kind_without_texts_not_at_all():
    kinds = unanswerable_texts(said(), [ClassName(("violin",))], StubTextEncoder(), 3)
    assert list(kinds) == ["random", "foreign", "absent"]
    assert kinds["random"].texts == tuple(random_strings(150, 3))
    assert kinds["foreign"].texts == tuple(foreign_sentences())
    assert kinds["absent"].texts == ("a photo of a violin",)
    assert [texts.t.shape for texts in kinds.values()] == [(150, 30), (88, 30), (1, 30)]
    assert list(unanswerable_texts(said(), [ClassName(("dog",))], StubTextEncoder(), 3)) == ["random", "foreign"]
