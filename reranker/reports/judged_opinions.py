"""Chapters of the report on judged data that show the judgments: experts, crowd, both, and example pairs."""

from collections import Counter

import numpy as np

from reranker.judgments.aggregate import EXPERT_WEIGHT
from reranker.judgments.agreement import expert_agreement, expert_crowd_agreement
from reranker.judgments.judgments import Judgments
from reranker.metrics.bootstrap import Measured
from reranker.reports import charts
from reranker.reports.album import Album
from reranker.reports.judged_statistics import JudgedPair, by_disagreement, nearest_to_scores
from reranker.reports.page import Block, Card, Cards, Cell, Points, Table, Text, Tiles, cell_text, counted

GRADES = ("1 nothing to do with it", "2 small things", "3 almost", "4 without a fault")
# Example pairs under one heading.
EXAMPLES = 6
# Example pairs at each score, and the scores.
SCORE_EXAMPLES, SCORES = 3, (1.0, 0.75, 0.5, 0.25, 0.0)
# Rows of the table of disagreements.
LISTED = 300
# A rank correlation of fewer pairs than this is not shown: its interval would be most of -1..1.
FEWEST_PAIRS = 30
NO_PAIR = "No pair has both an expert's grade and a crowd's vote."


def expert_grades(judgments: Judgments) -> list[Block]:
    """Show which grades the experts gave and how often the three agree.

    Args:
        judgments: The judged data.

    Returns:
        Numbers and charts, or a sentence that there are no grades.
    """
    if not judgments.expert:
        return [Text(["No expert graded any pair."])]
    grades = np.array([row.grades for row in judgments.expert])
    given = [int((grades == grade).sum()) for grade in (1, 2, 3, 4)]
    spread = grades.max(axis=1) - grades.min(axis=1)
    distinct = np.array([len(set(row)) for row in grades.tolist()])
    agreed = [int((distinct == number).sum()) for number in (1, 2, 3)]
    n = len(grades)
    alpha = expert_agreement(judgments.expert)
    return [
        Tiles(
            [
                (
                    "Krippendorff's alpha",
                    _cell(alpha),
                    "1 is agreement, 0 is chance; ordinal grades, photos drawn whole",
                ),
                ("all three agree", f"{agreed[0] / n:.1%}", "of the pairs have one grade"),
                ("all differ", f"{agreed[2] / n:.1%}", "of the pairs have no majority"),
            ]
        ),
        charts.bars(
            GRADES,
            {"grades": given},
            f"All {3 * n:,} grades. An expert sees the photo and the caption for as long as wanted.",
            f"Bars of how often each grade was given: {', '.join(map(str, given))} for grades 1 to 4.",
            "grade",
            "grades given",
            shown="{:,.0f}",
        ),
        charts.bars(
            ("all three agree", "two agree", "all differ"),
            {"pairs": agreed},
            "Where two or three agree, theirs is the majority grade; where all differ, the expert row is dropped.",
            f"Bars: all three experts agree on {agreed[0]} pairs, two on {agreed[1]}, none on {agreed[2]}.",
            "of three experts",
            "pairs",
            shown="{:,.0f}",
        ),
        Points(
            [
                f"The highest and the lowest grade of a pair are {spread.mean():.2f} apart on average; "
                f"{np.mean(spread >= 2):.1%} of the pairs have grades two or three steps apart.",
            ]
        ),
    ]


def crowd_votes(judgments: Judgments) -> list[Block]:
    """Show the crowd's share of yes and the number of votes.

    Args:
        judgments: The judged data.

    Returns:
        A chart and a table, or a sentence that there are no votes.
    """
    if not judgments.crowd:
        return [Text(["The crowd voted on no pair."])]
    shares = np.array([row.share for row in judgments.crowd])
    votes = Counter(row.yes + row.no for row in judgments.crowd)
    none, usual = float((shares == 0).mean()), max(votes, key=lambda number: votes[number])
    return [
        charts.histogram(
            {"pairs": shares},
            np.linspace(-0.025, 1.025, 22),
            "Share of a pair's votes that said “this caption describes the photo”.",
            f"Histogram of the share of yes of {len(shares)} pairs; {none:.0%} have none.",
            "share of yes",
            "pairs",
        ),
        Table(
            "Votes per pair",
            ("votes", "pairs", "share of pairs"),
            [(v, c, c / len(shares)) for v, c in sorted(votes.items())],
        ),
        Points(
            [
                f"{none:.1%} of the pairs have not one yes, {float((shares == 1).mean()):.1%} have nothing else; the "
                f"mean share is {shares.mean():.3f}.",
                f"Most pairs have {usual} votes, so a share moves in steps of 1/{usual}"
                + (": a pair of true share 0.5 shows 0 or 1 in a quarter of the cases." if usual == 3 else "."),
            ]
        ),
    ]


def experts_and_crowd(judgments: Judgments, pairs: list[JudgedPair]) -> list[Block]:
    """Show how the experts' and the crowd's judgments of the same pair relate.

    Args:
        judgments: The judged data.
        pairs: All judged pairs.

    Returns:
        Charts and the rank correlation, or a sentence that no pair has both judgments.
    """
    both = [pair for pair in pairs if pair.expert is not None and pair.share is not None]
    if not both:
        return [Text([NO_PAIR])]
    share = np.array([pair.share for pair in both], np.float64)
    # The majority as 0 to 3, -1 where there is none.
    majority = np.array([-1 if pair.majority is None else round(3 * pair.majority) for pair in both])
    blocks = [_grades_by_share(majority, share), _score_histogram(pairs)]
    if len(both) >= FEWEST_PAIRS:
        tau = expert_crowd_agreement(judgments.expert, judgments.crowd)
        means = "; ".join(
            f"{name[:1]}: {share[majority == number].mean():.2f}"
            for number, name in enumerate(GRADES)
            if (majority == number).any()
        )
        blocks.append(
            Points(
                [
                    f"Kendall's tau-b of the experts' mean and the crowd's share: {cell_text(_cell(tau))}.",
                    f"Mean share of yes by majority grade: {means}.",
                ]
            )
        )
    return blocks


