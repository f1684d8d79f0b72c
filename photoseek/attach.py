"""Attach a ranker to an index, with all that its searches need."""

from collections.abc import Callable
from pathlib import Path

from indexer.encoders import is_joint_name, load_text_encoder, open_text_encoder
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.joint_ranker import make_joint_ranker
from reranker.ranker import Ranker
from search.opened_view import load_view_ranker
from search.searcher import Searcher

OnStage = Callable[[str, int, int], None]


def attach_ranker(
    index: Index,
    ranker: Ranker | None = None,
    *,
    anew: bool = False,
    on_stage: OnStage | None = None,
    on_problem: Callable[[str], None] | None = None,
) -> None:
    """Attach a ranker to an index: build its view, export its text encoder, score the photos under the policy.

    `photoseek use` does this. Searches that are open keep the view that they opened.

    Args:
        index: The index, which must hold embeddings of the ranker's image encoder.
        ranker: The ranker to attach. A whole view of it is kept as it is, or gets the rows that it lacks. None for the
            one that `photoseek build` attaches: the attached one, else the shipped one, else a joint encoder's own.
        anew: Whether a view of the same ranker is built again, too, as one that may be damaged.
        on_stage: Called with (stage, done, total) while the view is built and the photos are scored.
        on_problem: Called with a message if the policy's audit log or scores cannot be written. Without it, a
            RuntimeWarning is given.

    Raises:
        PhotoseekError: The ranker belongs to another image encoder, or its text encoder is not the one it was
            trained with, or there is none for the index, or the index has no photos or cannot be written.
    """
    report = on_stage or (lambda stage, done, total: None)
    ranker = ranker or ranker_for(index, on_stage=on_stage)
    if ranker is None:
        raise PhotoseekError(f"index {index.folder}: {no_ranker_advice(index)}")
    index.attach(ranker, lambda done, total: report("ranker's view", done, total), anew=anew)
    # Export the text encoder now, because a search must not have to load torch for it.
    open_text_encoder(ranker.text_encoder, ranker.text_encoder_name).encode(["a photo"])
    if index.policy is None:
        return
    moderation = Searcher(Index.open(index.folder), on_problem=on_problem).moderation
    if moderation is not None:
        moderation.prepare(lambda done, total: report("policy", done, total))


def ranker_for(index: Index, ranker_folder: Path | None = None, on_stage: OnStage | None = None) -> Ranker | None:
    """Choose the ranker that a build attaches: the given one, the attached one, the shipped one, a joint encoder's own.

    Args:
        index: The index.
        ranker_folder: The ranker that the user asked for.
        on_stage: Called with (stage, done, total) while a joint encoder's own ranker is made.

    Returns:
        The ranker; None if none was asked for or attached, none is shipped for the encoder of the index, and the
        encoder is not joint.

    Raises:
        PhotoseekError: The ranker cannot be read, or the text side of a joint encoder cannot be loaded.
    """
    if ranker_folder is not None:
        return Ranker.load(ranker_folder)
    shipped = Ranker.shipped(index.encoder)
    active = index.catalogue.active_view()
    # A shipped ranker is read from the package even if it is attached: its copy in the view may be damaged.
    if active is not None and (shipped is None or active.ranker_id != shipped.id):
        return load_view_ranker(index.folder / "views" / active.id, active.ranker_id)
    name = index.manifest.encoder_name
    if shipped is None and is_joint_name(name):
        report = on_stage or (lambda stage, done, total: None)
        return make_joint_ranker(
            index.encoder, load_text_encoder(name), lambda done, total: report("captions", done, total)
        )
    return shipped


def no_ranker_advice(index: Index) -> str:
    """Return what to tell a user whose index has no ranker, with the command that makes one."""
    return f"no ranker for {index.manifest.encoder_name} yet; train one: {index.manifest.training_command}"
