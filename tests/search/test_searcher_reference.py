"""Compare searches, alone and in a batch of several threads, with the same steps written as plain loops."""

from pathlib import Path

import numpy as np
import pytest

from answers import row_of, spread
from indexer.encoders import open_text_encoder
from indexer.index import Index
from reranker.models.linear_map import unit
from reranker.models.query_words import query_words
from search import opened_index
from search.searcher import Searcher

TEXTS = [
    *("a motorcycle", "a cat looks at the camera", "a rocket", "the moon", "zxqv", "coins on a dark table"),
    *("a man and two dogs walk along a beach in the evening while a small boat comes in", "horse", "grass and gravel"),
]


def relu(values: np.ndarray) -> np.ndarray:
    return np.maximum(values, 0)


def reference(searcher: Searcher, text: str, candidates: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the candidates, best first: the row, its order score and its relevance; NumPy's own casts, the whole text
    vector with its words, a maximum photo by photo, products of photos with every caption of the hub term."""
    ranker, view = searcher.ranker, searcher.view
    joint_space = ranker.joint_space
    encoder = open_text_encoder(ranker.text_encoder, ranker.text_encoder_name)
    vectors, tokens = encoder.encode_with_tokens([text])
    t = unit(vectors)
    q, meaning = joint_space.map.texts(joint_space.lexical.extend(vectors, [text]))[0], joint_space.meaning.texts(t)[0]
    words = query_words([text], joint_space.lexical, joint_space.known_words)
    places, gates = joint_space.class_names.texts(t, words, joint_space.settings.class_names)
    named, gate = places[0], gates[0]
    z, hubness, hidden = (np.array(part, np.float32) for part in (view.z, view.hubness, view.hidden))
    k, r = len(q), len(meaning)
    pair_features = np.empty((len(z), 7), np.float32)
    pair_features[:, 0], pair_features[:, 1], pair_features[:, 2] = z[:, :k] @ q, z[:, k : k + r] @ meaning, hubness
    pair_features[:, 3], pair_features[:, 4] = gate * (z[:, k + r :] @ named), gate
    if view.regions is None or joint_space.late_interaction is None:
        pair_features[:, 5:] = joint_space.late_imputation[0] + pair_features[:, :3] @ joint_space.late_imputation[1:]
    else:
        mapped = joint_space.late_interaction.tokens(tokens)
        products = np.array(view.regions, np.float32) / 254 @ mapped.vectors.T
        pair_features[:, 5], pair_features[:, 6] = products.max(axis=1) @ mapped.weights, hidden[:, 0]
    candidate = pair_features[:, 0] + 0.25 * pair_features[:, 1] + 3 * pair_features[:, 3] - 0.5 * (1 - gate) * hubness
    logits = []
    for mlp, part in ((ranker.ranking_mlp, hidden[:, 1:129]), (ranker.relevance_mlp, hidden[:, 129:])):
        first = relu(part + t @ mlp.Wt + mlp.b1 + pair_features @ mlp.Ws)
        logits.append(relu(first @ mlp.W2 + mlp.b2) @ mlp.w3 + pair_features @ mlp.ws + mlp.b3)
    order = (1 - gate) * logits[0] + gate * 10 * candidate
    rows = np.argsort(-candidate, kind="stable")[:candidates]
    # Among 17 photos: what a photo scores on average for captions is taken off, but not off photos near the first hit.
    both = np.concatenate([z[:, :k], 0.25 * z[:, k : k + r]], axis=1)[rows]
    at_large = ranker.ranking_mlp.ws[0] * (
        (both @ joint_space.hubness.turn @ joint_space.hubness.captions.T).mean(axis=1) - 0.5 * hubness[rows]
    )
    first = order[rows]
    first = first - np.minimum((first.max() - first) / 5, 1) * 0.6 * (1 - gate) * (at_large - at_large.mean())
    return rows, first, ranker.calibration.apply(logits[1])[rows]


def falling(values: list[float]) -> list[float]:
    """The nearest values that never rise: the least of the greatest means (Barlow et al. 1972), taken at their word."""
    n = len(values)
    means = [[np.mean(values[u : v + 1]) if u <= v else np.nan for v in range(n)] for u in range(n)]
    return [min(max(means[u][v] for v in range(i, n)) for u in range(i + 1)) for i in range(n)]


def picture(row: int) -> int:
    """The first row with the same pixels. Two photos have the same, in two files: which comes first is for the last
    bits of a product to say, and these depend on the processor."""
    return {16: 14}.get(row, row)


@pytest.mark.parametrize("candidates", [200, 6])
def test_answers_are_those_of_the_plain_steps(built: Path, candidates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = Searcher(Index.open(built), candidates=candidates)
    assert np.array_equal(searcher.view.z[14], searcher.view.z[16])
    monkeypatch.setattr(opened_index, "BLOCK", 2)  # so that a batch is of five blocks, in threads
    together = searcher.answer_many([(str(i), text) for i, text in enumerate(TEXTS)], 4)
    for text, batched in zip(TEXTS, together, strict=True):
        rows, order, relevance = reference(searcher, text, candidates)
        places = np.argsort(-order)
        pictures = np.array([picture(row) for row in rows[places].tolist()])
        shown = spread(relevance[places], np.array(falling(relevance[places].tolist())), pictures).tolist()
        for answer in (batched, searcher.answer(text, 4)):
            found = [picture(row_of(searcher)[hit.path]) for hit in answer.hits]
            assert found == pictures[:4].tolist()
            assert [hit.score for hit in answer.hits] == pytest.approx(order[places][:4].tolist(), abs=2e-3)
            assert [hit.relevance for hit in answer.hits] == pytest.approx(shown[:4], abs=5e-4)
