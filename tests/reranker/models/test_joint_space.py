"""A space: its parts put together are the heads one by one; a pair's scalars are the same however many are asked."""

from dataclasses import fields, replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from indexer.views.view import PhotoSide
from reranker.models.class_names import Names
from reranker.models.joint_space import (
    HUB_WEIGHT,
    MEANING_WEIGHT,
    NAMES_WEIGHT,
    SCALARS,
    Hubs,
    QuerySide,
    Space,
    candidate_of,
    joined,
    space_arrays,
    space_of_arrays,
)
from reranker.training.examples import candidate_scores
from tiny_space import LATE, MEANING, NAMED, D, K, inputs, make_space


def gathered(side: PhotoSide, rows: np.ndarray) -> PhotoSide:
    regions = None if side.regions is None else side.regions[rows]
    return PhotoSide(side.z[rows], side.hub[rows], side.hidden[rows], regions)


def gated(space: Space, bias: float) -> Space:
    """The same space with a gate that looks at nothing: sigmoid(bias) for every query."""
    gate = np.zeros_like(space.names.gate)
    gate[-1] = bias
    return replace(space, names=replace(space.names, gate=gate))


def sides(space: Space, regions: bool = True) -> tuple[PhotoSide, QuerySide]:
    given = inputs()
    photos = space.photo_side(given.x, given.regions if regions else None)
    return photos, space.query_side(given.t, given.texts, given.tokens)


