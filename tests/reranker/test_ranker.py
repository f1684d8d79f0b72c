from dataclasses import replace

import numpy as np
import pytest

from indexer.encoders import Tokens
from indexer.views.view import EncodedPhotos
from reranker.models.calibration import Calibration
from reranker.models.class_names import GATE_FEATURES
from reranker.models.joint_space import PAIR_FEATURES, EncodedQueries, candidate_scores
from reranker.models.lexical_features import LexicalFeatures
from reranker.models.no_match import no_match_features
from reranker.models.pair_scores import PairScores
from reranker.models.query_words import KnownWords
from reranker.ranker import Ranker, gated_scores
from tiny_space import KNOWN, WORDS, E, inputs, make_ranker

NAMED_SCALE = 10.0


def score_matrix(ranker: Ranker, photos: EncodedPhotos, queries: EncodedQueries, rows: slice) -> PairScores:
    """Scores of every photo for some queries, (queries, n) and (queries, n, 7)."""
    found = [ranker.scores(photos, queries, row) for row in range(rows.start, rows.stop)]
    return PairScores(*(np.stack([getattr(one, name) for one in found]) for name in PairScores.__dataclass_fields__))


def arrays_of(ranker: Ranker) -> dict[str, np.ndarray]:
    return ranker._arrays()


def sides(ranker: Ranker, regions: bool = True) -> tuple[EncodedPhotos, EncodedQueries]:
    given = inputs()
    photos = ranker.encode_photos(given.x, given.regions if regions else None)
    return photos, ranker.encode_queries(given.t, given.texts, given.tokens)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("names", "late"), [(True, True), (False, False)])
def test_a_loaded_ranker_is_the_saved_one_whatever_the_memory_order_of_its_matrices(tmp_path, order, names, late):
    ranker = make_ranker(order=order, names=names, late=late).finished()
    ranker.save(tmp_path / "ranker")
    loaded = Ranker.load(tmp_path / "ranker")
    assert loaded.id == ranker.id != ""
    found, expected = arrays_of(loaded), arrays_of(ranker)
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert np.array_equal(found[name], array), name
    for name in (
        "image_encoder",
        "text_encoder",
        "text_encoder_name",
        "calibration",
        "no_match",
        "known_words",
        "training",
        "results",
    ):
        assert getattr(loaded, name) == getattr(ranker, name), name
    assert loaded.joint_space.lexical.words == WORDS
    assert loaded.known_words == KNOWN
    (side, query), (other_side, other_query) = sides(ranker), sides(loaded)
    for part in ("z", "hubness", "hidden"):
        assert np.array_equal(getattr(side, part), getattr(other_side, part)), part
    for row in range(3):
        one, two = ranker.scores(side, query, row), loaded.scores(other_side, other_query, row)
        assert np.array_equal(one.ranking_scores, two.ranking_scores)
        assert np.array_equal(one.relevance, two.relevance)
    assert np.array_equal(query.query_hubness, other_query.query_hubness)
    assert np.array_equal(query.query_words, other_query.query_words)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(method="beta", a=0.7, b=1.0 / 3, c=-0.1),
        Calibration(1.7, -0.3, "isotonic", knots=((-1.0, 0.1), (0.5, 1.0 / 3), (2.0, 0.9))),
    ],
)
def test_a_loaded_ranker_has_the_calibration_of_its_method(tmp_path, calibration):
    ranker = replace(make_ranker(), calibration=calibration).finished()
    ranker.save(tmp_path / "ranker")
    loaded = Ranker.load(tmp_path / "ranker")
    assert (loaded.id, loaded.calibration) == (ranker.id, calibration)
    expected = calibration.apply(plain(loaded, True)[1][0])
    np.testing.assert_allclose(loaded.scores(*sides(loaded), 0).relevance, expected, atol=1e-6)


def test_the_memory_order_of_matrices_does_not_change_the_id():
    assert make_ranker(order="C").finished().id == make_ranker(order="F").finished().id


def test_finishing_rounds_weights_to_a_hundredth_of_their_column_and_twice_is_as_once():
    ranker = make_ranker()
    finished = ranker.finished()
    for name, array in arrays_of(ranker).items():
        # int8 has 127 steps to the largest value of a column: half a step, and a little for the step's own rounding.
        most = np.abs(array).max(axis=0) * 0.51 / 127 if array.ndim == 2 and len(array) >= 64 else 0
        assert (np.abs(arrays_of(finished)[name] - array) <= most).all(), name
    again = finished.finished()
    assert again.id == finished.id
    for name, array in arrays_of(finished).items():
        assert np.array_equal(arrays_of(again)[name], array), name