def _grades_by_share(majority: np.ndarray, share: np.ndarray) -> Block:
    """Draw a heat map of majority grades (pairs,), -1 to 3, against shares of yes (pairs,)."""
    bands = ("0", "up to 1/3", "up to 2/3", "below 1", "1")
    band = np.select([share == 0, share <= 0.34, share <= 0.67, share < 1], [0, 1, 2, 3], 4)
    counts = np.array([[int(((majority == row) & (band == column)).sum()) for column in range(5)]
                       for row in range(-1, 4)])  # fmt: skip
    return charts.heat_map(
        counts,
        ("no majority", *GRADES),
        bands,
        f"{counted(len(share), 'pair')} with both; the deeper the colour, the larger the share of the row.",
        "Table of experts' majority grade against the crowd's share of yes, with the number of pairs in each cell.",
        "crowd's share of yes",
        "experts' majority",
    )


def _score_histogram(pairs: list[JudgedPair]) -> Block:
    scores = {
        "experts' mean": np.array([pair.expert for pair in pairs if pair.expert is not None]),
        "crowd's share": np.array([pair.share for pair in pairs if pair.share is not None]),
        "generalised score": np.array([pair.score for pair in pairs if pair.score is not None]),
    }
    return charts.share_histogram(
        scores,
        np.linspace(-1 / 24, 1 + 1 / 24, 14),
        f"The generalised score is {EXPERT_WEIGHT} x the experts' majority + {1 - EXPERT_WEIGHT:.1f} x the crowd's "
        "share where a pair has both, else the one it has; it is what training learns from.",
        "Shares of pairs by score: experts' mean grade as 0 to 1, crowd's share of yes, and both combined.",
        "score",
        "share of the pairs",
    )


def disagreements(judgments: Judgments, pairs: list[JudgedPair], album: Album) -> list[Block]:
    """Show the pairs on which experts and crowd disagree most.

    Args:
        judgments: The judged data.
        pairs: All judged pairs.
        album: The photos that may be shown.

    Returns:
        Example pairs and a table, or a sentence that there are none to show.
    """
    both = by_disagreement(pairs)
    ranked = [pair for pair in both if album.shows(pair.photo, judgments.captions[pair.caption])]
    if not ranked:
        return [Text(["No pair with both judgments may be shown." if both else NO_PAIR])]
    above = [pair for pair in ranked if (pair.expert or 0) > (pair.share or 0)][:EXAMPLES]
    below = [pair for pair in ranked if (pair.expert or 0) < (pair.share or 0)][:EXAMPLES]
    blocks: list[Block] = [
        Text(
            [
                "Pairs on which the experts' mean grade (as 0 to 1) and the crowd's share of yes are furthest apart. "
                "Some are mistakes; others show that the two were asked different questions. Look at them before "
                "training."
            ]
        )
    ]
    for title, some in (
        ("The experts rate the pair higher than the crowd", above),
        ("The crowd rates the pair higher than the experts", below),
    ):
        if some:
            blocks.append(Cards(title, [_card(judgments, pair, album) for pair in some]))
    rows = [
        (judgments.captions[pair.caption], pair.photo, pair.expert, pair.share, pair.votes, pair.disagreement)
        for pair in ranked[:LISTED]
    ]
    columns = ("caption", "photo", "experts", "crowd", "votes", "apart")
    blocks.append(Table(f"{counted(len(rows), 'pair')}, the furthest apart first", columns, rows, digits=2, long=True))
    return blocks


def score_examples(judgments: Judgments, pairs: list[JudgedPair], album: Album) -> list[Block]:
    """Show example pairs at each generalised score.

    Args:
        judgments: The judged data.
        pairs: All judged pairs.
        album: The photos that may be shown.

    Returns:
        Example pairs, or a sentence that there are none to show.
    """
    seen = [pair for pair in pairs if album.shows(pair.photo, judgments.captions[pair.caption])]
    if not any(pair.score is not None for pair in seen):
        return [Text(["Nobody judged any pair whose photo may be shown."])]
    blocks: list[Block] = [
        Text(["Pairs of a photo and a caption of another photo, with nearly this generalised score."])
    ]
    for score, some in nearest_to_scores(seen, SCORES, SCORE_EXAMPLES).items():
        if some:
            blocks.append(Cards(f"Score {score:.2f}", [_card(judgments, pair, album) for pair in some]))
    return blocks


def _card(judgments: Judgments, pair: JudgedPair, album: Album) -> Card:
    lines = []
    if pair.expert is not None:
        majority = "no majority" if pair.majority is None else f"majority {1 + round(3 * pair.majority)}"
        lines.append(f"experts {1 + 3 * pair.expert:.2f} of 4, {majority}")
    if pair.share is not None:
        lines.append(f"crowd {pair.share:.2f} of {pair.votes} votes")
    if pair.score is not None:
        lines.append(f"score {pair.score:.2f}")
    return Card(judgments.captions[pair.caption], [*lines, pair.photo], [album.thumb(pair.photo)])


def _cell(agreement: Measured | None) -> Cell:
    """Return a table cell: the value, with its interval if all draws are defined; None if the value is undefined."""
    if agreement is None or np.isnan(agreement.value):
        return None
    return agreement.value if np.isnan([agreement.low, agreement.high]).any() else agreement
