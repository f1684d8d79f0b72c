"""The operations that write an index or a ranker, each on a small one, and what must hold before and after them."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from experiments.soak.system_calls import Mark
from experiments.soak.tiny_models import DecoderInProcess, TinyEncoder, TinyRanker, write_photo
from indexer.building import photo_writer
from indexer.compaction.compact import compact_index
from indexer.embedding import pipeline
from indexer.embedding.pipeline import Decoding
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage import manifest
from indexer.storage.tables.database import Database
from indexer.verification.plan_repair import plan_repair
from indexer.verification.repair_rows import repair_rows
from indexer.verification.verify import VerifySettings, verify_index
from indexer.views import build as view_build
from reranker.ranker import DEFAULT_FOLDER
from reranker.ranker_files import read_folder, write_folder

# Small, so that a build of ten photos has several transactions, and a view of ten is extended by some.
COMMIT_ROWS, TAIL_SHARE = 4, 0.5
PHOTOS = 10
FIRST, SECOND = TinyRanker("aaaaaaaaaaaa"), TinyRanker("bbbbbbbbbbbb")
QUERIES = np.random.default_rng(0).standard_normal((3, TinyEncoder().dim)).astype(np.float32)

# What an index or a ranker holds: the bytes of each part by its name; None where none was begun.
State = dict[str, bytes] | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an operation works: the photos, and the folder `written` that it writes below, which holds the index."""

    photos: Path
    written: Path

    @property
    def index(self) -> Path:
        """Folder of the index."""
        return self.written / "index"

    @property
    def ranker(self) -> Path:
        """Folder of the ranker."""
        return self.written / "ranker"


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation, and how its outcome is looked at.

    Attributes:
        prepare: Makes what it begins with.
        run: The operation.
        read: Reads what is there.
        problems: Finds what is wrong with what is there, a line each.
        in_one_step: Whether there is nothing between before and after; else each part is as before or as after.
    """

    prepare: Callable[[Place], None]
    run: Callable[[Place], None]
    read: Callable[[Place], State]
    problems: Callable[[Place], list[str]]
    in_one_step: bool = False


@dataclass(slots=True)
class _Marks:
    """Holder of what is called when a transaction is durable."""

    mark: Mark = field(default=lambda: None)


_marks = _Marks()


@contextmanager
def small_scale() -> Iterator[None]:
    """Decode in this process, commit a few photos at a time, and set a mark after each transaction."""
    whole = Database.transaction

    @contextmanager
    def marked(database: Database) -> Iterator[None]:
        with whole(database):
            yield
        _marks.mark()

    kept = (photo_writer.COMMIT_ROWS, view_build.TAIL_SHARE, pipeline.DecodeWorkers)
    photo_writer.COMMIT_ROWS, view_build.TAIL_SHARE = COMMIT_ROWS, TAIL_SHARE
    pipeline.DecodeWorkers = DecoderInProcess  # type: ignore[assignment, misc]
    Database.transaction = marked  # type: ignore[assignment, method-assign]
    try:
        # A forked child has none of the threads of its parent, which some libraries would wait for.
        with threadpool_limits(1):
            yield
    finally:
        Database.transaction = whole  # type: ignore[method-assign]
        photo_writer.COMMIT_ROWS, view_build.TAIL_SHARE, pipeline.DecodeWorkers = kept  # type: ignore[misc]


def work_of(operation: Operation, place: Place) -> Callable[[Mark], str]:
    """Return an operation as the work of a watched child."""

    def work(mark: Mark) -> str:
        _marks.mark = mark
        operation.run(place)
        mark()
        return ""

    return work


# the index


def _build(place: Place, *, regions: bool | None = None, ranker: TinyRanker | None = FIRST) -> None:
    encoder: Any = TinyEncoder()  # has what a build uses of an `ImageEncoder`
    with Index.build(
        place.photos, place.index, encoder=encoder, decoding=Decoding(workers=1), regions=regions
    ) as index:
        if ranker is not None:
            index.attach(ranker)


def _attach(place: Place, ranker: TinyRanker) -> None:
    with Index.open(place.index) as index:
        index.attach(ranker)


def _write_photos(place: Place) -> None:
    for number in range(PHOTOS):
        write_photo(place.photos / f"{'kept' if number % 3 else 'part'}/{number}.png", number)
    shutil.copy(place.photos / "kept/1.png", place.photos / "kept/copy.png")
    (place.photos / "kept/broken.png").write_bytes(b"no photo")


def _prepare_index(place: Place, *, regions: bool | None = True) -> None:
    _write_photos(place)
    _build(place, regions=regions)


def _prepare_change(place: Place) -> None:
    _prepare_index(place)
    for number in range(PHOTOS, PHOTOS + 5):
        write_photo(place.photos / f"new/{number}.png", number)
    write_photo(place.photos / "kept/2.png", 100)
    (place.photos / "part/3.png").unlink()


def _prepare_extension(place: Place) -> None:
    _prepare_index(place)
    write_photo(place.photos / "new/10.png", 10)
    _build(place, ranker=None)


def _prepare_damage(place: Place) -> None:
    _prepare_index(place)
    row_bytes = 2 * TinyEncoder().dim
    with open(place.index / "embeddings-1.f16", "r+b") as file:
        file.seek(2 * row_bytes)
        file.write(b"\0" * row_bytes)
    (view,) = (place.index / "views").iterdir()
    with open(view / "z.f16", "r+b") as file:
        file.write(b"\1\2\3")


def _repair(place: Place) -> None:
    plan = plan_repair(place.index, verify_index(place.index, VerifySettings(TinyRanker.load, None)))
    if plan.seal:
        plan.renew_seal()
    if plan.rows:
        repair_rows(place.index, plan.rows, TinyEncoder(), Decoding(workers=1), lambda _done, _total: None)  # type: ignore[arg-type]
    with Index.open(place.index) as index:  # removes what a killed repair left, as the next build does
        index.attach(FIRST, anew=plan.view)


def _prepare_dead_rows(place: Place) -> None:
    _prepare_index(place)
    shutil.rmtree(place.photos / "part")
    _build(place)


def _compact(place: Place) -> None:
    compact_index(place.index, TinyRanker.load)


def _forget(place: Place) -> None:
    with Index.open(place.index) as index:
        if index.catalogue.rows_under(os.fsencode(place.photos / "part")):
            index.forget(place.photos / "part")


def read_index(place: Place) -> State:
    """Return the vectors of each photo, or why it was skipped, by its path; and the ranker and the rows of the view."""
    if not manifest.exists(place.index):
        return None
    state = {}
    with Index.open(place.index) as index:
        embeddings, regions = np.asarray(index.embeddings()), index.regions()
        for photo in index.catalogue.all_photos():
            value = repr((photo.size, photo.mtime_ns, photo.reason)).encode()
            if photo.row is not None:
                value += embeddings[photo.row].tobytes()
                value += b"" if regions is None else np.asarray(regions[photo.row]).tobytes()
            state[os.fsdecode(os.path.join(photo.root, photo.path))] = value
        view = index.catalogue.active_view()
        if view is not None:
            state["view"] = f"{view.ranker_id} {view.rows}".encode()
    return state


def index_problems(place: Place) -> list[str]:
    """Return what `verify` finds in an index, and searches that do not find what its rows say."""
    if not manifest.exists(place.index):
        return []
    found = verify_index(place.index, VerifySettings(TinyRanker.load, None))
    return [f"{one.file}: {one.problem}" for one in found.findings] + _wrong_answers(place)


def _wrong_answers(place: Place) -> list[str]:
    """Compare searches of the view with products of the stored rows."""
    with Index.open(place.index) as index:
        if index.catalogue.active_view() is None:
            return []
        with closing(index.view()) as view:
            live = np.setdiff1d(np.arange(view.total_rows), index.catalogue.dead_rows())
            found, _ = view.search(QUERIES, 5, live)
            scores = QUERIES @ np.asarray(index.embeddings())[live].astype(np.float32).T
            expected = live[np.argsort(-scores, axis=1, kind="stable")[:, :5]]
            return [] if np.array_equal(found, expected) else [f"a search finds {found}, not {expected}"]


# the ranker


def _save_ranker(place: Place, number: int) -> None:
    card = read_folder(DEFAULT_FOLDER).card
    arrays = {"weights": np.full((64, 8), number, np.float32)}
    write_folder(place.ranker, replace(card, id=f"{number:012}"), arrays)


def read_ranker(place: Place) -> State:
    """Return the id and the weights of a ranker."""
    if not (place.ranker / "ranker.json").exists():
        return None
    stored = read_folder(place.ranker)
    return {"id": stored.card.id.encode(), **{name: array.tobytes() for name, array in stored.arrays.items()}}


def ranker_problems(place: Place) -> list[str]:
    """Return what is wrong with a ranker."""
    try:
        is_whole = not (place.ranker / "ranker.json").exists() or read_folder(place.ranker).whole
    except PhotoseekError as error:
        return [str(error)]
    return [] if is_whole else ["the ranker is not what was saved under its id"]


def _of_index(prepare: Callable[[Place], None], run: Callable[[Place], None], *, in_one_step: bool) -> Operation:
    return Operation(prepare, run, read_index, index_problems, in_one_step)


# A later operation is one more entry here.
OPERATIONS = {
    "build": _of_index(_write_photos, lambda place: _build(place, regions=True), in_one_step=False),
    "update": _of_index(_prepare_change, _build, in_one_step=False),
    "regions": _of_index(
        lambda place: _prepare_index(place, regions=None), lambda place: _build(place, regions=True), in_one_step=True
    ),
    "forget": _of_index(_prepare_index, _forget, in_one_step=True),
    "switch": _of_index(_prepare_index, lambda place: _attach(place, SECOND), in_one_step=True),
    "extend": _of_index(_prepare_extension, lambda place: _attach(place, FIRST), in_one_step=True),
    "compact": _of_index(_prepare_dead_rows, _compact, in_one_step=True),
    "repair": Operation(_prepare_damage, _repair, read_index, lambda _place: []),
    "save": Operation(
        lambda place: _save_ranker(place, 1), lambda place: _save_ranker(place, 2), read_ranker, ranker_problems, True
    ),
    "save new": Operation(
        lambda _place: None, lambda place: _save_ranker(place, 2), read_ranker, ranker_problems, True
    ),
}
