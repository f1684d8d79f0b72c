"""The short form of the soak with mutated images, and that it can fail."""

import shutil
from pathlib import Path

import pytest

from experiments.soak import mutated_images
from experiments.soak.mutated_images import KINDS, MUTATIONS, Outcome, measure_peaks, run_mutations, write_mutated
from indexer.embedding import pipeline
from indexer.encoders import ImageEncoder, load_image_encoder
from indexer.index import DEFAULT_ENCODER
from unusual_photos.made_stacks import write_single


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return load_image_encoder(DEFAULT_ENCODER)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("soak") / "photos"
    write_single(folder, "cat", "coins", "rocket")
    return folder


def test_no_mutated_image_hangs_or_ends_a_build(photos: Path, encoder: ImageEncoder) -> None:
    progress: list[tuple[int, int]] = []
    outcome = run_mutations(photos, encoder, 40, 7, lambda done, count: progress.append((done, count)))
    assert outcome.faults == []
    assert sum(outcome.counts[name] for name in ("decoded", "decoded with a note", "skipped")) == 40
    assert outcome.counts["decoded"] >= 5
    assert outcome.counts["skipped"] >= 5
    assert 0 < outcome.peak[0] <= 1_000_000_000
    assert progress == [(i, 40) for i in range(1, 41)]


def test_the_same_seed_makes_the_same_images_of_every_kind_and_mutation(photos: Path, tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        made.append({path.name: path.read_bytes() for path in write_mutated(photos, tmp_path / name, 160, seed)})
    assert made[0] == made[1]
    assert made[0] != made[2]
    done = {tuple(name.partition(".")[0].split("-")[1:]) for name in made[0]}
    assert {mutation for mutation, _ in done} == {mutate.__name__ for mutate in MUTATIONS}
    assert {kind for _, kind in done} == {kind.lower() for kind in KINDS}


def test_memory_dead_builds_and_second_tries_are_faults(
    photos: Path, tmp_path: Path, encoder: ImageEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutated_images, "MOST_MEMORY", -1)
    sound = sorted(photos.iterdir())[0]
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    (folder / "link.jpg").symlink_to("nowhere.jpg")  # looked at by every build
    outcome = Outcome()
    mutated_images.build_twice(folder, tmp_path / "index", encoder, outcome)
    assert outcome.faults == ["tried again: link.jpg: cannot be read: No such file or directory"]
    outcome = Outcome()
    measure_peaks([sound] * 3, sound, encoder, outcome, lambda *_: None)
    assert outcome.faults[-1].startswith("memory: ")

    def breaks(*_: object, **__: object) -> object:
        raise KeyError("rows")

    monkeypatch.setattr(pipeline._Pipeline, "_decode", breaks)
    outcome = Outcome()
    mutated_images.build_twice(photos, tmp_path / "other", encoder, outcome)
    assert [fault.partition(" in ")[0] for fault in outcome.faults] == ["dead build: KeyError('rows')"]
