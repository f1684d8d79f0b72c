"""Joint space: its parts equal the heads one by one; pair features do not depend on how many pairs are computed."""

from dataclasses import fields, replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from indexer.views.view import EncodedPhotos
from reranker.models.class_names import GATE_FEATURES, ClassNameHead
from reranker.models.joint_space import (
    PAIR_FEATURES,
    EncodedQueries,
    JointSpace,
    candidate_scores,
    joint_space_arrays,
    joint_space_of_arrays,
)
from reranker.models.linear_map import LinearMap
from reranker.models.query_words import query_words
from reranker.models.ranking_settings import ClassNameSettings, RankingSettings
from tiny_space import KNOWN, LATE, MEANING, NAMED, D, E, K, inputs, make_space

MEANING_WEIGHT, NAMES_WEIGHT, HUB_WEIGHT = 0.25, 3.0, 0.5
NAMING = ClassNameSettings()


def joined(fitted: LinearMap, meaning: LinearMap, x: np.ndarray) -> np.ndarray:
    """Photos in the map beside meaning, weighed as candidates are: (n, K)."""
    return np.concatenate([fitted.images(x), MEANING_WEIGHT * meaning.images(x)], axis=1)


def gathered(side: EncodedPhotos, rows: np.ndarray) -> EncodedPhotos:
    regions = None if side.regions is None else side.regions[rows]
    return EncodedPhotos(side.z[rows], side.hubness[rows], side.hidden[rows], regions)


def gated(joint_space: JointSpace, bias: float) -> JointSpace:
    """Return the space with a constant gate: sigmoid(bias) for every query."""
    gate = np.zeros_like(joint_space.class_names.gate)
    gate[E + GATE_FEATURES.index("bias")] = bias
    return replace(joint_space, class_names=replace(joint_space.class_names, gate=gate, said_gate=gate))


def sides(joint_space: JointSpace, regions: bool = True) -> tuple[EncodedPhotos, EncodedQueries]:
    given = inputs()
    photos = joint_space.encode_photos(given.x, given.regions if regions else None)
    return photos, joint_space.encode_queries(given.t, given.texts, given.tokens)


