"""Learn the name gate for words that captions say: whether the class-name head or the map finds the right photos."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.models.class_names import GATE_FEATURES, gate_features
from reranker.models.linear_map import unit
from reranker.models.query_words import CAPTIONED, query_words
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.phrase_examples import Phrases
from reranker.training.joint_space.fit_class_names import TEMPLATES
from reranker.training.joint_space.vocabulary import FittedVocabulary

# Photos of a list: those that fit at most, the first by the map, the first by names, and all with random ones.
FITTING, NEAREST, LIST = 12, 24, 64
# Captions of each set that are asked per gallery.
CAPTIONS = 1000
# The kind of lists whose queries are names of classes.
NAMES = "names"
# Steps of LBFGS.
STEPS = 300


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Settings of fitting the name gate, chosen on held-out training photos.

    Attributes:
        text_penalty: L2 penalty of the weights of the text vector, which are many.
        penalty: L2 penalty of all others. Inputs are standardised.
        scale: Factor of the candidate scores in the loss. With less, far misses count more than what is found first.
        name_weight: Weight of names beside captions and beside phrases. More opens the gate for names that captions say
            as well; up to here captions and phrases lose nothing.
    """

    text_penalty: float = 0.1
    penalty: float = 1e-3
    scale: float = 10.0
    name_weight: float = 4.0


@dataclass(frozen=True, slots=True)
class GateLists:
    """q queries with l photos each.

    Attributes:
        kind: What the queries are.
        features: (q, e + 7) float32, `gate_features`.
        shut: (q, l) float32, candidate scores with the gate shut; far below all others where a list has fewer photos.
        opened: (q, l) float32, what is added to them where it is open.
        targets: (q, l) float32, which photos fit; rows sum to 1.
    """

    kind: str
    features: np.ndarray
    shut: np.ndarray
    opened: np.ndarray
    targets: np.ndarray