def heads(space: Space) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cosines of every query and photo in the map, in meaning and among names, computed head by head."""
    given = inputs()
    mapped = space.map.texts(space.lexicon.extend(given.t, given.texts)) @ space.map.images(given.x).T
    meaning = space.meaning.texts(given.t) @ space.meaning.images(given.x).T
    return mapped, meaning, space.names.texts(given.t)[0] @ space.names.images(given.x).T


def test_captions_of_the_hub_terms_are_candidate_queries_where_their_turn_leaves_nothing_out():
    space, given = gated(make_space(), -100), inputs()
    _, query = sides(space)
    both = query.heads[:, : K + MEANING]
    whole = np.eye(K + MEANING, dtype=np.float32)
    space = replace(space, hubs=replace(space.hubs, turn=whole, captions=both))
    np.testing.assert_allclose(space.captions(), query.candidate, atol=1e-6)
    assert space.captions().shape == (len(given.t), K + MEANING + NAMED + 1)


def test_the_mean_caption_gives_a_photos_mean_candidate_score_over_the_captions_of_the_hub_terms():
    space, given = make_space(), inputs()
    side, _ = sides(space)
    both = joined(space.map, space.meaning, given.x)
    products = both @ space.hubs.turn @ space.hubs.captions.T
    mean = space.mean_caption()
    assert mean.shape == (K + MEANING + NAMED + 1,)
    expected = products.mean(axis=1) - HUB_WEIGHT * side.hub
    np.testing.assert_allclose(side.z @ mean[:-1] + side.hub * mean[-1], expected, atol=1e-6)
    np.testing.assert_allclose(mean, space.captions().mean(axis=0), atol=1e-6)


@pytest.mark.parametrize("names", [True, False])
@pytest.mark.parametrize("regions", [True, False])
def test_the_scalars_of_one_query_are_its_row_of_the_matrix(names, regions):
    space = make_space(names=names)
    side, query = sides(space, regions)
    matrix = space.matrix(side, query, slice(0, 3))
    assert matrix.shape == (3, 7, len(SCALARS))
    np.testing.assert_allclose(space.matrix(side, query, slice(1, 3)), matrix[1:], atol=1e-6)
    some = np.array([5, 0, 3])
    for row in range(3):
        np.testing.assert_allclose(space.scalars(side, query, row), matrix[row], atol=1e-6)
        np.testing.assert_allclose(space.scalars(gathered(side, some), query, row), matrix[row, some], atol=1e-6)


def test_the_scalars_are_what_each_head_gives_alone():
    space, given = make_space(), inputs()
    side, query = sides(space)
    mapped, meaning, named = heads(space)
    gate = space.names.texts(given.t)[1]
    regions = space.late.regions(given.regions)
    late = space.late.matrix(regions, space.late.tokens(given.tokens))
    found = dict(zip(SCALARS, np.moveaxis(space.matrix(side, query, slice(0, 3)), 2, 0), strict=True))
    everyone = np.ones((3, 7))
    both = joined(space.map, space.meaning, given.x)
    expected = {
        "cosine": mapped,
        "meaning": meaning,
        "hub": everyone * np.sort((both @ space.hubs.turn) @ space.hubs.captions.T, axis=1)[:, -10:].mean(axis=1),
        "named": gate[:, None] * named,
        "gate": everyone * gate[:, None],
        "late": late,
        "late_hub": everyone * space.late.hub_terms(regions),
    }
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


def test_one_product_ranks_candidates_by_the_weighed_heads_less_the_hub_term():
    space = make_space()
    side, query = sides(space)
    mapped, meaning, named = heads(space)
    gate = query.gate[:, None]
    assert 0.01 < gate.min() < gate.max() < 0.99
    product = query.candidate @ np.concatenate([side.z, side.hub[:, None]], axis=1).T
    weighed = mapped + MEANING_WEIGHT * meaning + NAMES_WEIGHT * gate * named - HUB_WEIGHT * (1 - gate) * side.hub
    np.testing.assert_allclose(product, weighed, atol=1e-5)


@pytest.mark.parametrize("bias", [None, -50.0, 50.0])
@pytest.mark.parametrize("regions", [True, False])
def test_a_candidates_score_can_be_put_together_again_from_scalars(bias, regions):
    space = make_space() if bias is None else gated(make_space(), bias)
    side, query = sides(space, regions)
    together = candidate_of(space.matrix(side, query, slice(0, 3)))
    np.testing.assert_allclose(together, candidate_scores(side, query), atol=1e-5)
    for row in range(3):
        np.testing.assert_allclose(candidate_of(space.scalars(side, query, row)), together[row], atol=1e-6)


@pytest.mark.parametrize(("bias", "gate"), [(-50.0, 0.0), (50.0, 1.0)])
def test_a_shut_gate_leaves_names_out_and_an_open_one_the_hub_term(bias, gate):
    space = gated(make_space(), bias)
    side, query = sides(space)
    mapped, meaning, named = heads(space)
    assert query.gate == pytest.approx([gate] * 3, abs=1e-6)
    product = query.candidate @ np.concatenate([side.z, side.hub[:, None]], axis=1).T
    counted = NAMES_WEIGHT * named if gate else -HUB_WEIGHT * side.hub
    np.testing.assert_allclose(product, mapped + MEANING_WEIGHT * meaning + counted, atol=1e-5)
    scalars = space.matrix(side, query, slice(0, 3))
    np.testing.assert_allclose(scalars[..., 3], gate * named, atol=1e-5)


def test_a_space_without_names_is_one_whose_gate_is_shut():
    space = make_space()
    without = replace(space, names=Names.none(D, inputs().t.shape[1]))
    assert (space.widths, without.widths) == ((K, MEANING, NAMED), (K, MEANING, 0))
    shut = gated(space, -50.0)
    products = []
    for one in (shut, without):
        side, query = sides(one)
        products.append(query.candidate @ np.concatenate([side.z, side.hub[:, None]], axis=1).T)
    np.testing.assert_allclose(products[0], products[1], atol=1e-5)


@pytest.mark.parametrize("lacking", ["regions", "tokens", "late"])
def test_late_scores_are_guessed_where_a_photo_a_query_or_the_space_has_none(lacking):
    space, given = make_space(late=lacking != "late"), inputs()
    tokens = Tokens.none(3, given.tokens.vectors.shape[1]) if lacking == "tokens" else given.tokens
    side = space.photo_side(given.x, None if lacking == "regions" else given.regions)
    query = space.query_side(given.t, given.texts, tokens)
    assert (side.regions is None) == (lacking != "tokens")
    assert (query.words is None) == (lacking != "regions")
    scalars = space.matrix(side, query, slice(0, 3))
    # A line in cosine, meaning and hub each for the late score and for its hub term.
    guessed = space.guess[0] + np.einsum("qns,sg->qng", scalars[..., :3], space.guess[1:])
    np.testing.assert_allclose(scalars[..., 5:], guessed, atol=1e-5)
    whole = make_space()
    known = whole.matrix(*sides(whole), slice(0, 3))
    np.testing.assert_allclose(scalars[..., :5], known[..., :5], atol=1e-6)


def test_the_photo_side_has_heads_of_length_one_and_mapped_regions():
    side, query = sides(make_space())
    widths = np.cumsum([K, MEANING])
    for rows in (side.z, query.heads):
        for part in np.split(rows, widths, axis=1):
            np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, atol=1e-5)
    assert (side.regions.shape, side.regions.dtype) == ((7, 3, LATE), np.int8)
    assert (side.hidden.shape, query.hidden.shape) == ((7, 1), (3, 0))


def test_queries_in_a_batch_are_as_one_by_one():
    space, given = make_space(), inputs()
    side, batch = sides(space)
    for row in range(3):
        one = slice(row, row + 1)
        alone = space.query_side(given.t[one], given.texts[one], given.tokens.select(np.array([row])))
        for part in ("heads", "gate", "candidate", "usual"):
            np.testing.assert_allclose(getattr(alone, part)[0], getattr(batch, part)[row], atol=1e-6, err_msg=part)
        np.testing.assert_allclose(space.scalars(side, alone, 0), space.scalars(side, batch, row), atol=1e-6)


def test_a_usual_score_is_how_high_a_query_scores_among_the_nearest_reference_photos():
    space = make_space()
    _, query = sides(space)
    asked = query.heads[:, : K + MEANING] @ space.hubs.turn
    np.testing.assert_allclose(query.usual, np.sort(asked @ space.hubs.photos.T)[:, -5:].mean(axis=1), atol=1e-6)


def test_hubs_turn_products_into_fewer_directions_without_loss_where_there_are_no_more():
    generator = np.random.default_rng(0)
    captions, photos = (generator.standard_normal((n, 7)).astype(np.float32) for n in (50, 30))
    hubs = Hubs.fit(captions, photos)
    assert hubs.turn.shape == (7, 7)
    np.testing.assert_allclose(photos @ hubs.turn @ hubs.captions.T, photos @ captions.T, atol=1e-4)
    np.testing.assert_allclose(captions @ hubs.turn @ hubs.photos.T, captions @ photos.T, atol=1e-4)
    np.testing.assert_allclose(hubs.terms(photos), np.sort(photos @ captions.T)[:, -10:].mean(axis=1), atol=1e-4)
    np.testing.assert_allclose(hubs.usual(captions), np.sort(captions @ photos.T)[:, -5:].mean(axis=1), atol=1e-4)


def test_hubs_keep_the_128_directions_that_hold_the_most():
    generator = np.random.default_rng(0)
    spread = np.where(np.arange(140) < 128, 1.0, 0.01)
    captions, photos = (generator.standard_normal((300, 140)).astype(np.float32) * spread for _ in range(2))
    hubs = Hubs.fit(captions, photos)
    assert hubs.turn.shape == (140, 128)
    np.testing.assert_allclose(photos @ hubs.turn @ hubs.captions.T, photos @ captions.T, atol=0.05)
    np.testing.assert_allclose(captions @ hubs.turn @ hubs.photos.T, captions @ photos.T, atol=0.05)


def test_hubs_drop_what_captions_have_alone_or_photos_have_alone_however_much_it_is():
    generator = np.random.default_rng(0)
    captions, photos = (generator.standard_normal((400, 148)).astype(np.float32) for _ in range(2))
    captions[:, :20] *= 0.001
    photos[:, :20] *= 10
    hubs = Hubs.fit(captions, photos)
    products = photos @ captions.T
    assert np.abs(photos @ hubs.turn @ hubs.captions.T - products).max() < 0.05 * np.abs(products).max()


def test_hubs_of_fewer_photos_than_directions_are_finite():
    generator = np.random.default_rng(0)
    captions, photos = (generator.standard_normal((n, 40)).astype(np.float32) for n in (60, 5))
    hubs = Hubs.fit(captions, photos)
    np.testing.assert_allclose(photos @ hubs.turn @ hubs.captions.T, photos @ captions.T, atol=1e-3)


def test_photos_joined_are_the_map_beside_the_weighed_meaning():
    space, given = make_space(), inputs()
    both = joined(space.map, space.meaning, given.x)
    np.testing.assert_allclose(np.linalg.norm(both[:, :K], axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(both[:, K:], axis=1), 0.25, atol=1e-5)


@pytest.mark.parametrize("late", [True, False])
def test_a_space_taken_apart_and_put_together_scores_alike(late):
    space = make_space(late=late)
    again = space_of_arrays(space_arrays(space), space.lexicon.words)
    assert np.array_equal(again.matrix(*sides(again), slice(0, 3)), space.matrix(*sides(space), slice(0, 3)))
    assert [f.name for f in fields(again)] == [f.name for f in fields(space)]
    for part in ("hubs.turn", "late.A") if late else ("hubs.turn",):
        arrays = space_arrays(space)
        del arrays[part]
        with pytest.raises(KeyError, match=part.replace(".", r"\.")):
            space_of_arrays(arrays, space.lexicon.words)
