"""The chapters of a ranker's report on single photos and queries: hubs, best and worst queries, a table of all."""

from collections.abc import Sequence

import numpy as np

from reranker.evaluation.evaluation import Evaluation, Found, Queries
from reranker.evaluation.outcomes import crowding, margins, pick
from reranker.evaluation.results import Results
from reranker.metrics.metrics import ranks_of_own
from reranker.reports import charts
from reranker.reports.album import Album
from reranker.reports.page import Block, Card, Cards, Section, Table, Text

HUBS = 12
EXAMPLES = 6
HITS = 4


def sections_of(evaluation: Evaluation, figures: Results, album: Album) -> list[Section]:
    """Hubs, examples and the table, of the official protocol if it ran, else of the course's test."""
    if "official" in figures:
        found, own = evaluation.official()
        asked, names = evaluation.captions(), evaluation.judged()[1].photos
        what = "captions of the judged photos"
    elif "course_default" in figures or "hubs" in figures:
        found, own = evaluation.course_default()
        asked, names = evaluation.course()[1], evaluation.judgments.test_photos
        what = "the course's queries"
    else:
        return []
    return [
        Section("Hubs", _hubs(found, names, album, what)),
        Section("Best and worst queries", _examples(found, own, asked, names, album)),
        Section("Every query", _table(found, own, asked, names, what)),
    ]


def _hubs(found: Found, names: Sequence[str], album: Album, what: str) -> list[Block]:
    shares = crowding(found.ranking_scores) / len(found.ranking_scores)
    before = crowding(found.candidates) / len(found.ranking_scores)
    photos = len(names)
    even = min(10, photos) / photos
    first = np.argsort(-shares, kind="stable")[:HUBS]
    rank = np.arange(1, photos + 1)
    cards = []
    for place in first:
        lines = [
            f"in the first ten of {shares[place]:.1%} of the queries, {shares[place] / even:.1f} times an even share",
            f"before reranking: {before[place]:.1%}",
        ]
        cards.append(Card(names[place], lines, [album.thumb(names[place])]))
    return [
        Text(
            [f"How often each of the {photos:,} photos is among the first ten of {what}; an even share is {even:.3f}."]
        ),
        charts.lines(
            [
                charts.Line("reranked", rank, np.sort(shares)[::-1]),
                charts.Line("candidates", rank, np.sort(before)[::-1]),
                charts.Line("even share", rank, np.full(photos, even)),
            ],
            f"Photos from the most to the least crowding; {np.mean(shares == 0):.1%} are never among the first ten.",
            "Falling curves of the share of queries that have a photo in their first ten, from "
            f"{shares.max():.3f} for the most crowding photo.",
            "photos, the most crowding first",
            "share of the queries",
            log=True,
        ),
        Cards("The photos most often among the first ten", cards),
    ]


def _examples(found: Found, own: np.ndarray, asked: Queries, names: Sequence[str], album: Album) -> list[Block]:
    before, after = ranks_of_own(found.candidates, own), ranks_of_own(found.ranking_scores, own)
    moved = np.log((before + 1) / (after + 1))
    order = np.argsort(-found.ranking_scores, axis=1)[:, :HITS]
    # An example shows all of its photos or is none.
    open_to_see = np.array([album.shows(name) for name in names])
    fine = np.array([album.shows(names[place], text) for place, text in zip(own, asked.texts, strict=True)])
    allowed = fine & open_to_see[order].all(axis=1)
    chosen = {
        "Worst: the own photo comes furthest behind": pick(after.astype(float), own, allowed, EXAMPLES),
        "Best: first by the widest margin": pick(margins(found.ranking_scores, own), own, allowed, EXAMPLES),
        "Moved up the most by reranking": pick(moved, own, allowed, EXAMPLES // 2),
        "Moved down the most by reranking": pick(-moved, own, allowed, EXAMPLES // 2),
    }
    blocks: list[Block] = [
        Text(
            [
                "The photo that a query was written for comes first, with a frame; beside it are the first hits. Some "
                "hits that are not the own photo fit as well: recall counts them as wrong."
                + (
                    f" Queries with a photo under the policy {album.policy.name} in sight are left out here; the table "
                    "below has every query."
                    if album.policy
                    else ""
                )
            ]
        )
    ]
    for title, rows in chosen.items():
        cards = []
        for row in rows:
            hits = [
                album.thumb(names[place], f"hit {number}", "own" if place == own[row] else "")
                for number, place in enumerate(order[row], 1)
            ]
            place = f"own photo at {after[row] + 1:,}, among the candidates at {before[row] + 1:,}"
            cards.append(Card(asked.texts[row], [place], [album.thumb(names[own[row]], "own photo", "own"), *hits]))
        if cards:
            blocks.append(Cards(title, cards))
    return blocks


def _table(found: Found, own: np.ndarray, asked: Queries, names: Sequence[str], what: str) -> list[Block]:
    before, after = ranks_of_own(found.candidates, own) + 1, ranks_of_own(found.ranking_scores, own) + 1
    first, chance = found.ranking_scores.argmax(axis=1), found.match(found.ranking_scores)
    rows = [
        (text, int(after[i]), int(before[i]), float(chance[i]), names[own[i]], names[first[i]])
        for i, text in enumerate(asked.texts)
    ]
    rows.sort(key=lambda row: -row[1])
    columns = ("query", "rank", "rank of candidates", "chance of a match", "own photo", "first hit")
    caption = f"All {len(rows):,} queries ({what}), the worst first; a heading sorts by its column"
    return [Table(caption, columns, rows, digits=2, long=True)]