def fit_name_gate(lists: Sequence[GateLists], width: int, settings: GateSettings) -> np.ndarray:
    """Fit the gate's weights by a listwise loss.

    A candidate score is `shut + gate * opened`, and `gate = sigmoid(features @ weights)`. The loss is cross-entropy of
    the softmax over each list with the photos that fit. Captions and phrases count alike and names more, however many
    each has.

    Args:
        lists: The queries.
        width: Width of text vectors.
        settings: See `GateSettings`.

    Returns:
        (e + 7,) float32, the weights.
    """
    import torch

    features = np.concatenate([one.features for one in lists])
    shut, opened, targets = (
        torch.from_numpy(np.concatenate([getattr(one, name) for one in lists]))
        for name in ("shut", "opened", "targets")
    )
    kinds = np.concatenate([np.full(len(one.features), one.kind) for one in lists])
    known, of_kind, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    shares = np.where(known == NAMES, settings.name_weight, 1.0)
    weight = torch.from_numpy((shares / shares.sum() / counts)[of_kind].astype(np.float32))
    spread = features.std(axis=0)
    # One spread for all of the text vector, whose entries are of one kind.
    spread[:width] = spread[:width].mean()
    spread = np.maximum(spread, 1e-6)
    bias = width + GATE_FEATURES.index("bias")
    middle = features.mean(axis=0)
    spread[bias], middle[bias] = 1, 0
    inputs = torch.from_numpy((features - middle) / spread)
    penalty = torch.full((features.shape[1],), settings.penalty)
    penalty[:width] = settings.text_penalty
    penalty[bias] = 0
    weights = torch.zeros(features.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> "torch.Tensor":
        optimizer.zero_grad()
        scores = shut + torch.sigmoid(inputs @ weights)[:, None] * opened
        of_lists = -(targets * torch.log_softmax(settings.scale * scores, dim=1)).sum(dim=1)
        value = (weight * of_lists).sum() + (penalty * weights**2).sum()
        value.backward()
        return value

    optimizer.step(loss)
    found = weights.detach().numpy() / spread
    found[bias] -= float(found @ middle)
    return np.asarray(found, np.float32)


def caption_lists(embedded: EmbeddedJudgments, gallery: Gallery, generator: np.random.Generator) -> GateLists:
    """List captions of every set with their own photo.

    Args:
        embedded: The judged data.
        gallery: The photos.
        generator: Draws captions and photos.
    """
    rows, own = gallery.captions(embedded)
    sets = embedded.sets.set_of[embedded.owner[rows]]
    chosen = [generator.permutation(np.flatnonzero(sets == one))[:CAPTIONS] for one in np.unique(sets)]
    asked = np.sort(np.concatenate(chosen))
    fits = np.zeros((len(asked), len(gallery.photos)), bool)
    fits[np.arange(len(asked)), own[asked]] = True
    texts = [embedded.texts[row] for row in rows[asked]]
    return _lists("captions", gallery, texts, unit(embedded.t[rows[asked]]), fits, generator)


def phrase_gate_lists(phrases: Phrases, gallery: Gallery, generator: np.random.Generator) -> GateLists:
    """List words and phrases with photos whose captions say them.

    Args:
        phrases: The phrases.
        gallery: The photos.
        generator: Draws photos.
    """
    said = phrases.said[:, gallery.photos] > 0
    asked = np.flatnonzero(said.any(axis=1))
    texts = phrases.texts.take(asked)
    return _lists("phrases", gallery, list(texts.texts), unit(texts.t), said[asked], generator)


def name_lists(vocabulary: FittedVocabulary, gallery: Gallery, generator: np.random.Generator) -> GateLists:
    """List names of classes, with the place of the class as a photo.

    Of such a photo the map knows nothing: it has the mean score of all photos.

    Args:
        vocabulary: The class names.
        gallery: Other photos.
        generator: Draws photos.
    """
    head, space = gallery.joint_space.class_names, gallery.joint_space
    names = [name for of_class in vocabulary.names for name in of_class]
    numbers = np.arange(len(names))
    # Each name is asked in one template, by turns.
    templates = numbers % len(TEMPLATES)
    texts = [TEMPLATES[template].format(name) for name, template in zip(names, templates.tolist(), strict=True)]
    t = vocabulary.vectors[numbers * len(TEMPLATES) + templates]
    similarity = t @ head.keys.T
    places = head.places(similarity, space.settings.class_names)
    shut, opened = _both_scores(gallery, texts, t, places)
    weights = space.settings.heads
    own = weights.class_names * np.einsum("ij,ij->i", places, head.values[numbers])
    hub = weights.hubness * gallery.encoded_photos.hubness.mean()
    shut = np.concatenate([shut, shut.mean(axis=1, keepdims=True)], axis=1)
    opened = np.concatenate([opened, (own + hub)[:, None]], axis=1)
    fits = np.zeros(shut.shape, bool)
    fits[:, -1] = True
    words = query_words(texts, space.lexical, space.known_words)
    features = gate_features(t, similarity, words, space.settings.class_names)
    return _of_said_words(words, _drawn_lists(NAMES, features, shut, opened, fits, generator))


def _lists(
    kind: str, gallery: Gallery, texts: list[str], t: np.ndarray, fits: np.ndarray, generator: np.random.Generator
) -> GateLists:
    """List queries of unit text vectors t (q, e); fits: (q, n) bool."""
    space = gallery.joint_space
    similarity = t @ space.class_names.keys.T
    places = space.class_names.places(similarity, space.settings.class_names)
    shut, opened = _both_scores(gallery, texts, t, places)
    words = query_words(texts, space.lexical, space.known_words)
    features = gate_features(t, similarity, words, space.settings.class_names)
    return _of_said_words(words, _drawn_lists(kind, features, shut, opened, fits, generator))


def _of_said_words(words: np.ndarray, lists: GateLists) -> GateLists:
    """Keep the queries all of whose words captions say; words: (q, 4), of `query_words`."""
    said = words[:, CAPTIONED] >= 1
    return GateLists(lists.kind, lists.features[said], lists.shut[said], lists.opened[said], lists.targets[said])


def _both_scores(
    gallery: Gallery, texts: list[str], t: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute candidate scores with the gate shut, and what an open gate adds: (q, n) each."""
    space, photos = gallery.joint_space, gallery.encoded_photos
    k, r, _ = space.widths
    weights = space.settings.heads
    q, meaning = space.lexical.mapped(space.map, t, texts), space.meaning.texts(t)
    shut = q @ photos.z[:, :k].T + weights.meaning * (meaning @ photos.z[:, k : k + r].T)
    taken = weights.hubness * photos.hubness
    return shut - taken, weights.class_names * (places @ photos.z[:, k + r :].T) + taken


def _drawn_lists(
    kind: str,
    features: np.ndarray,
    shut: np.ndarray,
    opened: np.ndarray,
    fits: np.ndarray,
    generator: np.random.Generator,
) -> GateLists:
    """Draw the photos of each list: some that fit, the first that do not by the map and by names, and random ones."""
    photos = shut.shape[1]
    nearest = min(NEAREST, photos)
    both = shut + opened
    rows = np.full((len(shut), LIST), -1, np.int64)
    targets = np.zeros((len(shut), LIST), np.float32)
    for query, of_query in enumerate(fits):
        own = generator.permutation(np.flatnonzero(of_query))[:FITTING]
        first = [np.argpartition(-scores[query], nearest - 1)[:nearest] for scores in (shut, both)]
        others = np.unique(np.concatenate([*first, generator.integers(0, photos, LIST - FITTING - 2 * NEAREST)]))
        listed = np.concatenate([own, others[~of_query[others]]])[:LIST]
        rows[query, : len(listed)] = listed
        targets[query, : len(own)] = 1 / len(own)
    missing = rows < 0
    shut, opened = (np.take_along_axis(scores, np.maximum(rows, 0), axis=1) for scores in (shut, opened))
    shut, opened = np.where(missing, -100, shut), np.where(missing, 0, opened)
    return GateLists(kind, features.astype(np.float32), shut.astype(np.float32), opened.astype(np.float32), targets)
