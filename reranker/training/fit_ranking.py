"""Train the ranking MLP, and keep it if it finds more validation photos than the ranking that it would replace."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from reranker.gallery_ranking import GalleryPhotos, GalleryQueries, rank_gallery
from reranker.judgments.embedded import EmbeddedJudgments
from reranker.metrics.recall import CUTOFFS, hits_at_cutoffs, ranks_of_own, recall_at
from reranker.models.calibration import Calibration
from reranker.models.mlp import MLP
from reranker.models.no_match import FEATURE_NAMES, NoMatchClassifier
from reranker.models.ranking_settings import HeadWeights
from reranker.ranker import Ranker
from reranker.training import OnStage
from reranker.training.examples.collect_examples import TrainingExamples
from reranker.training.examples.galleries import Gallery
from reranker.training.fit_mlp import MLPExamples, MLPSettings, candidate_mlp, fit_mlp, start_mlp
from reranker.training.set_verdict import worse_sets


@dataclass(frozen=True, slots=True)
class FittedRanking:
    """The ranking of a training.

    Attributes:
        mlp: The ranking MLP.
        verdict: Whether the learned one is kept, in words.
        losses: Its validation losses; None where the base's was kept without learning.
        recalls: Recall on validation photos, by name; empty where nothing was learned.
    """

    mlp: MLP
    verdict: str
    losses: tuple[float, ...] | None
    recalls: dict[str, float]


@dataclass(frozen=True, slots=True)
class RankingChoice:
    """The ranking that is kept.

    Attributes:
        mlp: Its MLP; None is the candidates' own ranking.
        verdict: "learned", or why the learned one is refused.
        recalls: Recall at 1, 5 and 10 of the candidates and of the kept ranking, by name.
    """

    mlp: MLP | None
    verdict: str
    recalls: dict[str, float]


def fit_ranking(
    embedded: EmbeddedJudgments,
    examples: TrainingExamples,
    before: MLP | None,
    settings: MLPSettings,
    heads: HeadWeights,
    seed: int,
    on_stage: OnStage,
) -> FittedRanking:
    """Train the ranking MLP, and keep it unless it finds fewer validation photos than what it would replace.

    Args:
        embedded: The judged data.
        examples: What the MLP learns from.
        before: The ranking MLP of the ranker that is fine-tuned, which is the start; None where none is.
        settings: How the MLP is trained.
        heads: The weights of the candidate score, for a ranking that is the candidates' own.
        seed: Draws everything that is random.
        on_stage: Called with ("order", done, total).

    Returns:
        The ranking that is kept.
    """
    x, t = embedded.x, examples.text_vectors
    # A base that was left with the candidates' own ranking has no network to go on with.
    if before is not None and before.reads_vectors:
        start = before
    else:
        start = start_mlp(x.shape[1], t.shape[1], examples.ranking_train, seed)
    fitted = fit_mlp(
        start,
        MLPExamples(x, t, examples.ranking_train, examples.ranking_validation),
        settings,
        listwise=True,
        seed=seed,
        on_progress=lambda done, total: on_stage("order", done, total),
    )
    choice = keep_better_ranking(embedded, examples.galleries, before, fitted.mlp)
    kept = candidate_mlp(x.shape[1], t.shape[1], heads) if choice.mlp is None else choice.mlp
    return FittedRanking(kept, choice.verdict, fitted.losses, choice.recalls)


def keep_better_ranking(
    embedded: EmbeddedJudgments, galleries: Sequence[Gallery], base: MLP | None, learned: MLP
) -> RankingChoice:
    """Keep a learned ranking unless it finds fewer validation photos than the one that it would replace.

    Args:
        embedded: The judged data.
        galleries: Validation photos; every caption of theirs is asked among the photos of its own set.
        base: The ranking MLP that would be replaced; None for the candidates' own ranking.
        learned: The learned ranking MLP.

    Returns:
        The learned ranking; `base` where its recall@1 + 5 + 10 is higher over all captions, or higher on any one set by
        more than chance.
    """
    ranks: dict[str, list[np.ndarray]] = {"candidates": [], "before": [], "reranked": []}
    sets: list[np.ndarray] = []
    for gallery in galleries:
        for place in np.unique(embedded.sets.set_of[gallery.photos]):
            of_set = gallery.photos[embedded.sets.set_of[gallery.photos] == place]
            if len(of_set) < 2:
                continue
            asked = _SetQueries.of(embedded, gallery, of_set)
            found = asked.ranks(learned)
            ranks["candidates"].append(found[0])
            ranks["reranked"].append(found[1])
            ranks["before"].append(found[0] if base is None else asked.ranks(base)[1])
            sets.append(np.full(len(found[0]), place))
    if not sets:
        return RankingChoice(base, "refused: no set has two photos to validate it on", {})
    joined = {name: np.concatenate(parts) for name, parts in ranks.items()}
    worse = worse_sets(joined["reranked"], joined["before"], np.concatenate(sets), embedded.sets.names)
    total = {name: hits_at_cutoffs(found).mean() for name, found in joined.items()}
    kept_name = "reranked"
    verdict = "learned"
    replaced = "the candidates" if base is None else "the base"
    if total["reranked"] < total["before"]:
        kept_name = "before"
        verdict = (
            f"refused: on validation the learned one finds less (recall@1 + 5 + 10 {total['reranked']:.3f}) than "
            f"{replaced} ({total['before']:.3f})"
        )
    elif worse:
        kept_name = "before"
        verdict = f"refused: on validation photos of {', '.join(worse)} the learned one finds less than {replaced}"
    kept = {"candidates": joined["candidates"], "reranked": joined[kept_name]}
    recalls = {f"{name}_recall@{k}": round(recall_at(kept[name], k), 4) for name in kept for k in CUTOFFS}
    return RankingChoice(learned if kept_name == "reranked" else base, verdict, recalls)


@dataclass(frozen=True, slots=True)
class _SetQueries:
    """Photos of one set in a gallery, with their captions as queries.

    ranker: a ranker of the gallery's space, for any ranking MLP; own: (q,) each caption's photo.
    """

    ranker: Ranker
    photos: GalleryPhotos
    queries: GalleryQueries
    own: np.ndarray

    @classmethod
    def of(cls, embedded: EmbeddedJudgments, gallery: Gallery, photos: np.ndarray) -> "_SetQueries":
        rows, own = gallery.captions(embedded)
        inside = np.isin(gallery.photos[own], photos)
        rows, own = rows[inside], np.searchsorted(photos, gallery.photos[own[inside]])
        regions = None if embedded.regions is None else embedded.regions[photos]
        texts = [embedded.texts[row] for row in rows]
        queries = GalleryQueries(texts, embedded.t[rows], embedded.tokens.select(rows))
        return cls(_bare_ranker(embedded, gallery), GalleryPhotos(embedded.x[photos], regions), queries, own)

    def ranks(self, ranking_mlp: MLP) -> tuple[np.ndarray, np.ndarray]:
        """Return the rank of each caption's photo among the candidates and after reranking: (q,) each."""
        found = rank_gallery(replace(self.ranker, ranking_mlp=ranking_mlp), self.photos, self.queries)
        return ranks_of_own(found.candidate_scores, self.own), ranks_of_own(found.ranking_scores, self.own)


def _bare_ranker(embedded: EmbeddedJudgments, gallery: Gallery) -> Ranker:
    """Return a ranker that ranks, and whose relevance is not looked at."""
    blank = candidate_mlp(embedded.x.shape[1], embedded.t.shape[1], gallery.joint_space.settings.heads)
    no_match = NoMatchClassifier((0.0,) * len(FEATURE_NAMES), 0.0, 0.0)
    return Ranker("", "", "", gallery.joint_space, blank, blank, Calibration(), no_match)
