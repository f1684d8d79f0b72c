"""Make the report on judged data: its chapters, from the judgments, the captions and the photo files."""

from collections import Counter

import numpy as np

from indexer.encoders import ImageEncoder
from reranker.judgments.judgments import Judgments, photo_of
from reranker.judgments.near_duplicates import SAME_SCENE
from reranker.models.lexical_features import WORD
from reranker.moderation.policy import Policy
from reranker.reports import charts
from reranker.reports import judged_opinions as opinions
from reranker.reports.album import Album
from reranker.reports.judged_statistics import (
    JudgedPair,
    PhotoSizes,
    Progress,
    coverage,
    judged_pairs,
    own_captions,
    photo_sizes,
    removed_by,
    similar_photos,
    word_counts,
)
from reranker.reports.page import Block, Card, Cards, Points, Section, Table, Text, Tiles, counted

# Pairs of similar photos that are shown.
NEAREST = 5
# The histogram of caption lengths ends at this many words.
LONGEST = 60
# Rows of the table of words.
LISTED_WORDS = 200


def judged_sections(
    judgments: Judgments,
    policy: Policy,
    album: Album,
    encoder: ImageEncoder | None = None,
    on_progress: Progress | None = None,
) -> list[Section]:
    """Make the chapters of the report.

    Where the data lacks something, a chapter says so and leaves out its charts.

    Args:
        judgments: The judged data.
        policy: The report says what this policy would leave out of training.
        album: The photos that may be shown.
        encoder: The image encoder that finds similar photos; None leaves that chapter out.
        on_progress: Called with (photos done, photos in all).

    Returns:
        The chapters.
    """
    similar = None if encoder is None else similar_photos(judgments, encoder, on_progress)
    pairs = judged_pairs(judgments)
    sizes = photo_sizes(judgments, on_progress)
    return [
        Section("At a glance", _glance(judgments, pairs, sizes)),
        Section("Experts", opinions.expert_grades(judgments)),
        Section("Crowd", opinions.crowd_votes(judgments)),
        Section("Experts beside the crowd", opinions.experts_and_crowd(judgments, pairs)),
        Section("Where they disagree most", opinions.disagreements(judgments, pairs, album)),
        Section("Examples at each score", opinions.score_examples(judgments, pairs, album)),
        Section("Captions", _captions(judgments)),
        Section("Photos", _photos(sizes)),
        *([] if similar is None else [Section("Near-duplicates", _similar(similar, album))]),
        Section(f"What the policy {policy.name} leaves out", _policy(judgments, policy, album)),
    ]


def _glance(judgments: Judgments, pairs: list[JudgedPair], sizes: PhotoSizes) -> list[Block]:
    own = own_captions(judgments)
    both = sum(pair.expert is not None and pair.share is not None for pair in pairs)
    own_pairs = sum(photo_of(pair.caption) == pair.photo for pair in pairs)
    tiles = [
        ("photos", len(judgments.photos), f"{len(sizes.unreadable)} cannot be read"),
        (
            "captions of these photos",
            sum(map(len, own.values())),
            f"{sum(not texts for texts in own.values()):,} photos without any",
        ),
        ("pairs that experts graded", len(judgments.expert), "three grades each"),
        (
            "pairs that the crowd voted on",
            len(judgments.crowd),
            counted(sum(row.yes + row.no for row in judgments.crowd), "vote"),
        ),
        ("pairs with both", both, f"of {counted(len(pairs), 'pair')} in all"),
        ("test queries", len(judgments.queries), f"against {counted(len(judgments.test_photos), 'photo')}"),
    ]
    says = []
    scored = np.array([pair.score for pair in pairs if pair.score is not None])
    if len(scored):
        low, high = float(np.mean(scored < 1 / 3)), float(np.mean(scored > 2 / 3))
        most = ": a model that always says “does not fit” is right most of the time, so plain accuracy says little"
        says.append(
            f"Of {counted(len(scored), 'pair')} with a score {low:.1%} have one below one third and {high:.1%} one "
            f"above two thirds{most if low > 0.5 else ''}."
        )
    if own_pairs:
        says.append(
            f"{counted(own_pairs, 'judged pair')} of a photo and a caption that was written for it: counted here, "
            "while photoseek evaluate leaves those of the experts out."
        )
    if judgments.dropped:
        says.append(f"{judgments.dropped:,} bad rows were dropped as the folder was read.")
    sets = Table(
        "Photo folders and lists of the judged folder; this report looks into the photos counted above.",
        ("name", "photos"),
        [
            (name, len(names))
            for name, names in (*judgments.sets.items(), *((f"list: {s}", n) for s, n in judgments.splits.items()))
        ],
    )
    return [Tiles(tiles), Points(says), sets] if says else [Tiles(tiles), sets]


