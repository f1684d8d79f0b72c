"""A repair that makes a catalogue anew is killed before each change of a file, and goes on."""

import os
import shutil
from pathlib import Path

import pytest

from damaged_indexes.repairs import LOST, PHOTOS, RANKER, attach, is_whole, plan, repair, zero
from indexer.callbacks import BuildCallbacks
from indexer.embedding.pipeline import Decoding
from indexer.index import Index
from indexer.verification import rebuild_catalogue as module
from indexer.verification.find_photos import find_photos
from indexer.verification.rebuild_catalogue import RebuiltCatalogue, finish_rebuild, rebuild_catalogue
from tiny_encoder import Refusing
from tiny_index import build, rows


class Killed(BaseException):
    """A process that ends, at a call of this one."""


def killed_at(number: int, patch: pytest.MonkeyPatch) -> None:
    """Let the process end before the n-th of the calls that change files."""
    calls = 0

    def dying(function):
        def wrapped(*values: object, **options: object) -> object:
            nonlocal calls
            calls += 1
            if calls == number:
                raise Killed
            return function(*values, **options)

        return wrapped

    patch.setattr(module.os, "rename", dying(os.rename))
    patch.setattr(module.os, "replace", dying(os.replace))
    patch.setattr(module.os, "unlink", dying(os.unlink))
    patch.setattr(module.os, "fsync", dying(os.fsync))


def run_killed(act, number: int) -> bool:
    """Call a function that ends before its n-th change of a file, and return whether it came to its end."""
    with pytest.MonkeyPatch.context() as patch:
        killed_at(number, patch)
        try:
            act()
        except Killed:
            return False
    return True


def rebuild(folder: Path) -> RebuiltCatalogue:
    return rebuild_catalogue(folder, plan(folder).described, lambda _folder: RANKER)


def test_a_rebuild_that_is_killed_before_any_change_of_a_file_is_begun_again(
    photos: Path, folder: Path, tmp_path: Path
) -> None:
    with build(photos, folder) as opened:
        opened.attach(RANKER)
        digests = opened.catalogue.digests_of_rows(range(4))
    zero(folder)
    damaged = (folder / "catalogue.sqlite").read_bytes()
    (folder / "catalogue.sqlite-wal").write_bytes(b"x" * 100)
    number, finished = 0, False
    while not finished:
        number += 1
        copy = Path(shutil.copytree(folder, tmp_path / f"killed-{number}"))
        finished = run_killed(lambda copy=copy: rebuild(copy), number)
        if plan(copy).catalogue:
            assert rebuild(copy) == RebuiltCatalogue(rows=4, damaged=0, lost=LOST), number
        assert (plan(copy).catalogue, plan(copy).photos, plan(copy).view) == (False, True, True), number
        with Index.open(copy) as opened:
            assert opened.catalogue.digests_of_rows(range(4)) == digests, number
            assert opened.catalogue.roots() == [os.fsencode(photos)], number
        kept = [path for path in copy.glob("catalogue.sqlite.damaged-*") if not path.name.endswith("-wal")]
        assert damaged in [path.read_bytes() for path in kept], number
        beside = copy / "catalogue.sqlite-wal"
        assert not beside.exists() or beside.read_bytes() == b"", number
    assert number > 10
    # Photos and view are found in what the last kill left, and nothing is kept then.
    repair(copy)
    assert is_whole(copy)
    with Index.open(copy) as opened:
        assert rows(opened) == PHOTOS
    assert not list(copy.glob("*damaged*"))


def test_a_repair_that_is_killed_after_the_catalogue_is_in_its_place_goes_on(
    photos: Path, folder: Path, tmp_path: Path
) -> None:
    build(photos, folder).close()
    attach(folder)
    zero(folder)
    rebuild(folder)
    described = plan(folder).described
    find_photos(folder, described, Refusing(), Decoding(workers=1), BuildCallbacks())
    number, finished = 0, False
    while not finished:
        number += 1
        copy = Path(shutil.copytree(folder, tmp_path / f"killed-{number}"))
        finished = run_killed(lambda copy=copy: (attach(copy), finish_rebuild(copy, described)), number)
        repair(copy)
        assert is_whole(copy), number
        assert not list(copy.glob("*damaged*")), number
    assert number > 5
