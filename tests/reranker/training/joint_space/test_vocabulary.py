"""Vocabularies: what shows how a thing looks."""

from dataclasses import replace

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.training_sets import PhotoSets
from reranker.models.class_names import ClassNameHead
from reranker.models.linear_map import unit
from reranker.models.query_words import QUERY_WORDS
from reranker.models.ranking_settings import ClassNameSettings
from reranker.training.joint_space.class_name_files import ClassName
from reranker.training.joint_space.fit_class_names import TEMPLATES, named_texts
from reranker.training.joint_space.vocabulary import fit_vocabulary
from tiny_judged import ENCODERS, IMAGE_DIRECTIONS, TEXT_DIRECTIONS, WORDS, StubImageEncoder, StubTextEncoder, made

CLASSES = 16


def named(head: ClassNameHead, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the things lie that texts name, and the name gate, which does not look at their words."""
    return head.texts(t, np.zeros((len(t), len(QUERY_WORDS)), np.float32), ClassNameSettings())


def refusal(act) -> str:
    with pytest.raises(PhotoseekError) as caught:
        act()
    return str(caught.value)


def fitted(*arguments) -> tuple[ClassNameHead, list[str]]:
    found = fit_vocabulary(*arguments)
    return found.head, list(found.without_example)


def test_a_fitted_vocabulary_has_the_names_that_something_shows_with_their_vectors(features):
    things = [ClassName(("dog", "cat")), ClassName(("cow",)), ClassName(("sea",))]
    found = fit_vocabulary(features, things, StubImageEncoder(), StubTextEncoder())
    assert (found.names, found.without_example) == ((("dog", "cat"), ("sea",)), ("cow",))
    texts = named_texts(found.names)
    np.testing.assert_allclose(found.vectors, unit(StubTextEncoder().encode(texts)), atol=1e-6)
    # One class is none.
    alone = fit_vocabulary(features, things[:2], StubImageEncoder(), StubTextEncoder())
    assert (alone.names, alone.vectors.shape, alone.without_example) == ((), (0, 30), ("cow",))
    # Beside those of a base it is one.
    beside = fit_vocabulary(features, things[:1], StubImageEncoder(), StubTextEncoder(), found.head)
    assert (beside.names, beside.vectors.shape) == ((("dog", "cat"),), (2 * len(TEMPLATES), 30))


@pytest.fixture(scope="module")
def features():
    return made(120, seed=0)[0]


def nearest(names: ClassNameHead, word: str, count: int, x: np.ndarray) -> np.ndarray:
    """Return the rows of the photos that are nearest to where the head maps a word."""
    heard = unit(StubTextEncoder().encode([word]))
    places, _ = named(names, heard)
    return np.argsort(-(places @ names.images(x).T)[0])[:count]


def test_captions_that_say_a_name_show_how_it_looks(features):
    # "men" is no plural that adds an s, and no caption says it; "t-shirt" is said nowhere.
    things = [ClassName((word,)) for word in WORDS] + [ClassName(("t-shirt",)), ClassName(("42",))]
    names, unknown = fitted(features, things, StubImageEncoder(), StubTextEncoder())
    assert unknown == ["t-shirt", "42"]
    assert names.keys.shape == (8, 30)
    for word in WORDS:
        said = [word in features.texts[4 * row].split() for row in nearest(names, word, 10, features.x)]
        # A caption names two of the eight words, so one photo in four by chance.
        assert np.mean(said) >= 0.8, word


def test_a_name_is_found_as_whole_words_in_its_plural_and_across_signs(features):
    texts = ["Two dogs .", "A T-shirt !", "the hotdog stand", "a tea pot", "teas"] + ["nothing"] * 475
    said = replace(features, texts=tuple(texts))
    things = [ClassName((name,)) for name in ("dog", "t-shirt", "stand", "tea pot", "pot", "shirts", "hot dog", "ea")]
    _, unknown = fitted(said, things, StubImageEncoder(), StubTextEncoder())
    assert unknown == ["shirts", "hot dog", "ea"]


def test_photos_show_how_a_thing_looks(features):
    hidden = made(120, seed=0)[2]
    best = {word: np.argsort(-hidden[:, WORDS.index(word)])[:5] for word in ("snow", "sea", "car")}
    things = [ClassName((word,), None, tuple(features.photos[row] for row in rows)) for word, rows in best.items()]
    names, unknown = fitted(features, things, StubImageEncoder(), StubTextEncoder())
    assert unknown == []
    means = np.stack([features.x[rows].mean(axis=0) for rows in best.values()])
    np.testing.assert_allclose(names.values, names.images(means), atol=1e-5)
    for word in best:
        # Five of 120 numbers of spread 1 by chance are 0 on average.
        assert hidden[nearest(names, word, 5, features.x), WORDS.index(word)].mean() > 1, word


def with_classes(features, classes: int = 1000):
    """Photos with a classifier's view behind their embeddings, and an encoder whose classes look alike."""
    generator = np.random.default_rng(5)
    prototypes = np.concatenate([np.zeros((classes, 40)), generator.standard_normal((classes, CLASSES))], axis=1)
    shown = generator.integers(0, classes, len(features.photos))
    view = unit(prototypes)[shown, 40:]
    x = unit(np.concatenate([features.x, 0.5 * view], axis=1))
    return (
        replace(features, x=x, class_dim=CLASSES),
        StubImageEncoder(class_dim=CLASSES, prototypes=unit(prototypes)),
        shown,
    )


def test_an_index_is_a_class_of_the_encoder_and_so_is_a_class_by_its_own_name(features):
    seeing, eyes, shown = with_classes(features)
    names, unknown = fitted(
        seeing, [ClassName(("dog",), int(shown[3])), ClassName(("Golden Retriever",))], eyes, StubTextEncoder()
    )
    assert unknown == []
    places = names.images(eyes.prototypes[[shown[3], 207]])
    np.testing.assert_allclose(names.values, places, atol=1e-5)
    assert 3 in nearest(names, "dog", int((shown == shown[3]).sum()), seeing.x)


def test_where_the_encoder_has_classes_photos_count_by_what_its_classifier_sees(features):
    seeing, eyes, shown = with_classes(features)
    things = [ClassName(("dog",), None, (seeing.photos[3],)), ClassName(("cat",), 7)]
    names, _ = fitted(seeing, things, eyes, StubTextEncoder())
    np.testing.assert_allclose(names.values, names.images(eyes.prototypes[[shown[3], 7]]), atol=1e-5)


def test_without_a_classifier_an_index_is_passed_over_for_captions(features):
    names, unknown = fitted(
        features,
        [ClassName(("dog",), 5), ClassName(("cat",), 6), ClassName(("cow",), 7)],
        StubImageEncoder(),
        StubTextEncoder(),
    )
    assert (len(names.keys), unknown) == (2, ["cow"])


def test_a_class_that_the_encoder_lacks_and_a_photo_that_is_not_judged_are_refused(features):
    seeing, eyes, _ = with_classes(features)
    assert refusal(lambda: fit_vocabulary(seeing, [ClassName(("dog",), 1000)], eyes, StubTextEncoder())) == (
        "class names: 'dog' has index 1000, eyes has no such class"
    )
    assert refusal(
        lambda: fit_vocabulary(features, [ClassName(("dog",), None, ("x.jpg",))], StubImageEncoder(), StubTextEncoder())
    ) == ("class names: photo 'x.jpg' of 'dog' is not among the judged photos")


def test_a_photo_of_one_of_several_sets_is_named_with_its_set_or_without(features):
    sets = PhotoSets(("one", "two"), np.ones(2, np.float32), np.zeros(2, bool), np.arange(120) // 60)
    photos = [f"{sets.names[row // 60]}/{name}" for row, name in enumerate(features.photos)]
    # The first photo of either set has the same name.
    photos[60] = "two/" + features.photos[0]
    joined = replace(features, photos=tuple(photos), photo_sets=sets)
    names = {"dog": features.photos[3], "sea": f"two/{features.photos[70]}", "car": f"one/{features.photos[0]}"}
    head, _ = fitted(joined, [ClassName((word,), None, (photo,)) for word, photo in names.items()], *ENCODERS)
    np.testing.assert_allclose(head.values, head.images(features.x[[3, 70, 0]]), atol=1e-5)
    both = features.photos[0]
    assert refusal(lambda: fit_vocabulary(joined, [ClassName(("dog",), None, (both,))], *ENCODERS)) == (
        f"class names: photo {both!r} of 'dog' is in several sets; name one/{both} or two/{both}"
    )


@pytest.mark.parametrize("things", [[], [ClassName(("dog",))], [ClassName(("dog",)), ClassName(("cow",))]])
def test_fewer_than_two_things_that_are_shown_make_no_names(features, things):
    names, unknown = fitted(features, things, StubImageEncoder(), StubTextEncoder())
    assert (names.k, names.A.shape, names.keys.shape) == (0, (40, 0), (0, 30))
    assert unknown == [thing.names[0] for thing in things if thing.names[0] == "cow"]


def test_names_are_heard_as_the_encoder_says_them(features):
    names, _ = fitted(features, [ClassName(("dog",)), ClassName(("cat",))], StubImageEncoder(), StubTextEncoder())
    np.testing.assert_allclose(np.diag(names.keys @ unit(TEXT_DIRECTIONS[:2].astype(np.float32)).T), 1, atol=0.01)
    assert IMAGE_DIRECTIONS.shape == (8, names.A.shape[0])
