"""Write the report's sections on the data: from loading to the split.

Each public function takes the project with its results and returns the blocks of one section.
"""

from collections.abc import Sequence

import numpy as np

from experiments.seed_project.conclusions import encoder_note
from experiments.seed_project.project import SeedProject
from reranker.models.linear_map import unit
from reranker.reports import charts
from reranker.reports.page import Block, Chart, Points, Table, Text, Tiles

# The generalised scores that a majority grade of 1 to 4 is scaled to, and how they are written.
SCORE_LEVELS = {"0": 0.0, "1/3": 1 / 3, "2/3": 2 / 3, "1": 1.0}
# Pairs of vectors whose cosines are drawn as a histogram.
COSINE_PAIRS = 20_000


def loading(project: SeedProject) -> list[Block]:
    """Count what was loaded, and say what the project is."""
    judged, judgments = project.selection.judged, project.selection.judgments
    votes = sum(row.yes + row.no for row in judged.crowd)
    return [
        Tiles(
            [
                ("judged photos", len(judged.photos), "to learn from"),
                ("captions", len(judged.captions), "of these photos, or judged beside them"),
                ("pairs that experts graded", len(judged.expert), "three grades each, 1 to 4"),
                (
                    "pairs that a crowd voted on",
                    len(judged.crowd),
                    f"{votes:,} votes; photoseek alone learns from them",
                ),
                ("test photos", len(judgments.test_photos), "in which to search"),
                ("test queries", len(judgments.queries), "each written for one test photo"),
            ]
        ),
        Text(
            [
                "The project: one vector for a photo, one for a sentence, the two joined, and a regression that says "
                "how well they fit. A search asks it about every photo. This page runs that project in its ten "
                "steps, and then photoseek's own ranker on the same photos, so that the failure and its cure "
                "stand side by side."
            ]
        ),
    ]


def exploration(project: SeedProject) -> list[Block]:
    """Show the experts' grades, how far the experts agree, and the length of the captions."""
    judged = project.selection.judged
    grades = np.array([row.grades for row in judged.expert])
    counts = [int((grades == grade).sum()) for grade in (1, 2, 3, 4)]
    distinct = np.array([len(set(row)) for row in grades.tolist()])
    agreed = [int((distinct == number).sum()) for number in (1, 2, 3)]
    words = np.array([len(text.split()) for text in judged.captions.values()])
    return [
        charts.bars(
            ("1 nothing to do with it", "2 small things", "3 almost", "4 without a fault"),
            {"grades": counts},
            f"All {grades.size:,} grades that experts gave.",
            f"Bars of how often each grade was given: {_listed(counts)} for grades 1 to 4.",
            "grade",
            "grades given",
            shown="{:,.0f}",
        ),
        Points(
            [
                f"{counts[0] / grades.size:.0%} of the grades are 1, {counts[3] / grades.size:.1%} are 4: most pairs "
                "do not fit, and a model that always says so is hardly ever far off.",
                f"All three experts agree on {agreed[0]:,} pairs, two of them on {agreed[1]:,}; on {agreed[2]:,} all "
                "three differ.",
                f"A caption has {np.median(words):.0f} words (median), from {words.min()} to {words.max()}.",
            ]
        ),
    ]


def generalised_score(project: SeedProject) -> list[Block]:
    """Show the scores that the experts' majority gives, and count the pairs without one."""
    scores, grades = project.pairs.scores, [row.grades for row in project.selection.kept.expert]
    counts = [int(np.isclose(scores, level).sum()) for level in SCORE_LEVELS.values()]
    without_majority = sum(len(set(row)) == 3 for row in grades)
    return [
        Text(
            [
                "The grade that two or three of the experts gave, scaled from 1..4 to 0..1. Where all three differ "
                f"there is no majority, and the pair is dropped: {without_majority:,} of the {len(grades):,} pairs "
                f"that the policy leaves (see the checks), so that {len(scores):,} remain."
            ]
        ),
        charts.bars(
            tuple(SCORE_LEVELS),
            {"pairs": counts},
            f"Generalised scores of {len(scores):,} pairs; their mean is {scores.mean():.3f}.",
            f"Bars of how many pairs have each score: {_listed(counts)} for 0, 1/3, 2/3 and 1.",
            "generalised score",
            "pairs",
            shown="{:,.0f}",
        ),
    ]


