"""Open the view that searches use; where an index has none, as after an interrupted build, make one first."""

import shutil
import tempfile
import weakref
from pathlib import Path

from indexer.errors import PhotoseekError, says_withheld
from indexer.index import Index
from indexer.storage.atomic_files import explain_disk_errors
from indexer.views.ann_settings import AnnSettings
from indexer.views.build import build_view
from indexer.views.view import View, open_view
from indexer.views.view_files import RANKER, damaged_view
from reranker.ranker import Ranker

# Whatever its size, a view for one process scores every row: lists take longer to build than they save.
EXACT = AnnSettings(exact_bytes=1 << 62)


def open_searched_view(index: Index, owner: object) -> tuple[View, Ranker]:
    """Open the view of an index and its ranker.

    An index without a view gets one of the shipped ranker, if there is one for its encoder. Where the index cannot be
    written, or a build is writing it, the view is temporary.

    Args:
        index: The index.
        owner: The files of a temporary view are removed when this goes or the process ends.

    Raises:
        PhotoseekError: The view is damaged, or there is none and none can be made.
    """
    shipped = Ranker.shipped(index.encoder) if needs_view(index) else None
    if shipped is None:
        view = index.view()
        return view, ranker_of(view)
    try:
        index.attach(shipped)
        return index.view(), shipped
    except PhotoseekError:
        return _temporary_view(index, shipped, owner), shipped


def _temporary_view(index: Index, ranker: Ranker, owner: object) -> View:
    """Build a view outside the index."""
    views = Path(tempfile.mkdtemp(prefix="photoseek-view-"))
    weakref.finalize(owner, shutil.rmtree, views, ignore_errors=True)
    with explain_disk_errors(views):
        built = build_view(views, ranker, index.embeddings(), index.regions(), settings=EXACT)
    return open_view(views / built.id, built.rows)


def needs_view(index: Index) -> bool:
    """Return whether an index has photos, and no view to search them with."""
    return index.rows > 0 and index.catalogue.active_view() is None


def ranker_of(view: View) -> Ranker:
    """Return the ranker of a view.

    Raises:
        PhotoseekError: It cannot be read, or it is not the one that made the view.
    """
    return load_view_ranker(view.folder, view.ranker_id)


def load_view_ranker(folder: Path, ranker_id: str) -> Ranker:
    """Load the ranker of a view, whose other files may be damaged.

    Args:
        folder: The view's folder.
        ranker_id: Id of the ranker that made it, "" if it is not known.

    Raises:
        PhotoseekError: It cannot be read, or it is not the one that made the view.
    """
    try:
        ranker = Ranker.load(folder / RANKER)
    except PhotoseekError as error:
        if says_withheld(str(error)):
            raise
        raise damaged_view(folder, str(error).partition(";")[0]) from None
    if ranker_id not in ("", ranker.id):
        raise damaged_view(folder, f"it is of ranker {ranker_id} and holds {ranker.id}")
    return ranker
