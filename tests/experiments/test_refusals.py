"""Refusals: the queries of each kind, and the share that gets no good match."""

from pathlib import Path
from types import SimpleNamespace

from experiments.refusals import COMMON_WORDS, queries, refused
from reranker.judgments.judgments import Judgments


def test_the_most_frequent_words_are_those_of_most_judged_photos() -> None:
    photos = {name: Path(name) for name in ("a.jpg", "b.jpg", "c.jpg")}
    captions = {
        "a.jpg#0": "a dog and a dog on a beach",
        "a.jpg#1": "a dog",
        "b.jpg#0": "a beach with a cat",
        # Not judged.
        "c.jpg#0": "a cat, a cat and a horse",
    }
    judged = Judgments(Path("judged"), photos, {"train_images": ("a.jpg", "b.jpg")}, {}, captions, (), ())
    asked = queries(judged)
    assert asked["common words"] == ["beach", "cat", "dog"][:COMMON_WORDS]
    assert [len(asked[kind]) for kind in ("random", "absent", "german")] == [300, 40, 50]
    assert len(set(asked["absent"]) | set(asked["german"])) == 90


def test_a_refusal_is_an_answer_without_a_good_match() -> None:
    def answer_many(queries, k):
        return [SimpleNamespace(good_match=text == "dog") for _, text in queries]

    assert refused(SimpleNamespace(answer_many=answer_many), ["dog", "xqz", "dog", "qqq"]) == 0.5