def _captions(judgments: Judgments) -> list[Block]:
    own = own_captions(judgments)
    texts = [text for some in own.values() for text in some]
    if not texts:
        return [Text(["These photos have no captions."])]
    each = Counter(len(some) for some in own.values())
    words = word_counts(texts)
    lengths = np.array([len(WORD.findall(text)) for text in texts])
    covered = coverage(words)
    half = int(np.searchsorted(covered, 0.9)) + 1
    once = sum(number == 1 for number in words.values())
    copies = sum(number - 1 for number in Counter(text.lower() for text in texts).values())
    frequent = [(word, number, number / sum(words.values())) for word, number in words.most_common(LISTED_WORDS)]
    return [
        Table("Captions per photo", ("captions", "photos"), sorted(each.items())),
        charts.histogram(
            {"captions": lengths},
            np.arange(0, min(LONGEST, int(lengths.max())) + 2) - 0.5,
            f"Words per caption: median {np.median(lengths):.0f}, from {lengths.min()} to {lengths.max()}.",
            f"Histogram of caption lengths in words, median {np.median(lengths):.0f}.",
            "words",
            "captions",
        ),
        charts.lines(
            [charts.Line("coverage", np.arange(1, len(covered) + 1), covered)],
            f"{half:,} of {len(words):,} words make up nine tenths of all words written.",
            f"Rising curve: share of all words that the most frequent words make up; 90% at {half} words.",
            "most frequent words",
            "share of all words",
            log=True,
        ),
        Points(
            [
                f"{len(words):,} different words, {once:,} of them ({once / len(words):.0%}) written only once.",
                f"{copies:,} of {len(texts):,} captions repeat another word for word.",
            ]
        ),
        Table("The most frequent words", ("word", "times", "share of all words"), frequent, digits=4, long=True),
    ]


def _photos(sizes: PhotoSizes) -> list[Block]:
    blocks: list[Block] = []
    if len(sizes.names):
        wide = sizes.width >= sizes.height
        groups = {
            "upright": (sizes.width[~wide], sizes.height[~wide]),
            "lying or square": (sizes.width[wide], sizes.height[wide]),
        }
        sides = Counter(zip(sizes.width.tolist(), sizes.height.tolist(), strict=True)).most_common(8)
        longest = max(sizes.width.max(), sizes.height.max())
        blocks += [
            charts.scatter(
                {name: group for name, group in groups.items() if len(group[0])},
                "Each point is a photo.",
                f"Scatter of photo widths and heights: widths {sizes.width.min()} to {sizes.width.max()}, "
                f"heights {sizes.height.min()} to {sizes.height.max()} pixels.",
                "width, pixels",
                "height, pixels",
            ),
            Table("The most frequent sizes", ("width", "height", "photos"), [(w, h, n) for (w, h), n in sides]),
            Points(
                [
                    f"Files: {', '.join(f'{number:,} {ending}' for ending, number in sizes.endings.most_common())}; "
                    f"{sizes.size.mean() / 1024:.0f} KB on average, {sizes.size.sum() / 2**20:.0f} MB in all.",
                    f"{np.mean(wide):.0%} are at least as wide as high; the longest side has {longest} pixels.",
                ]
            ),
        ]
    if sizes.unreadable:
        blocks.append(Table("Photos that cannot be read", ("photo", "reason"), sizes.unreadable))
    else:
        blocks.append(Text(["Every photo can be read."]))
    return blocks


def _similar(pairs: list[tuple[str, str, float]], album: Album) -> list[Block]:
    says = (
        f"Pairs of photos whose embeddings have a cosine of {SAME_SCENE} or more: {len(pairs):,}. As a rule they show "
        "the same scene, often one burst of a camera. photoseek check says which of them training and test share."
    )
    rows = [(first, second, cosine) for first, second, cosine in pairs]
    seen = [pair for pair in pairs if album.shows(pair[0]) and album.shows(pair[1])][:NEAREST]
    cards = [Card(f"cosine {c:.3f}", [a, b], [album.thumb(a), album.thumb(b)]) for a, b, c in seen]
    blocks: list[Block] = [Text([says])]
    if cards:
        blocks.append(Cards("The nearest that may be shown", cards))
    if rows:
        blocks.append(Table("All of them", ("photo", "other photo", "cosine"), rows, long=True))
    return blocks


def _policy(judgments: Judgments, policy: Policy, album: Album) -> list[Block]:
    removed = removed_by(policy, judgments)
    whole = len(judgments.photos)
    rows = [
        ("captions that name what it protects", removed.naming, removed.naming / max(1, len(judgments.captions))),
        (
            "photos that such a caption or query was written for, or fits by people's judgment",
            removed.photos,
            removed.photos / max(1, whole),
        ),
        (
            "captions left out, with their photos or by themselves",
            removed.captions,
            removed.captions / max(1, len(judgments.captions)),
        ),
        ("expert rows", removed.expert, removed.expert / max(1, len(judgments.expert))),
        ("crowd rows", removed.crowd, removed.crowd / max(1, len(judgments.crowd))),
        ("test queries that a search would block", removed.queries, removed.queries / max(1, len(judgments.queries))),
    ]
    return [
        Text(
            [
                f"photoseek train --policy {policy.name} leaves these out. Only captions are shown here, no photos"
                + ("; no other chapter shows a photo that the policy protects either." if album.policy else ".")
            ]
        ),
        Table("What is left out", ("what", "count", "share"), rows),
        Table("Terms that were found, the first in each caption", ("term", "captions"), removed.terms.most_common(25)),
        Table("Some of the captions, drawn at random", ("caption", "text"), removed.examples),
    ]