def test_the_id_tells_rankers_apart():
    ranker = make_ranker()
    ids = {
        one.finished().id
        for one in (
            ranker,
            make_ranker(1),
            make_ranker(late=False),
            replace(ranker, no_match=replace(ranker.no_match, threshold=0.13)),
            replace(ranker, ranking_mlp=ranker.relevance_mlp),
            replace(ranker, calibration=Calibration(1.7, -0.2)),
            replace(ranker, calibration=Calibration(1.7, -0.3, "isotonic", knots=((0.0, 0.1), (1.0, 0.9)))),
            replace(ranker, image_encoder="eyes@2"),
            replace(
                ranker, joint_space=replace(ranker.joint_space, late_imputation=ranker.joint_space.late_imputation + 1)
            ),
            replace(
                ranker,
                joint_space=replace(
                    ranker.joint_space, lexical=replace(ranker.joint_space.lexical, words=("cow", "dog"))
                ),
            ),
            replace(ranker, joint_space=replace(ranker.joint_space, known_words=KnownWords(KNOWN[::-1]))),
        )
    }
    settings = ranker.settings
    for changed in (
        replace(settings, candidates=100),
        replace(settings, lexical_weight=0.4),
        replace(settings, heads=replace(settings.heads, meaning=0.3)),
        replace(settings, hubness=replace(settings.hubness, captions=9)),
        replace(settings, class_names=replace(settings.class_names, temperature=0.06)),
        replace(settings, small_gallery=replace(settings.small_gallery, strength=0.5)),
        replace(settings, exclusion=replace(settings.exclusion, penalty=90.0)),
    ):
        ids.add(replace(ranker, joint_space=replace(ranker.joint_space, settings=changed)).finished().id)
    assert len(ids) == 18


def test_what_a_ranker_was_trained_on_and_how_well_is_no_part_of_its_id():
    ranker = make_ranker()
    assert replace(ranker, training={}, results={}).finished().id == ranker.finished().id


def test_hidden_is_the_late_hub_term_and_both_networks_parts():
    ranker, given = make_ranker(), inputs()
    side, query = sides(ranker)
    late = ranker.joint_space.late_interaction
    expected = [
        late.hubness(late.regions(given.regions), 5)[:, None],
        given.x @ ranker.ranking_mlp.Wx,
        given.x @ ranker.relevance_mlp.Wx,
    ]
    np.testing.assert_allclose(side.hidden, np.concatenate(expected, axis=1), atol=1e-5)
    assert side.hidden.shape[1] == 1 + 24 + 16
    texts = [given.t @ one.Wt + one.b1 for one in (ranker.ranking_mlp, ranker.relevance_mlp)]
    np.testing.assert_allclose(query.ranking_part, texts[0], atol=1e-5)
    np.testing.assert_allclose(query.relevance_part, texts[1], atol=1e-5)


def test_half_precision_embeddings_are_taken_as_they_are():
    ranker, given = make_ranker(), inputs()
    half = given.x.astype(np.float16)
    stored, exact = (
        ranker.encode_photos(half, given.regions),
        ranker.encode_photos(half.astype(np.float32), given.regions),
    )
    assert np.array_equal(stored.hidden, exact.hidden)
    assert np.array_equal(stored.z, exact.z)


def plain(ranker: Ranker, regions: bool) -> tuple[np.ndarray, np.ndarray]:
    """Order and relevance logits of every query and photo, (3, 7) each, by the plain networks on the concatenated
    vector; what the gate takes for a name has the candidates' order."""
    given = inputs()
    joint_space = ranker.joint_space
    query = joint_space.encode_queries(given.t, given.texts, given.tokens)
    side = joint_space.encode_photos(given.x, given.regions if regions else None)
    pair_features = joint_space.pair_feature_matrix(side, query, slice(0, 3))
    repeated = [np.repeat(given.t[row : row + 1], 7, axis=0) for row in range(3)]
    learned, relevance = (
        np.stack([mlp.plain(given.x, repeated[row], pair_features[row]) for row in range(3)])
        for mlp in (ranker.ranking_mlp, ranker.relevance_mlp)
    )
    gate = query.gate[:, None]
    return (1 - gate) * learned + gate * 10 * candidate_scores(side, query), relevance


