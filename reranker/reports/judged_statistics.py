"""Statistics of judged data for its report: pairs, photo sizes, similar photos, words, and the effect of a policy."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.errors import PhotoseekError
from indexer.photos.decode import MAX_PIXELS, UnreadablePhotoError, decode_upright
from reranker.judgments.aggregate import expert_majority, expert_mean, weighted
from reranker.judgments.embedded import read_photos
from reranker.judgments.judgments import Judgments, photo_of
from reranker.judgments.near_duplicates import near_duplicates
from reranker.models.lexical_features import WORD
from reranker.moderation.policy import Policy

Progress = Callable[[int, int], None]

# Photo folders of the report unless one is asked for: what people judged and what the queries are about.
JUDGED_SETS = ("train_images", "test_images")
# Largest distance of an example from its score: half of the way to the next score that the report shows.
NEAR = 0.125


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """A photo and a caption with their judgments; None where nobody was asked.

    Attributes:
        photo: Name of the photo.
        caption: Id of the caption.
        expert: The experts' mean grade, scaled from 1..4 to 0..1.
        majority: The experts' majority grade, scaled alike; None where all three differ too.
        share: The crowd's share of yes, in 0..1.
        votes: Number of votes of the crowd.
        score: The generalised score, in 0..1.
    """

    photo: str
    caption: str
    expert: float | None
    majority: float | None
    share: float | None
    votes: int
    score: float | None

    @property
    def disagreement(self) -> float:
        """Difference of experts and crowd, in 0..1; 0 where only one side was asked."""
        return 0.0 if self.expert is None or self.share is None else abs(self.expert - self.share)


@dataclass(frozen=True, slots=True)
class PhotoSizes:
    """Sizes of photos and of their files.

    Attributes:
        names: Names of the n photos that can be read.
        width: (n,) int64, pixels of the upright photo.
        height: (n,) int64, pixels of the upright photo.
        size: (n,) int64, bytes of the file.
        endings: File ending -> number of files, those that cannot be read too.
        unreadable: (name, reason) of each photo that cannot be read.
    """

    names: tuple[str, ...]
    width: np.ndarray
    height: np.ndarray
    size: np.ndarray
    endings: Counter[str]
    unreadable: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RemovedByPolicy:
    """Number of photos, captions and judgments that a policy leaves out of training.

    Attributes:
        photos: Photos left out.
        naming: Captions that name what the policy protects.
        captions: Captions left out, with their photos or by themselves.
        expert: Pairs with experts' grades left out.
        crowd: Pairs with the crowd's votes left out.
        queries: Test queries that a search would block.
        terms: Term -> number of captions in which it is the first that is found.
        examples: (id, text) of some of the captions that name what the policy protects.
    """

    photos: int
    naming: int
    captions: int
    expert: int
    crowd: int
    queries: int
    terms: Counter[str]
    examples: tuple[tuple[str, str], ...]


def select_photos(judgments: Judgments, photo_set: str | None) -> Judgments:
    """Select the photos that a report is about.

    Args:
        judgments: The judged data.
        photo_set: Name of a photo folder; None for those of `JUDGED_SETS` that are there, or all photos if none is.

    Returns:
        The judged data of these photos alone.

    Raises:
        PhotoseekError: There is no such photo folder.
    """
    if photo_set is not None and photo_set not in judgments.sets:
        sets = ", ".join(judgments.sets)
        raise PhotoseekError(f"judged data {judgments.folder}: no photo folder {photo_set}; there are: {sets}")
    wanted = [photo_set] if photo_set is not None else [name for name in JUDGED_SETS if judgments.sets.get(name)]
    names = {name for one in wanted for name in judgments.sets[one]} or set(judgments.photos)
    return judgments.restrict(names)


def judged_pairs(judgments: Judgments) -> list[JudgedPair]:
    """List every pair that anyone judged.

    Args:
        judgments: The judged data.

    Returns:
        The pairs, sorted by photo and caption; of a pair that was judged twice, the last judgment.
    """
    expert = {(row.photo, row.caption): row.grades for row in judgments.expert}
    crowd = {(row.photo, row.caption): row for row in judgments.crowd}
    pairs = []
    for photo, caption in sorted({**expert, **crowd}):
        grades, row = expert.get((photo, caption)), crowd.get((photo, caption))
        majority = None if grades is None else expert_majority(grades)
        share = None if row is None else row.share
        mean = None if grades is None else expert_mean(grades)
        votes = 0 if row is None else row.yes + row.no
        pairs.append(JudgedPair(photo, caption, mean, majority, share, votes, weighted(majority, share)))
    return pairs


def by_disagreement(pairs: Iterable[JudgedPair]) -> list[JudgedPair]:
    """Sort the pairs that both experts and crowd judged by how much the two disagree.

    Args:
        pairs: Judged pairs.

    Returns:
        The pairs with both judgments, the largest disagreement first; more votes first among equals.
    """
    both = [pair for pair in pairs if pair.expert is not None and pair.share is not None]
    return sorted(both, key=lambda pair: (-round(pair.disagreement, 9), -pair.votes, pair.photo, pair.caption))


def nearest_to_scores(
    pairs: Iterable[JudgedPair], scores: Sequence[float], count: int
) -> dict[float, list[JudgedPair]]:
    """Find example pairs of nearly the given scores.

    A pair of a photo and a caption of its own is no example. Pairs with both judgments are preferred, and the choice
    among equals is random but the same every time.

    Args:
        pairs: Judged pairs.
        scores: Generalised scores in 0..1.
        count: Examples per score, at most.

    Returns:
        Score -> the nearest pairs within `NEAR`, no photo twice.
    """
    foreign = [pair for pair in pairs if pair.score is not None and photo_of(pair.caption) != pair.photo]
    place = np.random.default_rng(0).permutation(len(foreign))
    found = {}
    for score in scores:
        nearest = sorted(
            range(len(foreign)),
            key=lambda i: (
                round(abs((foreign[i].score or 0.0) - score), 2),
                foreign[i].expert is None or foreign[i].share is None,
                place[i],
            ),
        )
        chosen: dict[str, JudgedPair] = {}
        for row in nearest:
            if len(chosen) == count or abs((foreign[row].score or 0.0) - score) > NEAR:
                break
            chosen.setdefault(foreign[row].photo, foreign[row])
        found[score] = list(chosen.values())
    return found


def photo_sizes(judgments: Judgments, on_progress: Progress | None = None) -> PhotoSizes:
    """Measure every photo and note which cannot be read; JPEG is decoded at an eighth of its size.

    Args:
        judgments: The judged data.
        on_progress: Called with (photos done, photos in all).

    Returns:
        The sizes.
    """
    names, sides, sizes, unreadable = [], [], [], []
    endings: Counter[str] = Counter()
    for number, (name, path) in enumerate(judgments.photos.items()):
        if on_progress is not None:
            on_progress(number, len(judgments.photos))
        endings[path.suffix.lower()] += 1
        try:
            data = path.read_bytes()
            _, side, _ = decode_upright(data, MAX_PIXELS, min_side=1)
        except UnreadablePhotoError as error:
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
    return PhotoSizes(tuple(names), width, height, np.array(sizes, np.int64), endings, tuple(unreadable))


def similar_photos(
    judgments: Judgments, encoder: ImageEncoder, on_progress: Progress | None = None
) -> list[tuple[str, str, float]]:
    """Find pairs of photos that show the same scene, as `near_duplicates` does.

    Photos that cannot be read are left out. Embeddings are kept in the cache, where training finds them.

    Args:
        judgments: The judged data.
        encoder: The image encoder.
        on_progress: Called with (photos done, photos in all).

    Returns:
        (name, name of the other photo, cosine), the largest cosine first.
    """
    found = read_photos(list(judgments.photos.values()), encoder, on_progress)
    names = [name for name, path in judgments.photos.items() if path in found.embeddings]
    if not names:
        return []
    x = np.stack([found.embeddings[judgments.photos[name]] for name in names])
    return [(names[a], names[b], cosine) for a, b, cosine in near_duplicates(x)]


def own_captions(judgments: Judgments) -> dict[str, list[str]]:
    """List the captions that were written for each photo.

    Args:
        judgments: The judged data.

    Returns:
        Photo -> the texts of its captions; of a photo without captions, the texts of its test queries.
    """
    found: dict[str, list[str]] = {name: [] for name in judgments.photos}
    for caption, text in judgments.captions.items():
        if photo_of(caption) in found:
            found[photo_of(caption)].append(text)
    lacking = {name for name, texts in found.items() if not texts}
    for query in judgments.queries:
        if query.photo in lacking:
            found[query.photo].append(query.text)
    return found


def word_counts(texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts; a word is a run of letters, in lower case."""
    return Counter(word for text in texts for word in WORD.findall(text.lower()))


