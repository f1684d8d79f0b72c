"""What is in a judged data set: judgments and photo files -> tables that a report shows (`reports/explored.py`)."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.errors import PhotoseekError
from indexer.photos.decode import MAX_PIXELS, UnreadablePhoto, open_upright
from reranker.judgments.aggregate import expert_majority, expert_mean, weighted
from reranker.judgments.embedded import read_photos
from reranker.judgments.judged_folder import Judgments, photo_of
from reranker.judgments.near_duplicates import near_duplicates
from reranker.models.lexical_features import WORD
from reranker.moderation.policy import Policy

Progress = Callable[[int, int], None]

# The sets that explore looks into, if the folder has them: what people judged and what is asked.
JUDGED_SETS = ("train_images", "test_images")
# Half of the way between two of the scores that the report has examples of.
NEAR = 0.125


@dataclass(frozen=True, slots=True)
class Pair:
    """A photo and a caption with what people said of them: the experts' mean grade from 1..4 as 0..1, their majority
    (None where all differ), the crowd's share of yes and its votes, the generalised score. None: nobody was asked."""

    photo: str
    caption: str
    expert: float | None
    majority: float | None
    share: float | None
    votes: int
    score: float | None

    @property
    def apart(self) -> float:
        """How far experts and crowd are apart, 0..1; 0 where only one side was asked."""
        return 0.0 if self.expert is None or self.share is None else abs(self.expert - self.share)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Photos as files: width and height (n,) of the upright photo, bytes (n,), endings; `unreadable` (name, reason)."""

    names: tuple[str, ...]
    width: np.ndarray
    height: np.ndarray
    size: np.ndarray
    endings: Counter[str]
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """What a policy leaves out of training: photos, captions that name what it protects, captions of those photos,
    judged pairs; `terms` says in how many captions each term is the first that is found, `examples` are captions as
    (id, text)."""

    photos: int
    naming: int
    captions: int
    expert: int
    crowd: int
    queries: int
    terms: Counter[str]
    examples: tuple[tuple[str, str], ...]


def looked_at(judgments: Judgments, photo_set: str | None) -> Judgments:
    """Only the photos of one set; without a name those of the judged and the test set, else all.

    Queries stay where their photos do. Raises PhotoseekError for a set that the folder lacks.
    """
    if photo_set is not None and photo_set not in judgments.sets:
        sets = ", ".join(judgments.sets)
        raise PhotoseekError(f"judged data {judgments.folder}: no photo folder {photo_set}; there are: {sets}")
    wanted = [photo_set] if photo_set is not None else [name for name in JUDGED_SETS if judgments.sets.get(name)]
    names = {name for one in wanted for name in judgments.sets[one]} or set(judgments.photos)
    return judgments.restrict(names)


def judged_pairs(judgments: Judgments) -> list[Pair]:
    """Every pair that anyone judged, in the order of photo and caption; a pair judged twice has its last judgment."""
    expert = {(row.photo, row.caption): row.grades for row in judgments.expert}
    crowd = {(row.photo, row.caption): row for row in judgments.crowd}
    pairs = []
    for photo, caption in sorted({**expert, **crowd}):
        grades, row = expert.get((photo, caption)), crowd.get((photo, caption))
        majority = None if grades is None else expert_majority(grades)
        share = None if row is None else row.share
        mean = None if grades is None else expert_mean(grades)
        votes = 0 if row is None else row.yes + row.no
        pairs.append(Pair(photo, caption, mean, majority, share, votes, weighted(majority, share)))
    return pairs


def disagreements(pairs: Iterable[Pair]) -> list[Pair]:
    """Pairs that both sides judged, those first on which they are furthest apart; more votes first among equals."""
    both = [pair for pair in pairs if pair.expert is not None and pair.share is not None]
    return sorted(both, key=lambda pair: (-round(pair.apart, 9), -pair.votes, pair.photo, pair.caption))


def at_scores(pairs: Iterable[Pair], wanted: Sequence[float], count: int) -> dict[float, list[Pair]]:
    """`count` pairs of other photos' captions that are nearest to each score, within NEAR; no photo twice
    for one score.

    Pairs with both judgments come first. What is drawn among equals is the same every time.
    """
    foreign = [pair for pair in pairs if pair.score is not None and photo_of(pair.caption) != pair.photo]
    place = np.random.default_rng(0).permutation(len(foreign))
    found = {}
    for score in wanted:
        nearest = sorted(
            range(len(foreign)),
            key=lambda i: (
                round(abs((foreign[i].score or 0.0) - score), 2),
                foreign[i].expert is None or foreign[i].share is None,
                place[i],
            ),
        )
        chosen: dict[str, Pair] = {}
        for row in nearest:
            if len(chosen) == count or abs((foreign[row].score or 0.0) - score) > NEAR:
                break
            chosen.setdefault(foreign[row].photo, foreign[row])
        found[score] = list(chosen.values())
    return found


def photo_sizes(judgments: Judgments, on_progress: Progress | None = None) -> Sizes:
    """Decode every photo once, at an eighth of its size where its format can, and note what cannot be read."""
    names, sides, sizes, unreadable = [], [], [], []
    endings: Counter[str] = Counter()
    for number, (name, path) in enumerate(judgments.photos.items()):
        if on_progress is not None:
            on_progress(number, len(judgments.photos))
        endings[path.suffix.lower()] += 1
        try:
            data = path.read_bytes()
            _, side = open_upright(data, MAX_PIXELS, at_least=1)
        except UnreadablePhoto as error:
            unreadable.append((name, str(error)))
        except Exception as error:  # Pillow's plugins raise a dozen kinds on broken data
            unreadable.append((name, str(error) or type(error).__name__))
        else:
            names.append(name)
            sides.append(side)
            sizes.append(len(data))
    if on_progress is not None:
        on_progress(len(judgments.photos), len(judgments.photos))
    width, height = np.array(sides, np.int64).reshape(-1, 2).T
    return Sizes(tuple(names), width, height, np.array(sizes, np.int64), endings, tuple(unreadable))


def alike(
    judgments: Judgments, encoder: ImageEncoder, on_progress: Progress | None = None
) -> list[tuple[str, str, float]]:
    """Pairs of photos that show one scene, as `near_duplicates` finds them: (name, other name, cosine), nearest first.

    Photos that do not open are left out. Embeddings come through the cache, which training then reads."""
    found, _ = read_photos(list(judgments.photos.values()), encoder, on_progress)
    names = [name for name, path in judgments.photos.items() if path in found]
    if not names:
        return []
    x = np.stack([found[judgments.photos[name]][0] for name in names])
    return [(names[a], names[b], cosine) for a, b, cosine in near_duplicates(x)]


def own_captions(judgments: Judgments) -> dict[str, list[str]]:
    """Photo -> the texts of its own captions; a test photo's queries are its captions where it has no others."""
    found: dict[str, list[str]] = {name: [] for name in judgments.photos}
    for caption, text in judgments.captions.items():
        if photo_of(caption) in found:
            found[photo_of(caption)].append(text)
    lacking = {name for name, texts in found.items() if not texts}
    for query in judgments.queries:
        if query.photo in lacking:
            found[query.photo].append(query.text)
    return found


