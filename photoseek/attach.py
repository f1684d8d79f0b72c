"""Attach a ranker to an index, with all that its searches need."""

from collections.abc import Callable

from indexer.encoders import open_text_encoder
from indexer.index import Index
from reranker.ranker import Ranker
from search.searcher import Searcher

OnStage = Callable[[str, int, int], None]


def attach_ranker(
    index: Index,
    ranker: Ranker,
    *,
    on_stage: OnStage | None = None,
    on_problem: Callable[[str], None] | None = None,
) -> None:
    """Attach a ranker to an index: build its view, export its text encoder, score the photos under the policy.

    `photoseek use` does this. Searches that are open keep the view that they opened.

    Args:
        index: The index, which must hold embeddings of the ranker's image encoder.
        ranker: The ranker to attach. A whole view of it is kept as it is, or gets the rows that it lacks.
        on_stage: Called with (stage, done, total) while the view is built and the photos are scored.
        on_problem: Called with what of the policy's audit log or scores cannot be written; else a RuntimeWarning.

    Raises:
        PhotoseekError: The ranker belongs to another image encoder, or its text encoder is not the one it was
            trained with, or the index has no photos or cannot be written.
    """
    report = on_stage or (lambda stage, done, total: None)
    index.attach(ranker, lambda done, total: report("ranker's view", done, total))
    # Exported now, while torch may be loaded, so that no search has to.
    open_text_encoder(ranker.text_encoder, ranker.text_encoder_name).encode(["a photo"])
    if index.policy is None:
        return
    moderation = Searcher(Index.open(index.folder), on_problem=on_problem).moderation
    if moderation is not None:
        moderation.prepare(lambda done, total: report("policy", done, total))
