"""Whatever is done to photos and index, in any order and cut short anywhere, the index says what a plain model says."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from PIL import Image

from indexer.compaction.compact import compact_index
from indexer.embedding.pipeline import Decoding
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.photos.rules.patterns import Patterns, PhotoFolders
from indexer.verification.verify import VerifySettings, verify_index
from tiny_encoder import TinyEncoder
from tiny_ranker import TinyRanker

RANKER = TinyRanker()
ROOTS = ("one", "two")
NAMES = st.sampled_from([f"{folder}{letter}.png" for folder in ("", "sub/", "trip/") for letter in "abcd"])
PLACES = st.tuples(st.sampled_from(ROOTS), NAMES)
GREYS = st.integers(0, 255)


class CutShort(BaseException):
    """The end of a process at this moment, as far as what it wrote is concerned."""


@contextmanager
def cut_short(calls: int) -> Iterator[None]:
    """End the block at a call of fsync, as by a kill; a block of fewer calls is not disturbed."""
    left, fsync = [calls], os.fsync

    def counted(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise CutShort
        fsync(descriptor)

    with mock.patch("os.fsync", counted), suppress(CutShort):
        yield


class Operations(RuleBasedStateMachine):
    """Operations on two photo folders and their index.

    The model is what lies on the disk: `photos` has the grey of every file by (root, path), `names` the name that each
    root has now.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="photoseek-operations-"))
        self.photos: dict[tuple[str, str], int] = {}
        self.names = {root: root for root in ROOTS}
        self.excluded: tuple[str, ...] = ()
        self.is_current = False
        self.moves = 0

    def teardown(self) -> None:
        shutil.rmtree(self.place)

    @property
    def index(self) -> Path:
        return self.place / "index"

    def path(self, place: tuple[str, str]) -> Path:
        return self.place / self.names[place[0]] / place[1]

    def write(self, place: tuple[str, str], grey: int) -> None:
        path = self.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (grey, grey, grey)).save(path)
        self.photos[place] = grey
        self.is_current = False

    def of_root(self, root: str) -> list[tuple[str, str]]:
        return [place for place in self.photos if place[0] == root]

    @initialize(greys=st.lists(GREYS, min_size=4, max_size=4))
    def begin(self, greys: list[int]) -> None:
        begun = [("one", "a.png"), ("one", "b.png"), ("two", "a.png"), ("two", "sub/b.png")]
        for place, grey in zip(begun, greys, strict=True):
            self.write(place, grey)
        self.build()

    # what people do to photos

    @rule(place=PLACES, grey=GREYS)
    def add_or_change(self, place: tuple[str, str], grey: int) -> None:
        self.write(place, grey)

    @rule(data=st.data(), to=PLACES)
    def rename_or_replace(self, data: st.DataObject, to: tuple[str, str]) -> None:
        place = data.draw(st.sampled_from(sorted(self.photos)))
        if place != to and len(self.of_root(place[0])) > 1:
            self.path(to).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.path(place), self.path(to))
            self.photos[to] = self.photos.pop(place)
            self.is_current = False

    @rule(data=st.data(), to=PLACES)
    def copy(self, data: st.DataObject, to: tuple[str, str]) -> None:
        place = data.draw(st.sampled_from(sorted(self.photos)))
        if place != to:
            self.path(to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.path(place), self.path(to))
            self.photos[to] = self.photos[place]
            self.is_current = False

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        place = data.draw(st.sampled_from(sorted(self.photos)))
        if len(self.of_root(place[0])) > 1:  # a folder without any photo is taken for a disk that is not mounted
            self.path(place).unlink()
            del self.photos[place]
            self.is_current = False

    @rule(root=st.sampled_from(ROOTS))
    def move_root(self, root: str) -> None:
        self.moves += 1
        name = f"{root} {self.moves}"
        (self.place / self.names[root]).rename(self.place / name)
        self.names[root] = name
        self.is_current = False

    @rule(patterns=st.sampled_from([(), ("trip/",), ("a.png",), ("sub/", "d.png")]))
    def exclude(self, patterns: tuple[str, ...]) -> None:
        self.excluded = patterns
        self.is_current = False

    # what photoseek does

    def act(self) -> None:
        """Build; a folder in which nothing is to be taken is taken for a disk that is not mounted, and refused."""
        empty = [root for root in ROOTS if all(self.is_excluded(path) for _, path in self.of_root(root))]
        try:
            self.build_all()
        except PhotoseekError as error:
            if not empty or not str(error).startswith("no photos found under"):
                raise
        else:
            self.is_current = True

    def build_all(self) -> None:
        folders = [self.place / name for name in self.names.values()]
        asked = PhotoFolders(folders, Patterns(self.excluded), accept_removals=True)
        with Index.build(asked, self.index, encoder=TinyEncoder(), decoding=Decoding(workers=1), regions=True) as index:
            if index.catalogue.photo_count():
                index.attach(RANKER)

    @rule()
    def build(self) -> None:
        self.act()

    @rule(calls=st.integers(0, 25))
    def build_cut_short(self, calls: int) -> None:
        with cut_short(calls):
            self.act()

    @rule()
    def compact(self) -> None:
        """Compact; a root that a build has named, and was cut short before it found a photo of it, is refused."""
        try:
            compact_index(self.index, lambda _folder: RANKER)
        except PhotoseekError as error:
            if self.is_current or "rows may wait for the photos of" not in str(error):
                raise

    @rule(calls=st.integers(0, 12))
    def compact_cut_short(self, calls: int) -> None:
        with cut_short(calls):
            self.compact()

    @rule(root=st.sampled_from(ROOTS))
    def forget(self, root: str) -> None:
        place = os.fsencode(self.place / self.names[root])
        with Index.open(self.index) as index:
            if place in index.catalogue.roots():
                index.forget(self.place / self.names[root])
                self.is_current = False

    # what is true at all times

    def is_excluded(self, path: str) -> bool:
        parts = path.split("/")
        return any(pattern.rstrip("/") in (parts[:-1] if pattern.endswith("/") else parts) for pattern in self.excluded)

    def vector_of(self, grey: int) -> np.ndarray:
        return TinyEncoder().encode(np.full((1, 8, 8, 3), grey, np.uint8))[0].astype(np.float16)

    @invariant()
    def everything_is_as_it_was_written(self) -> None:
        if self.index.exists():
            found = verify_index(self.index, VerifySettings(lambda _folder: RANKER, None)).findings
            assert [(finding.file, finding.problem) for finding in found] == []

    @precondition(lambda self: self.is_current)
    @invariant()
    def the_index_has_what_is_on_the_disk(self) -> None:
        wanted = {str(self.path(place)): grey for place, grey in self.photos.items() if not self.is_excluded(place[1])}
        with Index.open(self.index) as index:
            found = {
                os.path.join(os.fsdecode(photo.root), os.fsdecode(photo.path)): photo.row
                for photo in index.catalogue.all_photos()
            }
            # Photos of a root that is gone stay, unless they were found elsewhere: its disk may be unplugged.
            here = tuple(f"{self.place}/{name}/" for name in self.names.values())
            assert {path for path in found if path.startswith(here)} == wanted.keys()
            stored = index.embeddings()
            for path, grey in wanted.items():
                assert stored[found[path]].tobytes() == self.vector_of(grey).tobytes()
            if wanted:
                self.a_search_finds_each_photo(index, wanted, found)

    def a_search_finds_each_photo(self, index: Index, wanted: dict[str, int], found: dict[str, int | None]) -> None:
        view = index.view()
        live = np.array(sorted({row for row in found.values() if row is not None}), np.int64)
        stored = np.asarray(index.embeddings(), np.float32)
        for path in wanted:
            query = stored[found[path]]
            nearest = view.search(query[None], len(live), live)[0][0]
            scores = stored[live] @ query
            assert sorted(nearest.tolist()) == live.tolist()
            assert scores[np.searchsorted(live, nearest[0])] == scores.max()


TestOperations = Operations.TestCase
# `--hypothesis-profile soak` runs many more.
if settings.get_current_profile_name() != "soak":
    TestOperations.settings = settings(max_examples=8, stateful_step_count=20)
