"""Fit the name gate for words that captions say, and keep it unless it finds fewer validation photos."""

from dataclasses import dataclass

import numpy as np

from reranker.metrics.recall import hits_at_cutoffs, ranks_of_own
from reranker.models.joint_space import candidate_scores
from reranker.training.examples.galleries import Gallery, fold_galleries
from reranker.training.joint_space.cross_fit import JointSpaces
from reranker.training.joint_space.fit_name_gate import (
    GateLists,
    GateSettings,
    caption_lists,
    fit_name_gate,
    name_lists,
    phrase_gate_lists,
)
from reranker.training.set_verdict import worse_sets
from reranker.training.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class _Ranks:
    """Ranks of validation captions among the photos of their own set, of phrases among all: (q,); and whose they are.

    sets: (q,) int, the place of a caption's set; the number of sets for a phrase.
    """

    ranks: np.ndarray
    sets: np.ndarray


def choose_gate(
    data: TrainingData, spaces: JointSpaces, held_out: np.ndarray, settings: GateSettings, seed: int
) -> tuple[np.ndarray, str]:
    """Fit the name gate, and keep the gate that tells names from sentences where that finds more.

    Args:
        data: What the training learns from, n photos.
        spaces: Its joint spaces, with a gate that tells names from sentences.
        held_out: (n,) bool, photos that the gate is validated on.
        settings: How it is fitted.
        seed: Draws queries and photos.

    Returns:
        (e + 7,) float32, the weights of the gate that is kept, and what became of the learned one, in words.
    """
    before = spaces.joint_space.class_names.said_gate
    vocabulary = spaces.vocabulary
    if vocabulary is None or not vocabulary.names:
        return before, "no names"
    embedded, generator = data.embedded, np.random.default_rng(seed)
    lists: list[GateLists] = []
    validation: list[Gallery] = []
    for held, gallery in fold_galleries(embedded, spaces.fold_of, held_out, spaces.fold_spaces):
        if not embedded.sets.teach_space[gallery.photos].all():
            continue
        if held:
            validation.append(gallery)
            continue
        lists.append(caption_lists(embedded, gallery, generator))
        if len(data.phrases):
            lists.append(phrase_gate_lists(data.phrases, gallery, generator))
        lists.append(name_lists(vocabulary, gallery, generator))
    asked = [one for one in lists if len(one.features)]
    if not asked or not validation:
        return before, "too few photos to learn it"
    learned = fit_name_gate(asked, embedded.t.shape[1], settings)
    old = _validation_ranks(data, validation)
    changed = spaces.with_gate(learned)
    again = [
        Gallery.of(embedded, gallery.photos, changed.fold_spaces[int(spaces.fold_of[gallery.photos[0]])])
        for gallery in validation
    ]
    new = _validation_ranks(data, again)
    worse = worse_sets(new.ranks, old.ranks, old.sets, (*embedded.sets.names, "phrases"))
    if hits_at_cutoffs(new.ranks).mean() < hits_at_cutoffs(old.ranks).mean():
        return before, "refused: on validation the learned one finds less than one that tells names from sentences"
    if worse:
        return before, f"refused: on validation queries of {', '.join(worse)} the learned one finds less"
    return learned, "learned"


def _validation_ranks(data: TrainingData, galleries: list[Gallery]) -> _Ranks:
    """Rank by candidate scores the own photo of every caption, and of the photos that a phrase fits the first."""
    embedded = data.embedded
    ranks, sets = [], []
    for gallery in galleries:
        rows, own = gallery.captions(embedded)
        scores = candidate_scores(gallery.encoded_photos, gallery.encode_captions(embedded, rows))
        set_of = embedded.sets.set_of[gallery.photos]
        scores[set_of[own][:, None] != set_of] = -np.inf
        ranks.append(ranks_of_own(scores, own))
        sets.append(set_of[own])
        said = data.phrases.said[:, gallery.photos] > 0
        if said.any():
            scores = candidate_scores(gallery.encoded_photos, data.phrases.texts.encode(gallery.joint_space))
            first = np.where(said, scores, -np.inf).max(axis=1)
            found = (scores > first[:, None]).sum(axis=1)[said.any(axis=1)]
            ranks.append(found)
            sets.append(np.full(len(found), len(embedded.sets.names)))
    return _Ranks(np.concatenate(ranks), np.concatenate(sets))
