"""The short form of the soak with killed builds, and that it can fail."""

import shutil
from pathlib import Path

import pytest

from experiments.soak.killed_builds import contents, finish, losses_of, run_kills
from unusual_photos.made_stacks import write_single


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "photos"
    write_single(folder, "cat", "coins", "rocket", "astronaut")
    return folder


def test_killed_builds_end_as_undisturbed_ones(photos: Path) -> None:
    progress: list[tuple[int, int]] = []
    outcome = run_kills(sorted(photos.glob("*.jpg")), 3, 1, lambda done, count: progress.append((done, count)))
    assert outcome.losses == []
    assert outcome.kills == 3
    assert outcome.done >= 1
    assert progress == [(i, 3) for i in range(1, 4)]


def test_another_vector_a_missing_photo_and_an_unreadable_index_are_losses(photos: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    assert finish(["build", str(photos)], index) == ""
    expected = contents(index)
    assert losses_of(index, expected) == []
    assert losses_of(index, {**expected, "gone.jpg": b""}) == ["gone.jpg differs"]
    changed = tmp_path / "changed"
    shutil.copytree(index, changed)
    with open(changed / "embeddings-1.f16", "r+b") as file:
        file.write(b"\0\0\0\0")
    first, second, *_ = losses_of(changed, expected)
    assert first == "rows differs"
    assert second.startswith("embeddings-1.f16: ")
    (changed / "manifest.json").write_text("{}")
    (line,) = losses_of(changed, expected)
    assert line.startswith("refused: ")
    assert "\n" not in line


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    assert "no index at" in finish(["compact"], tmp_path / "nothing")