def checks(project: SeedProject) -> list[Block]:
    """Show what the policy left out, and the outcome of the checks."""
    selection = project.selection
    judged, kept, policy, queries = selection.judged, selection.kept, selection.policy, selection.judgments.queries
    blocked = sum(policy.blocks(query.text) for query in queries)
    left_out = [
        (things, len(before) - len(after), (len(before) - len(after)) / max(1, len(before)))
        for things, before, after in (
            ("photos", judged.photos, kept.photos),
            ("captions", judged.captions, kept.captions),
            ("pairs with grades", judged.expert, kept.expert),
            ("pairs with votes", judged.crowd, kept.crowd),
        )
    ]
    return [
        Text(
            [
                "In some countries photos of children must not be used or shown without their parents' consent. The "
                f"policy {policy.name} leaves out every photo that such a caption describes, for every model on this "
                f"page. The test photos stay, so that the figures can be compared, but none that it protects is shown "
                f"here; {blocked} of the {len(queries)} queries name what it protects, and a search "
                f"answers them with “{policy.disclaimer}”."
            ]
        ),
        Table(f"What the policy {policy.name} leaves out of training", ("what", "left out", "share"), left_out),
        Table(
            "What photoseek check says of the folder's tables",
            ("check", "severity", "rows"),
            [(finding.check, finding.severity, finding.count) for finding in project.findings],
        ),
        Table(
            "Checked before anything was learned",
            ("check", "outcome", "numbers"),
            [(check.condition, "passed" if check.passed else "FAILED", check.numbers) for check in project.checks],
        ),
    ]


def image_vectors(project: SeedProject) -> list[Block]:
    """Name the image encoder, and show how alike the photos' vectors are."""
    x, title = project.vectors.features.x, project.vectors.image_title
    return [
        Text([f"{title}: {x.shape[1]:,} numbers a photo, for {len(x):,} photos. {encoder_note(title)}".strip()]),
        _cosines(x, "photos", title),
    ]


def text_vectors(project: SeedProject) -> list[Block]:
    """Describe the text encoder, and show how alike the captions' vectors are."""
    sentences = project.vectors.sentences
    return [
        Text(
            [
                "BERT with mean pooling: the mean of the last hidden state over a sentence's word pieces, "
                f"{sentences.shape[1]} numbers. The network is MiniLM (all-MiniLM-L6-v2, a small BERT), of whose "
                "encoder Ridge and the net get the sentence part alone. It was itself trained on captions of this kind "
                "(COCO, Flickr30k), so it is not naive; photoseek has the same network, with its first hidden state "
                "and its word pieces."
            ]
        ),
        _cosines(sentences, "captions", "MiniLM"),
    ]


def joining_and_splitting(project: SeedProject) -> list[Block]:
    """Show the concatenated vector and both sides of the split."""
    pairs = project.pairs
    image_dim, text_dim = project.vectors.features.x.shape[1], project.vectors.sentences.shape[1]
    captions = set(pairs.text_rows[pairs.train].tolist())
    seen_captions = float(np.mean([row in captions for row in pairs.text_rows[pairs.held_out].tolist()]))
    sides = [
        (side, len(set(pairs.photo_rows[rows].tolist())), len(rows), float(pairs.scores[rows].mean()))
        for side, rows in (("train", pairs.train), ("held out", pairs.held_out))
    ]
    return [
        Text(
            [
                f"The photo's {image_dim:,} numbers beside the sentence's {text_dim}: {len(pairs.names):,} rows of "
                f"{image_dim + text_dim:,}. Split 7:3 by photo, so that no photo is on both sides.",
                f"Captions may be: {seen_captions:.0%} of the held-out pairs have a caption that some training photo "
                "was judged beside as well. That is the project's own split; photoseek's protocol expert_strict keeps "
                "both apart.",
            ]
        ),
        Table("The two sides", ("side", "photos", "pairs", "mean score"), sides),
    ]


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts))


def _cosines(vectors: np.ndarray, things: str, encoder: str) -> Chart:
    """Draw a histogram of the cosines of two vectors of (n, d), drawn at random."""
    rows = unit(vectors)
    one, other = np.random.default_rng(0).integers(0, len(rows), (2, COSINE_PAIRS))
    cosines = (rows[one] * rows[other]).sum(axis=1)[one != other]
    mean = float(cosines.mean())
    return charts.histogram(
        {things: cosines},
        np.linspace(min(0.0, float(cosines.min())), 1, 41),
        f"Cosine of two {things} drawn at random, {encoder}; the mean is {mean:.3f}.",
        f"Histogram of cosines between two {things}, mean {mean:.2f}.",
        "cosine",
        "pairs",
        marks={"mean": mean},
    )