def heads(joint_space: JointSpace) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines of every query and photo in the map, in meaning and among names, computed head by head."""
    given = inputs()
    mapped = joint_space.map.texts(joint_space.lexical.extend(given.t, given.texts)) @ joint_space.map.images(given.x).T
    meaning = joint_space.meaning.texts(given.t) @ joint_space.meaning.images(given.x).T
    return mapped, meaning, named_places(joint_space)[0] @ joint_space.class_names.images(given.x).T


def named_places(joint_space: JointSpace) -> tuple[np.ndarray, np.ndarray]:
    """Where the things lie that the queries name, and their name gates."""
    given = inputs()
    words = query_words(given.texts, joint_space.lexical, joint_space.known_words)
    return joint_space.class_names.texts(given.t, words, NAMING)


def test_captions_of_the_hub_terms_are_candidate_queries_where_their_turn_leaves_nothing_out():
    joint_space, given = gated(make_space(), -100), inputs()
    _, query = sides(joint_space)
    both = query.heads[:, : K + MEANING]
    whole = np.eye(K + MEANING, dtype=np.float32)
    joint_space = replace(joint_space, hubness=replace(joint_space.hubness, turn=whole, captions=both))
    np.testing.assert_allclose(joint_space.captions(), query.candidate, atol=1e-6)
    assert joint_space.captions().shape == (len(given.t), K + MEANING + NAMED + 1)


def test_the_mean_caption_gives_a_photos_mean_candidate_score_over_the_captions_of_the_hub_terms():
    joint_space, given = make_space(), inputs()
    side, _ = sides(joint_space)
    both = joined(joint_space.map, joint_space.meaning, given.x)
    products = both @ joint_space.hubness.turn @ joint_space.hubness.captions.T
    mean = joint_space.mean_caption()
    assert mean.shape == (K + MEANING + NAMED + 1,)
    expected = products.mean(axis=1) - HUB_WEIGHT * side.hubness
    np.testing.assert_allclose(side.z @ mean[:-1] + side.hubness * mean[-1], expected, atol=1e-6)
    np.testing.assert_allclose(mean, joint_space.captions().mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("regions", [True, False])
def test_the_scalars_of_one_query_are_its_row_of_the_matrix(names, regions):
    joint_space = make_space(names=names)
    side, query = sides(joint_space, regions)
    matrix = joint_space.pair_feature_matrix(side, query, slice(0, 3))
    assert matrix.shape == (3, 7, len(PAIR_FEATURES))
    np.testing.assert_allclose(joint_space.pair_feature_matrix(side, query, slice(1, 3)), matrix[1:], atol=1e-6)
    some = np.array([5, 0, 3])
    for row in range(3):
        np.testing.assert_allclose(joint_space.pair_features(side, query, row), matrix[row], atol=1e-6)
        np.testing.assert_allclose(
            joint_space.pair_features(gathered(side, some), query, row), matrix[row, some], atol=1e-6
        )


def test_the_scalars_are_what_each_head_gives_alone():
    joint_space, given = make_space(), inputs()
    side, query = sides(joint_space)
    mapped, meaning, named = heads(joint_space)
    gate = named_places(joint_space)[1]
    regions = joint_space.late_interaction.regions(given.regions)
    late = joint_space.late_interaction.matrix(regions, joint_space.late_interaction.tokens(given.tokens))
    found = dict(
        zip(PAIR_FEATURES, np.moveaxis(joint_space.pair_feature_matrix(side, query, slice(0, 3)), 2, 0), strict=True)
    )
    everyone = np.ones((3, 7))
    both = joined(joint_space.map, joint_space.meaning, given.x)
    expected = {
        "cosine": mapped,
        "meaning": meaning,
        "hub": everyone
        * np.sort((both @ joint_space.hubness.turn) @ joint_space.hubness.captions.T, axis=1)[:, -10:].mean(axis=1),
        "named": gate[:, None] * named,
        "gate": everyone * gate[:, None],
        "late": late,
        "late_hub": everyone * joint_space.late_interaction.hubness(regions, 5),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


def test_one_product_ranks_candidates_by_the_weighed_heads_less_the_hub_term():
    joint_space = make_space()
    side, query = sides(joint_space)
    mapped, meaning, named = heads(joint_space)
    gate = query.gate[:, None]
    assert 0.01 < gate.min() < gate.max() < 0.99
    product = query.candidate @ np.concatenate([side.z, side.hubness[:, None]], axis=1).T
    weighed = mapped + MEANING_WEIGHT * meaning + NAMES_WEIGHT * gate * named - HUB_WEIGHT * (1 - gate) * side.hubness
    np.testing.assert_allclose(product, weighed, atol=1e-5)


@pytest.mark.parametrize("bias", [None, -50.0, 50.0])
@pytest.mark.parametrize("regions", [True, False])
def test_a_candidates_score_can_be_put_together_again_from_scalars(bias, regions):
    joint_space = make_space() if bias is None else gated(make_space(), bias)
    side, query = sides(joint_space, regions)
    together = joint_space.candidate_scores_of(joint_space.pair_feature_matrix(side, query, slice(0, 3)))
    np.testing.assert_allclose(together, candidate_scores(side, query), atol=1e-5)
    for row in range(3):
        np.testing.assert_allclose(
            joint_space.candidate_scores_of(joint_space.pair_features(side, query, row)), together[row], atol=1e-6
        )


@pytest.mark.parametrize(("bias", "gate"), [(-50.0, 0.0), (50.0, 1.0)])
def test_a_shut_gate_leaves_names_out_and_an_open_one_the_hub_term(bias, gate):
    joint_space = gated(make_space(), bias)
    side, query = sides(joint_space)
    mapped, meaning, named = heads(joint_space)
    assert query.gate == pytest.approx([gate] * 3, abs=1e-6)
    product = query.candidate @ np.concatenate([side.z, side.hubness[:, None]], axis=1).T
    counted = NAMES_WEIGHT * named if gate else -HUB_WEIGHT * side.hubness
    np.testing.assert_allclose(product, mapped + MEANING_WEIGHT * meaning + counted, atol=1e-5)
    pair_features = joint_space.pair_feature_matrix(side, query, slice(0, 3))
    np.testing.assert_allclose(pair_features[..., 3], gate * named, atol=1e-5)


def test_a_space_without_names_is_one_whose_gate_is_shut():
    joint_space = make_space()
    without = replace(joint_space, class_names=ClassNameHead.none(D, inputs().t.shape[1]))
    assert (joint_space.widths, without.widths) == ((K, MEANING, NAMED), (K, MEANING, 0))
    shut = gated(joint_space, -50.0)
    products = []
    for one in (shut, without):
        side, query = sides(one)
        products.append(query.candidate @ np.concatenate([side.z, side.hubness[:, None]], axis=1).T)
    np.testing.assert_allclose(products[0], products[1], atol=1e-5)


@pytest.mark.parametrize("lacking", ["regions", "tokens", "late"])
def test_late_scores_are_guessed_where_a_photo_a_query_or_the_space_has_none(lacking):
    joint_space, given = make_space(late=lacking != "late"), inputs()
    tokens = Tokens.none(3, given.tokens.vectors.shape[1]) if lacking == "tokens" else given.tokens
    side = joint_space.encode_photos(given.x, None if lacking == "regions" else given.regions)
    query = joint_space.encode_queries(given.t, given.texts, tokens)
    assert (side.regions is None) == (lacking != "tokens")
    assert (query.words is None) == (lacking != "regions")
    pair_features = joint_space.pair_feature_matrix(side, query, slice(0, 3))
    # A line in cosine, meaning and hub each for the late score and for its hub term.
    guessed = joint_space.late_imputation[0] + np.einsum(
        "qns,sg->qng", pair_features[..., :3], joint_space.late_imputation[1:]
    )
    np.testing.assert_allclose(pair_features[..., 5:], guessed, atol=1e-5)
    whole = make_space()
    known = whole.pair_feature_matrix(*sides(whole), slice(0, 3))
    np.testing.assert_allclose(pair_features[..., :5], known[..., :5], atol=1e-6)


def test_the_photo_side_has_heads_of_length_one_and_mapped_regions():
    side, query = sides(make_space())
    widths = np.cumsum([K, MEANING])
    for rows in (side.z, query.heads):
        for part in np.split(rows, widths, axis=1):
            np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)
    assert (side.regions.shape, side.regions.dtype) == ((7, 3, LATE), np.int8)
    assert (side.hidden.shape, query.ranking_part.shape, query.relevance_part.shape) == ((7, 1), (3, 0), (3, 0))


def test_queries_in_a_batch_are_as_one_by_one():
    joint_space, given = make_space(), inputs()
    side, batch = sides(joint_space)
    for row in range(3):
        one = slice(row, row + 1)
        alone = joint_space.encode_queries(given.t[one], given.texts[one], given.tokens.select(np.array([row])))
        for part in ("heads", "gate", "candidate", "query_hubness", "query_words"):
            np.testing.assert_allclose(getattr(alone, part)[0], getattr(batch, part)[row], atol=1e-6, err_msg=part)
        np.testing.assert_allclose(
            joint_space.pair_features(side, alone, 0), joint_space.pair_features(side, batch, row), atol=1e-6
        )


def test_a_usual_score_is_how_high_a_query_scores_among_the_nearest_reference_photos():
    joint_space = make_space()
    _, query = sides(joint_space)
    asked = query.heads[:, : K + MEANING] @ joint_space.hubness.turn
    np.testing.assert_allclose(
        query.query_hubness, np.sort(asked @ joint_space.hubness.photos.T)[:, -5:].mean(axis=1), atol=1e-6
    )


def test_queries_carry_what_is_known_of_their_words():
    _, query = sides(make_space())
    # "a dog", "a cat and a dog", "a bird": idf 0.7 of "dog" and 1.5 of "cat"; captions and names know no bird.
    counts, rarity = [np.log(3) / 2, np.log(6) / 2, np.log(3) / 2], [0.7 / 8, 1.5 / 8, 1.5 / 8]
    expected = np.stack([counts, rarity, [1, 1, 0], [1, 1, 0.5]], axis=1)
    np.testing.assert_allclose(query.query_words, expected, rtol=1e-6)


def test_photos_joined_are_the_map_beside_the_weighed_meaning():
    joint_space, given = make_space(), inputs()
    both = joined(joint_space.map, joint_space.meaning, given.x)
    np.testing.assert_allclose(np.linalg.norm(both[:, :K], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(both[:, K:], axis=1), 0.25, atol=1e-5)


@pytest.mark.parametrize("late", [True, False])
def test_a_space_taken_apart_and_put_together_scores_alike(late):
    joint_space = make_space(late=late)
    words = joint_space.lexical.words, joint_space.settings, joint_space.known_words.words
    again = joint_space_of_arrays(joint_space_arrays(joint_space), *words)
    assert again.known_words == joint_space.known_words
    assert np.array_equal(
        again.pair_feature_matrix(*sides(again), slice(0, 3)),
        joint_space.pair_feature_matrix(*sides(joint_space), slice(0, 3)),
    )
    assert [f.name for f in fields(again)] == [f.name for f in fields(joint_space)]
    for part in ("hubs.turn", "late.A") if late else ("hubs.turn",):
        arrays = joint_space_arrays(joint_space)
        del arrays[part]
        with pytest.raises(KeyError, match=part.replace(".", r"\.")):
            joint_space_of_arrays(arrays, joint_space.lexical.words, RankingSettings(), KNOWN)
