"""The short form of the soak with power cuts, that it can fail, and what a disk may hold after a cut."""

import os
import random
from pathlib import Path

import pytest

from experiments.soak import power_cuts
from experiments.soak.operations import OPERATIONS, small_scale
from experiments.soak.power_cuts import losses_of_cut, record, run_cuts
from experiments.soak.recorded_disk import SECTOR, RecordedDisk
from experiments.soak.system_calls import Call
from indexer.building import builder
from indexer.storage import vector_files
from reranker import ranker_files


def test_no_power_cut_loses_what_was_committed() -> None:
    progress: list[tuple[int, int]] = []
    losses = run_cuts(
        ["build", "update", "compact", "save new"], 12, 3, lambda done, count: progress.append((done, count))
    )
    assert losses == []
    assert progress == [(i, 12) for i in range(1, 13)]


def make_folder_without_fsync(path: Path) -> None:
    path.mkdir(parents=True, exist_ok=True)


@pytest.mark.parametrize(
    ("name", "module", "replaced", "loss"),
    [
        ("build", vector_files, "os", "refused"),
        ("build", builder, "make_folder_durably", "is not as committed"),
        ("save new", ranker_files, "make_folder_durably", "is not as committed"),
    ],
)
def test_a_missing_fsync_is_found(
    name: str, module: object, replaced: str, loss: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OsWithoutFsync:
        fsync = staticmethod(lambda _descriptor: None)

        def __getattr__(self, name: str) -> object:
            return getattr(os, name)

    substitute = OsWithoutFsync() if replaced == "os" else make_folder_without_fsync
    monkeypatch.setattr(module, replaced, substitute)
    with small_scale():
        recording = record(OPERATIONS[name], tmp_path / "work")
        losses = losses_of_cut(OPERATIONS[name], recording, recording.marks[-1], Nothing())
    assert [line for line in losses if loss in line] != []


def test_all_that_was_recorded_makes_what_is_really_there(tmp_path: Path) -> None:
    with small_scale():
        recording = record(OPERATIONS["update"], tmp_path / "work")
    written = tmp_path / "work" / "written"
    expected = {path.relative_to(written): path.read_bytes() for path in written.rglob("*") if path.is_file()}
    written.rename(tmp_path / "kept")
    disk = RecordedDisk(recording.before, written)
    for call in recording.calls:
        disk.apply(call)
    disk.write_survivors(Everything())
    found = {path.relative_to(written): path.read_bytes() for path in written.rglob("*") if path.is_file()}
    # The disk keeps no memory that SQLite shares: it makes it anew.
    del expected[Path("index/catalogue.sqlite-shm")]
    assert found.keys() == expected.keys()
    assert [path for path in found if found[path] != expected[path]] == []


class Everything(random.Random):
    """A draw by which everything survives."""

    def randint(self, _low: int, high: int) -> int:
        return high

    def choice(self, values: object) -> str:  # type: ignore[override]
        return "there"


class Nothing(random.Random):
    """A draw by which nothing unsynced survives."""

    def randint(self, low: int, _high: int) -> int:
        return low

    def choice(self, values: object) -> str:  # type: ignore[override]
        return "missing"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    before = tmp_path / "before"
    before.mkdir()
    (before / "old").write_bytes(b"old")
    return tmp_path / "after"


def survivors(folder: Path, calls: list[Call], draw: random.Random) -> dict[str, bytes]:
    disk = RecordedDisk(folder.parent / "before", folder)
    for call in calls:
        disk.apply(call)
    disk.write_survivors(draw)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_name_is_there_once_its_folder_is_synced_and_bytes_once_their_file_is(folder: Path) -> None:
    new = str(folder / "new")
    created = [Call("create", new), Call("write", new, data=b"abc")]
    assert survivors(folder, [*created, Call("fsync", new, data=b"abc")], Nothing()) == {"old": b"old"}


def test_a_synced_name_has_no_bytes_before_they_are_synced(folder: Path) -> None:
    new = str(folder / "new")
    calls = [Call("create", new), Call("write", new, data=b"abc"), Call("fsync", str(folder))]
    assert survivors(folder, calls, Nothing()) == {"old": b"old", "new": b""}


def test_an_unsynced_rename_leaves_the_old_name(folder: Path) -> None:
    calls = [Call("rename", str(folder / "old"), str(folder / "renamed"))]
    assert survivors(folder, calls, Nothing()) == {"old": b"old"}


def test_a_synced_file_in_a_folder_without_a_synced_name_is_lost(folder: Path) -> None:
    inner, new = str(folder / "inner"), str(folder / "inner/new")
    calls = [Call("mkdir", inner), Call("create", new), Call("fsync", new, data=b"abc"), Call("fsync", inner)]
    assert survivors(folder, calls, Nothing()) == {"old": b"old"}


def test_a_torn_write_is_there_in_whole_sectors(folder: Path) -> None:
    class Torn(random.Random):
        def choice(self, values: object) -> str:  # type: ignore[override]
            return "torn"

    calls = [Call("write", str(folder / "old"), offset=2, data=b"x" * (3 * SECTOR))]
    found = survivors(folder, calls, Torn(4))["old"]
    draw = Torn(4)
    expected = bytearray(b"old")
    for start, end in ((2, 512), (512, 1024), (1024, 1536), (1536, 1538)):
        if draw.random() < 0.5:
            expected.extend(bytes(max(0, end - len(expected))))
            expected[start:end] = b"x" * (end - start)
    assert found == bytes(expected)


def test_a_loss_is_a_line_with_its_operation_and_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(power_cuts, "losses_of_cut", lambda *_: ["gone"])
    (line,) = run_cuts(["save new"], 1, 0, lambda *_: None)
    assert line.startswith("save new, cut after ")
    assert line.endswith(" calls: gone")
