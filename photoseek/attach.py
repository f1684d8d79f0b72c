"""Attach a ranker to an index, with all that its searches need."""

from collections.abc import Callable
from pathlib import Path

from indexer.encoders import open_text_encoder
from indexer.index import Index
from reranker.ranker import Ranker
from search.searcher import Searcher, ranker_of

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
        on_problem: Called with a message if the policy's audit log or scores cannot be written. Without it, a
            RuntimeWarning is given.

    Raises:
        PhotoseekError: The ranker belongs to another image encoder, or its text encoder is not the one it was
            trained with, or the index has no photos or cannot be written.
    """
    report = on_stage or (lambda stage, done, total: None)
    index.attach(ranker, lambda done, total: report("ranker's view", done, total))
    # Export the text encoder now, because a search must not have to load torch for it.
    open_text_encoder(ranker.text_encoder, ranker.text_encoder_name).encode(["a photo"])
    if index.policy is None:
        return
    moderation = Searcher(Index.open(index.folder), on_problem=on_problem).moderation
    if moderation is not None:
        moderation.prepare(lambda done, total: report("policy", done, total))


def ranker_for(index: Index, ranker_folder: Path | None = None) -> Ranker | None:
    """Choose the ranker that a build attaches: the given one, else the attached one, else the shipped one.

    Args:
        index: The index.
        ranker_folder: The ranker that the user asked for.

    Returns:
        The ranker; None if none was asked for or attached, and none is shipped for the encoder of the index.

    Raises:
        PhotoseekError: The ranker cannot be read.
    """
    if ranker_folder is not None:
        return Ranker.load(ranker_folder)
    shipped = Ranker.shipped(index.encoder)
    active = index.catalogue.active_view()
    # A shipped ranker is read from the package even if it is attached: its copy in the view may be damaged.
    if active is not None and (shipped is None or active.ranker_id != shipped.id):
        return ranker_of(index.view())
    return shipped