def coverage(words: Counter[str]) -> np.ndarray:
    """Compute how much of all text the most frequent words make up.

    Args:
        words: Word -> number of times it occurs.

    Returns:
        (words,) float64, the share of all occurrences that the 1, 2, ... most frequent words make up.
    """
    counts = np.array(sorted(words.values(), reverse=True), np.float64)
    return counts.cumsum() / max(1.0, counts.sum())


def removed_by(policy: Policy, judgments: Judgments, examples: int = 12) -> RemovedByPolicy:
    """Count what a policy takes out of judged data.

    Args:
        policy: The policy.
        judgments: The judged data.
        examples: Captions to draw as examples; the same ones every time.

    Returns:
        The counts.
    """
    found = {caption: policy.find(text) for caption, text in judgments.captions.items()}
    naming = [(caption, judgments.captions[caption]) for caption, finding in found.items() if finding is not None]
    kept = policy.filter(judgments)
    terms = Counter(finding.term for finding in found.values() if finding is not None)
    drawn = np.random.default_rng(0).permutation(len(naming))[:examples]
    return RemovedByPolicy(
        photos=len(judgments.photos) - len(kept.photos),
        naming=len(naming),
        captions=len(judgments.captions) - len(kept.captions),
        expert=len(judgments.expert) - len(kept.expert),
        crowd=len(judgments.crowd) - len(kept.crowd),
        queries=sum(policy.blocks(query.text) for query in judgments.queries),
        terms=terms,
        examples=tuple(naming[i] for i in sorted(drawn.tolist())),
    )
