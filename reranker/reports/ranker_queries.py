"""Chapters of the report on a ranker that show single photos and queries: hubs, examples and all queries."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.evaluation.evaluation import Evaluation
from reranker.evaluation.results import Results
from reranker.gallery_ranking import GalleryRanking
from reranker.metrics.outcomes import k_occurrences, margins, pick_examples
from reranker.metrics.recall import ranks_of_own
from reranker.reports import charts
from reranker.reports.album import Album
from reranker.reports.page import Block, Card, Cards, Section, Table, Text

# How many hubs, examples under each heading, and hits of each example are shown.
HUBS, EXAMPLES, HITS = 12, 6, 4


@dataclass(frozen=True, slots=True)
class _Test:
    """A test: queries with what they find among photos.

    Attributes:
        what: The queries in words.
        texts: Text of each query.
        photos: Name of each photo.
        own: (queries,) the place of each query's own photo.
        found: Candidates and ranking scores, (queries, photos) each.
        before: (queries,) rank of each query's own photo among the candidates, 0 is the first.
        after: (queries,) its rank after reranking.
    """

    what: str
    texts: Sequence[str]
    photos: Sequence[str]
    own: np.ndarray
    found: GalleryRanking
    before: np.ndarray
    after: np.ndarray


def query_sections(evaluation: Evaluation, results: Results, album: Album) -> list[Section]:
    """Make the chapters on hubs, examples and all queries.

    Args:
        evaluation: The ranker and the data.
        results: Its results; they tell which protocols ran.
        album: The photos that may be shown.

    Returns:
        The chapters of the official protocol if it ran, else of the course's test; none if neither ran.
    """
    test = _test_of(evaluation, results)
    if test is None:
        return []
    return [
        Section("Hubs", _hubs(test, album)),
        Section("Best and worst queries", _examples(test, album)),
        Section("Every query", [_every_query(test)]),
    ]


def _test_of(evaluation: Evaluation, results: Results) -> _Test | None:
    if "official" in results:
        what, texts, photos = (
            "captions of the judged photos",
            evaluation.data.captions.texts,
            evaluation.data.judged[1].photos,
        )
        found, own = evaluation.official()
    elif "course_default" in results or "hubs" in results:
        what, texts, photos = (
            "the course's queries",
            evaluation.data.course.queries.texts,
            evaluation.judgments.test_photos,
        )
        found, own = evaluation.course_default()
    else:
        return None
    before, after = ranks_of_own(found.candidate_scores, own), ranks_of_own(found.ranking_scores, own)
    return _Test(what, texts, photos, own, found, before, after)


def _hubs(test: _Test, album: Album) -> list[Block]:
    queries, photos = test.found.ranking_scores.shape
    shares = k_occurrences(test.found.ranking_scores) / queries
    before = k_occurrences(test.found.candidate_scores) / queries
    even = min(10, photos) / photos
    rank = np.arange(1, photos + 1)
    cards = []
    for place in np.argsort(-shares, kind="stable")[:HUBS]:
        lines = [
            f"in the first ten of {shares[place]:.1%} of the queries, {shares[place] / even:.1f} times an even share",
            f"before reranking: {before[place]:.1%}",
        ]
        cards.append(Card(test.photos[place], lines, [album.thumb(test.photos[place])]))
    return [
        Text(
            [
                f"How often each of the {photos:,} photos is among the first ten of {test.what}; an even share is "
                f"{even:.3f}."
            ]
        ),
        charts.lines(
            [
                charts.Line("reranked", rank, np.sort(shares)[::-1]),
                charts.Line("candidates", rank, np.sort(before)[::-1]),
                charts.Line("even share", rank, np.full(photos, even)),
            ],
            "Photos by how many queries show them, the most frequent first; "
            f"{np.mean(shares == 0):.1%} are never among the first ten.",
            "Falling curves of the share of queries that have a photo in their first ten, from "
            f"{shares.max():.3f} for the most frequent photo.",
            "photos, the most frequent first",
            "share of the queries",
            log=True,
        ),
        Cards("The photos most often among the first ten", cards),
    ]


def _examples(test: _Test, album: Album) -> list[Block]:
    order = np.argsort(-test.found.ranking_scores, axis=1)[:, :HITS]
    hidden = ""
    if album.policy:
        hidden = (
            f" Queries with a photo under the policy {album.policy.name} in sight are left out here; the table below "
            "has every query."
        )
    blocks: list[Block] = [
        Text(
            [
                "The photo that a query was written for comes first, with a frame; beside it are the first hits. Some "
                f"hits that are not the own photo fit as well: recall counts them as wrong.{hidden}"
            ]
        )
    ]
    for title, rows in _chosen_rows(test, order, album).items():
        if rows:
            blocks.append(Cards(title, [_example(test, row, order[row], album) for row in rows]))
    return blocks


def _chosen_rows(test: _Test, order: np.ndarray, album: Album) -> dict[str, list[int]]:
    """Choose rows of queries by heading. order: (queries, HITS), the first hits of each query."""
    moved = np.log((test.before + 1) / (test.after + 1))
    # A query is an example only if all of its photos may be shown.
    shown = np.array([album.shows(name) for name in test.photos])
    own_shown = np.array([album.shows(test.photos[p], text) for p, text in zip(test.own, test.texts, strict=True)])
    allowed = own_shown & shown[order].all(axis=1)
    wanted = {
        "Worst: the own photo comes furthest behind": (test.after.astype(float), EXAMPLES),
        "Best: first by the widest margin": (margins(test.found.ranking_scores, test.own), EXAMPLES),
        "Moved up the most by reranking": (moved, EXAMPLES // 2),
        "Moved down the most by reranking": (-moved, EXAMPLES // 2),
    }
    return {title: pick_examples(value, test.own, allowed, count) for title, (value, count) in wanted.items()}


def _example(test: _Test, row: int, order: np.ndarray, album: Album) -> Card:
    """Make the card of one query with its own photo and its first hits, order: (HITS,)."""
    own = test.own[row]
    hits = [
        album.thumb(test.photos[place], f"hit {number}", "own" if place == own else "")
        for number, place in enumerate(order, 1)
    ]
    line = f"own photo at {test.after[row] + 1:,}, among the candidates at {test.before[row] + 1:,}"
    return Card(test.texts[row], [line], [album.thumb(test.photos[own], "own photo", "own"), *hits])


def _every_query(test: _Test) -> Block:
    scores = test.found.ranking_scores
    first, chance = scores.argmax(axis=1), test.found.match_probability(np.ones(scores.shape, bool))
    rows = [
        (
            text,
            int(test.after[i]) + 1,
            int(test.before[i]) + 1,
            float(chance[i]),
            test.photos[test.own[i]],
            test.photos[first[i]],
        )
        for i, text in enumerate(test.texts)
    ]
    rows.sort(key=lambda row: -row[1])
    columns = ("query", "rank", "rank of candidates", "chance of a match", "own photo", "first hit")
    caption = f"All {len(rows):,} queries ({test.what}), the worst first; a heading sorts by its column"
    return Table(caption, columns, rows, digits=2, long=True)