@pytest.mark.parametrize("regions", [True, False])
@pytest.mark.parametrize(("names", "late"), [(True, True), (False, True), (True, False)])
def test_scores_their_matrix_and_the_network_on_the_concatenated_vector_agree(names, late, regions):
    ranker = make_ranker(names=names, late=late)
    side, query = sides(ranker, regions)
    order, logits = plain(ranker, regions)
    relevance = 1 / (1 + np.exp(-(logits / 1.7 - 0.3)))
    matrix = score_matrix(ranker, side, query, slice(0, 3))
    np.testing.assert_allclose(matrix.ranking_scores, order, atol=2e-5)
    np.testing.assert_allclose(matrix.relevance, relevance, atol=1e-5)
    np.testing.assert_allclose(score_matrix(ranker, side, query, slice(1, 2)).ranking_scores, order[1:2], atol=2e-5)
    for row in range(3):
        scores = ranker.scores(side, query, row)
        np.testing.assert_allclose(scores.ranking_scores, order[row], atol=2e-5)
        np.testing.assert_allclose(scores.relevance, relevance[row], atol=1e-5)
        np.testing.assert_allclose(scores.pair_features, matrix.pair_features[row], atol=1e-6)


def test_a_sentence_has_the_learned_order_a_name_that_of_the_candidates_and_half_a_name_their_mean():
    ranker = make_ranker()
    side, query = sides(ranker)
    pair_features = ranker.joint_space.pair_features(side, query, 0)
    parts = ranker.ranking_mlp.photo_part(inputs().x), ranker.ranking_mlp.text_part(inputs().t)[0]
    for gate in (0.0, 0.5, 1.0):
        pair_features[:, PAIR_FEATURES.index("gate")] = gate
        learned = ranker.ranking_mlp.logits(*parts, pair_features)
        candidates = ranker.joint_space.candidate_scores_of(pair_features)
        found = gated_scores(learned, pair_features, ranker.joint_space)
        np.testing.assert_allclose(found, (1 - gate) * learned + gate * NAMED_SCALE * candidates, atol=1e-5)
        if gate != 0.5:
            # To the last bit, so that ties stay ties.
            assert np.array_equal(found, NAMED_SCALE * candidates if gate else learned)


def test_a_mean_caption_is_in_the_scale_of_the_order():
    ranker = make_ranker()
    expected = ranker.ranking_mlp.ws[PAIR_FEATURES.index("cosine")] * ranker.joint_space.mean_caption()
    np.testing.assert_allclose(ranker.mean_caption, expected, atol=1e-7)


def test_an_open_gate_sorts_photos_as_the_first_stage_does():
    ranker = make_ranker()
    open_gate = np.zeros_like(ranker.joint_space.class_names.gate)
    open_gate[E + GATE_FEATURES.index("bias")] = 50.0
    named = replace(
        ranker,
        joint_space=replace(ranker.joint_space, class_names=replace(ranker.joint_space.class_names, gate=open_gate)),
    )
    side, query = sides(named)
    order = score_matrix(named, side, query, slice(0, 3)).ranking_scores
    assert np.array_equal(np.argsort(-order), np.argsort(-candidate_scores(side, query)))


def test_what_a_view_keeps_of_photos_moves_scores_by_no_more_than_its_rounding():
    ranker = make_ranker()
    side, query = sides(ranker)
    kept = replace(side, z=side.z.astype(np.float16), hidden=side.hidden.astype(np.float16))
    for row in range(3):
        exact, stored = ranker.scores(side, query, row), ranker.scores(kept, query, row)
        np.testing.assert_allclose(stored.ranking_scores, exact.ranking_scores, atol=0.02)
        np.testing.assert_allclose(stored.relevance, exact.relevance, atol=0.005)


class StubTextEncoder:
    """A text encoder of 70 dimensions that says nothing but how long a text is."""

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(text), *range(1, 70)] for text in texts], np.float32)


