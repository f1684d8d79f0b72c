"""The chapters of a data report on what people said: experts, crowd, both, and pairs to look at."""

from collections import Counter

import numpy as np

from reranker.judgments.aggregate import EXPERT_WEIGHT
from reranker.judgments.agreement import expert_agreement, expert_crowd_agreement
from reranker.judgments.judged_folder import Judgments
from reranker.reports import charts
from reranker.reports import judged_statistics as explore
from reranker.reports.album import Album
from reranker.reports.judged_statistics import Pair
from reranker.reports.page import Block, Card, Cards, Cell, Interval, Points, Table, Text, Tiles, counted, shown

GRADES = ("1 nothing to do with it", "2 small things", "3 almost", "4 without a fault")
EXAMPLES = 6
# Fewer pairs than this give no correlation worth a line.
FEWEST_PAIRS = 30
NO_PAIR = "No pair has both an expert's grade and a crowd's vote."


def experts(judgments: Judgments) -> list[Block]:
    """Which grades were given, and how often the three agree."""
    if not judgments.expert:
        return [Text(["No expert graded any pair."])]
    grades = np.array([row.grades for row in judgments.expert])
    counts = [int((grades == grade).sum()) for grade in (1, 2, 3, 4)]
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
            {"grades": counts},
            f"All {3 * n:,} grades. An expert sees the photo and the caption for as long as wanted.",
            f"Bars of how often each grade was given: {', '.join(map(str, counts))} for grades 1 to 4.",
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


def crowd(judgments: Judgments) -> list[Block]:
    """The share of yes, and of how many votes it is."""
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
            "Votes a pair",
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


def both(judgments: Judgments, pairs: list[Pair]) -> list[Block]:
    """How the two judgments of one pair relate."""
    both = [pair for pair in pairs if pair.expert is not None and pair.share is not None]
    if not both:
        return [Text([NO_PAIR])]
    share = np.array([pair.share for pair in both], np.float64)
    bands = ("0", "up to 1/3", "up to 2/3", "below 1", "1")
    band = np.select([share == 0, share <= 0.34, share <= 0.67, share < 1], [0, 1, 2, 3], 4)
    row = np.array([-1 if pair.majority is None else round(3 * pair.majority) for pair in both])
    counts = np.array([[int(((row == r) & (band == c)).sum()) for c in range(5)] for r in range(-1, 4)])
    scores = {
        "experts' mean": np.array([pair.expert for pair in pairs if pair.expert is not None]),
        "crowd's share": np.array([pair.share for pair in pairs if pair.share is not None]),
        "generalised score": np.array([pair.score for pair in pairs if pair.score is not None]),
    }
    blocks: list[Block] = [
        charts.heat(
            counts,
            ("no majority", *GRADES),
            bands,
            f"{counted(len(both), 'pair')} with both; the deeper the colour, the larger the share of the row.",
            "Table of experts' majority grade against the crowd's share of yes, with the number of pairs in each cell.",
            "crowd's share of yes",
            "experts' majority",
        ),
        charts.histogram(
            scores,
            np.linspace(-1 / 24, 1 + 1 / 24, 14),
            f"The generalised score is {EXPERT_WEIGHT} x the experts' majority + {1 - EXPERT_WEIGHT:.1f} x the crowd's "
            "share where a pair has both, else the one it has; it is what training learns from.",
            "Shares of pairs by score: experts' mean grade as 0 to 1, crowd's share of yes, and both combined.",
            "score",
            "share of the pairs",
            share=True,
        ),
    ]
    if len(both) >= FEWEST_PAIRS:
        tau = expert_crowd_agreement(judgments.expert, judgments.crowd)
        means = "; ".join(
            f"{name[:1]}: {share[row == number].mean():.2f}"
            for number, name in enumerate(GRADES)
            if (row == number).any()
        )
        blocks.append(
            Points(
                [
                    f"Kendall's tau-b of the experts' mean and the crowd's share: {shown(_cell(tau))}.",
                    f"Mean share of yes by majority grade: {means}.",
                ]
            )
        )
    return blocks


def disagreements(judgments: Judgments, pairs: list[Pair], album: Album) -> list[Block]:
    """Pairs on which the two are furthest apart, with their photos, as far as these may be shown."""
    both = explore.disagreements(pairs)
    ranked = [pair for pair in both if album.shows(pair.photo, judgments.captions[pair.caption])]
    if not ranked:
        return [Text(["No pair with both judgments may be shown." if both else NO_PAIR])]
    above = [pair for pair in ranked if (pair.expert or 0) > (pair.share or 0)][:EXAMPLES]
    below = [pair for pair in ranked if (pair.expert or 0) < (pair.share or 0)][:EXAMPLES]
    blocks: list[Block] = [
        Text(
            [
                "Pairs on which the experts' mean grade (as 0 to 1) and the crowd's share of yes are furthest apart: "
                "some are slips, some show what the two were asked differently. They are worth a look before training."
            ]
        )
    ]
    for title, some in (
        ("The experts say more than the crowd", above),
        ("The crowd says more than the experts", below),
    ):
        if some:
            blocks.append(Cards(title, [_card(judgments, pair, album) for pair in some]))
    rows = [(judgments.captions[p.caption], p.photo, p.expert, p.share, p.votes, p.apart) for p in ranked[:300]]
    columns = ("caption", "photo", "experts", "crowd", "votes", "apart")
    blocks.append(Table(f"{counted(len(rows), 'pair')}, the furthest apart first", columns, rows, digits=2, long=True))
    return blocks


def examples(judgments: Judgments, pairs: list[Pair], album: Album) -> list[Block]:
    """Pairs at each generalised score, with their photos, as far as these may be shown."""
    seen = [pair for pair in pairs if album.shows(pair.photo, judgments.captions[pair.caption])]
    if not any(pair.score is not None for pair in seen):
        return [Text(["Nobody judged any pair whose photo may be shown."])]
    blocks: list[Block] = [Text(["Captions of other photos, beside pairs of nearly this generalised score."])]
    for score, some in explore.at_scores(seen, (1.0, 0.75, 0.5, 0.25, 0.0), 3).items():
        if some:
            blocks.append(Cards(f"Score {score:.2f}", [_card(judgments, pair, album) for pair in some]))
    return blocks


def _card(judgments: Judgments, pair: Pair, album: Album) -> Card:
    lines = []
    if pair.expert is not None:
        majority = "no majority" if pair.majority is None else f"majority {1 + round(3 * pair.majority)}"
        lines.append(f"experts {1 + 3 * pair.expert:.2f} of 4, {majority}")
    if pair.share is not None:
        lines.append(f"crowd {pair.share:.2f} of {pair.votes} votes")
    if pair.score is not None:
        lines.append(f"score {pair.score:.2f}")
    return Card(judgments.captions[pair.caption], [*lines, pair.photo], [album.thumb(pair.photo)])


def _cell(leaf: dict[str, float] | None) -> Cell:
    """A figure; its value alone where some draws have none, and None where it has none itself."""
    if leaf is None or np.isnan(leaf["value"]):
        return None
    return leaf["value"] if np.isnan([leaf["low"], leaf["high"]]).any() else Interval(**leaf)