def vocabulary(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs; a word is a run of letters, its case ignored."""
    return Counter(word for text in texts for word in WORD.findall(text.lower()))


def coverage(words: Counter[str]) -> np.ndarray:
    """(v,): share of all word occurrences that the 1, 2, ... v most frequent words make up."""
    counts = np.array(sorted(words.values(), reverse=True), np.float64)
    return counts.cumsum() / max(1.0, counts.sum())


def removed_by(policy: Policy, judgments: Judgments, examples: int = 12) -> Removed:
    """What `Policy.filter` takes out of judged data, and why. Examples are drawn the same every time."""
    found = {caption: policy.find(text) for caption, text in judgments.captions.items()}
    naming = [(caption, judgments.captions[caption]) for caption, finding in found.items() if finding is not None]
    kept = policy.filter(judgments)
    terms = Counter(finding.term for finding in found.values() if finding is not None)
    drawn = np.random.default_rng(0).permutation(len(naming))[:examples]
    return Removed(
        photos=len(judgments.photos) - len(kept.photos),
        naming=len(naming),
        captions=len(judgments.captions) - len(kept.captions),
        expert=len(judgments.expert) - len(kept.expert),
        crowd=len(judgments.crowd) - len(kept.crowd),
        queries=sum(policy.blocks(query.text) for query in judgments.queries),
        terms=terms,
        examples=tuple(naming[i] for i in sorted(drawn.tolist())),
    )
