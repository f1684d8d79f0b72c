"""Train the ranking MLP, and keep it if it finds more validation photos than the ranking that it would replace."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reranker.judgments.embedded import EmbeddedJudgments
from reranker.metrics.recall import ranks_of_own, recall_at
from reranker.models.mlp import MLP
from reranker.models.ranking_settings import HeadWeights
from reranker.training import OnStage
from reranker.training.examples.collect_examples import TrainingExamples
from reranker.training.examples.galleries import Gallery
from reranker.training.examples.scored_queries import score_captions
from reranker.training.fit_mlp import MLPExamples, MLPSettings, candidate_mlp, fit_mlp, start_mlp

# Recall at these cutoffs is added up to compare rankings, and reported.
CUTOFFS = (1, 5, 10)


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
        galleries: Validation photos; every caption of theirs is asked.
        base: The ranking MLP that would be replaced; None for the candidates' own ranking.
        learned: The learned ranking MLP.

    Returns:
        The learned ranking, or `base` where its recall@1 + 5 + 10 is higher.
    """
    ranks: dict[str, list[np.ndarray]] = {"candidates": [], "before": [], "reranked": []}
    for gallery in galleries:
        scored = score_captions(embedded, gallery, learned)
        own = scored.fits.argmax(axis=1)
        ranks["candidates"].append(ranks_of_own(scored.candidate_scores, own))
        ranks["reranked"].append(ranks_of_own(scored.ranking_scores, own))
        if base is None:
            before = scored.candidate_scores
        else:
            before = score_captions(embedded, gallery, base).ranking_scores
        ranks["before"].append(ranks_of_own(before, own))
    joined = {name: np.concatenate(found) for name, found in ranks.items()}
    total = {name: sum(recall_at(found, k) for k in CUTOFFS) for name, found in joined.items()}
    better = total["reranked"] >= total["before"]
    kept = {"candidates": joined["candidates"], "reranked": joined["reranked" if better else "before"]}
    recalls = {f"{name}_recall@{k}": round(recall_at(kept[name], k), 4) for name in kept for k in CUTOFFS}
    if better:
        return RankingChoice(learned, "learned", recalls)
    verdict = (
        f"refused: on validation the learned one finds less (recall@1 + 5 + 10 {total['reranked']:.3f}) than "
        f"{'the candidates' if base is None else 'the base'} ({total['before']:.3f})"
    )
    return RankingChoice(base, verdict, recalls)
