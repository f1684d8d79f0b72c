"""Rankers of older formats: they load, keep their ids, and rank as they did when they were saved."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from sklearn.isotonic import isotonic_regression

from indexer.errors import PhotoseekError
from reranker.models.class_names import GATE_FEATURES
from reranker.ranker import Ranker
from reranker.ranker_files import FORMAT_2_GATE_FEATURES, FORMAT_2_RANKING
from reranker.ranking import Candidates, isotonic_relevance, rank_candidates
from tiny_space import inputs

GOLDEN = Path(__file__).parents[1] / "golden"


def shown_means(shown: np.ndarray, of_pools: np.ndarray) -> np.ndarray:
    """Return the mean of what is shown of each pool, where hits of one pool once had one value."""
    return np.array([shown[of_pools == value].mean() for value in of_pools])


@pytest.mark.parametrize("version", [2, 3])
def test_a_ranker_of_an_older_format_ranks_as_it_did(version):
    expected = json.loads((GOLDEN / f"ranker-format-{version}.expected.json").read_text())
    ranker, given = Ranker.load(GOLDEN / f"ranker-format-{version}"), inputs()
    assert ranker.id == expected["id"]
    photos = ranker.encode_photos(given.x, given.regions)
    queries = ranker.encode_queries(given.t, given.texts, given.tokens)
    for row, of_query in enumerate(expected["queries"]):
        ranked = rank_candidates(ranker, Candidates(np.arange(7), photos, 7), queries, row)
        assert ranked.places.tolist() == of_query["rows"]
        assert ranked.ranking_scores.tolist() == pytest.approx(of_query["scores"], abs=1e-5)
        assert ranked.match_probability == pytest.approx(of_query["match_probability"], abs=1e-6)
        # What was shown then was isotonic regression; what is shown now is spread around the same means.
        then = np.array(of_query["relevance"])
        regression = isotonic_regression(ranked.relevance.astype(np.float64), increasing=False)
        assert regression.tolist() == pytest.approx(then.tolist(), abs=1e-6)
        shown = isotonic_relevance(ranked.relevance, ranked.ranking_scores, 7)
        assert shown_means(shown, then).tolist() == pytest.approx(then.tolist(), abs=1e-6)
        assert (np.diff(shown) <= 0).all()
        if version == 3:
            assert ranked.relevance.tolist() == pytest.approx(of_query["raw_relevance"], abs=1e-6)
    if version == 3:
        assert queries.gate.tolist() == pytest.approx(expected["gate"], abs=1e-6)


@pytest.mark.parametrize("version", [2, 3])
def test_a_ranker_of_an_older_format_keeps_its_id_and_its_settings_when_it_is_saved_again(tmp_path, version):
    folder = GOLDEN / f"ranker-format-{version}"
    stored = json.loads((folder / "ranker.json").read_text())
    ranker = Ranker.load(folder)
    assert ranker.settings.as_dict() == stored.get("ranking", FORMAT_2_RANKING)
    ranker.save(tmp_path / "again")
    again = Ranker.load(tmp_path / "again")
    assert (again.id, again.settings, again.calibration) == (stored["id"], ranker.settings, ranker.calibration)
    assert again.no_match == ranker.no_match
    card = json.loads((tmp_path / "again" / "ranker.json").read_text())
    assert (card["format"], card["ranking"]) == (4, ranker.settings.as_dict())


@pytest.mark.parametrize("version", [2, 3])
def test_a_ranker_of_an_older_format_looks_at_nothing_that_was_not_thought_of(version):
    folder = GOLDEN / f"ranker-format-{version}"
    ranker, stored = Ranker.load(folder), load_file(folder / "weights.safetensors")["names.gate"]
    assert ranker.joint_space.known_words.words == ()
    gate = ranker.joint_space.class_names.gate
    assert GATE_FEATURES[:2] == FORMAT_2_GATE_FEATURES
    np.testing.assert_array_equal(gate, [*stored, *[0] * 5])
    np.testing.assert_array_equal(ranker.joint_space.class_names.said_gate, gate)
    weights = ranker.no_match.as_dict()["weights"]
    later = ("relevance", "word_count", "rarity", "captioned", "known")
    assert [weights[f"{kind}.{name}"] for kind in ("sentence", "name") for name in later] == [0] * 10
    assert np.count_nonzero(list(weights.values())) == 22


@pytest.mark.parametrize("version", [2, 3])
def test_a_damaged_ranker_of_an_older_format_is_refused(tmp_path, version):
    for name in ("ranker.json", "weights.safetensors"):
        (tmp_path / name).write_bytes((GOLDEN / f"ranker-format-{version}" / name).read_bytes())
    card = json.loads((tmp_path / "ranker.json").read_text())
    bias = card["calibration"]["bias"]
    card["calibration"]["bias"] = 0.3
    (tmp_path / "ranker.json").write_text(json.dumps(card))
    with pytest.raises(PhotoseekError, match="its weights are not those of"):
        Ranker.load(tmp_path)
    # Without a checksum, as the first rankers were saved, the id tells.
    card["calibration"]["bias"] = bias
    del card["checksum"]
    (tmp_path / "ranker.json").write_text(json.dumps(card))
    assert Ranker.load(tmp_path).id == card["id"]
    if version == 3:
        card["ranking"]["candidates"] += 1
        (tmp_path / "ranker.json").write_text(json.dumps(card))
        with pytest.raises(PhotoseekError, match="its weights are not those of"):
            Ranker.load(tmp_path)