def test_a_search_is_tuned_to_captions_and_to_words_of_the_lexicon(monkeypatch):
    ranker = make_ranker()
    opened = []
    monkeypatch.setattr("reranker.ranker.open_text_encoder", lambda *asked: opened.append(asked) or StubTextEncoder())
    found = ranker.queries()
    assert (list(found), opened) == (["captions", "words"], [("ears@1", "ears")])
    words = found["words"]
    expected = ranker.joint_space.encode_queries(StubTextEncoder().encode(list(WORDS)), WORDS, Tokens.none(2)).candidate
    assert np.array_equal(words[np.lexsort(words.T)], expected[np.lexsort(expected.T)])
    photos = ranker.encode_photos(inputs().x)
    assert {kind.shape[1] for kind in found.values()} == {photos.z.shape[1] + 1}


def test_known_words_are_kept_and_before_they_were_those_of_the_lexicon_most_frequent_first():
    ranker = make_ranker()
    assert ranker.known_words == ("a", "dog", "and", "cat")
    older = replace(ranker, joint_space=replace(ranker.joint_space, known_words=KnownWords()))
    weights = dict(zip(WORDS, ranker.joint_space.lexical.idf.tolist(), strict=True))
    assert sorted(older.known_words) == sorted(WORDS)
    assert [weights[word] for word in older.known_words] == sorted(weights.values())
    bare = replace(older, joint_space=replace(older.joint_space, lexical=LexicalFeatures.none()))
    assert bare.known_words == ()


def test_a_search_is_tuned_to_names_where_a_ranker_has_no_lexicon():
    ranker = make_ranker()
    without = replace(ranker, joint_space=replace(ranker.joint_space, lexical=LexicalFeatures.none()))
    # The map takes two columns fewer then, those of the words.
    without = replace(
        without,
        joint_space=replace(without.joint_space, map=replace(ranker.joint_space.map, B=ranker.joint_space.map.B[:-2])),
    )
    assert {name: len(kind) for name, kind in without.queries().items()} == {"captions": 100, "names": 9}
    nameless = make_ranker(names=False)
    joint_space = replace(nameless.joint_space, lexical=LexicalFeatures.none())
    assert list(replace(nameless, joint_space=joint_space).queries()) == ["captions"]


def test_gathered_photos_are_scored_as_among_all():
    ranker = make_ranker()
    side, query = sides(ranker)
    rows = np.array([6, 1])
    part = EncodedPhotos(side.z[rows], side.hubness[rows], side.hidden[rows], side.regions[rows])
    for row in range(3):
        every = ranker.scores(side, query, row)
        np.testing.assert_allclose(
            ranker.scores(part, query, row).ranking_scores, every.ranking_scores[rows], atol=1e-5
        )


def test_queries_in_a_batch_are_as_one_by_one():
    ranker, given = make_ranker(), inputs()
    side, batch = sides(ranker)
    for row in range(3):
        one = slice(row, row + 1)
        alone = ranker.encode_queries(given.t[one], given.texts[one], given.tokens.select(np.array([row])))
        np.testing.assert_allclose(alone.ranking_part[0], batch.ranking_part[row], atol=1e-5)
        np.testing.assert_allclose(alone.relevance_part[0], batch.relevance_part[row], atol=1e-5)
        np.testing.assert_allclose(
            ranker.scores(side, alone, 0).ranking_scores, ranker.scores(side, batch, row).ranking_scores, atol=1e-5
        )


def test_the_length_of_a_text_vector_does_not_matter_to_the_networks():
    ranker, given = make_ranker(), inputs()
    long = ranker.encode_queries(3 * given.t, given.texts, given.tokens)
    plain_length = sides(ranker)[1]
    np.testing.assert_allclose(long.ranking_part, plain_length.ranking_part, atol=1e-5)
    np.testing.assert_allclose(long.relevance_part, plain_length.relevance_part, atol=1e-5)


def test_the_chance_of_a_match_is_the_decisions_on_the_first_hits():
    ranker = make_ranker()
    side, query = sides(ranker)
    scores = score_matrix(ranker, side, query, slice(0, 3))
    first, every = scores.ranking_scores.argmax(axis=1), np.arange(3)
    parts = (scores.ranking_scores, scores.relevance, scores.pair_features)
    first_hits = PairScores(*(part[every, first] for part in parts))
    asked = query.query_hubness, query.query_words, np.array([40, 3, 7])
    expected = ranker.no_match.probability(no_match_features(first_hits, *asked))
    assert np.array_equal(ranker.match_probability(first_hits, *asked), expected)
    assert expected.shape == (3,)
