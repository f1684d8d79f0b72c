"""A verification names every kind of damage with its rows and photos, changes nothing, and raises nothing."""

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.storage import manifest
from indexer.storage.catalogue import Catalogue
from indexer.storage.integrity.checksums import blocks_of_rows
from indexer.storage.recovery import row_records
from indexer.verification.findings import Verification
from indexer.verification.verify import VerifySettings, verify_index
from tiny_encoder import Refusing
from tiny_index import build, drop_index_entries, grey, take_checksums_away
from tiny_ranker import TinyRanker

RANKER = TinyRanker()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of four photos with regions and a view: rows a, b, trip/c, trip/d."""
    base = tmp_path_factory.mktemp("verify")
    grey(base / "photos", a=0, b=51, trip__c=102, trip__d=255)
    index = build(base / "photos", base / "index", regions=True)
    index.attach(RANKER)
    index.close()
    return base / "index"


@pytest.fixture
def index(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "index"))


def verified(folder: Path, **options: object) -> Verification:
    return verify_index(folder, VerifySettings(lambda _folder: RANKER, **options))


def found(folder: Path) -> dict[str, list[str]]:
    """Return the problems that are found, by file."""
    problems: dict[str, list[str]] = {}
    for finding in verified(folder).findings:
        problems.setdefault(finding.file, []).append(finding.problem)
    return problems


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def view_of(folder: Path) -> Path:
    (view,) = (folder / "views").iterdir()
    return view


def test_a_whole_index_has_no_findings_and_stays_as_it_is(index: Path) -> None:
    before = {path: path.read_bytes() for path in index.rglob("*") if path.is_file()}
    stages: list[tuple[str, int, int]] = []
    result = verify_index(index, VerifySettings(lambda _folder: RANKER), lambda *stage: stages.append(stage))
    assert (result.findings, result.notes, result.rows, result.compared_rows) == ([], [], 4, 4)
    view = view_of(index)
    files = [*view.rglob("*"), *(index / name for name in ("embeddings-1.f16", "regions-1.i8", "digests-1.bin"))]
    assert result.read_bytes == sum(path.stat().st_size for path in files if path.is_file())
    assert stages[-1] == ("view against rows", 4, 4)
    after = {path: path.read_bytes() for path in index.rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if not path.name.endswith(("-shm", "-wal"))} == {
        path: data for path, data in before.items() if not path.name.endswith(("-shm", "-wal"))
    }


def test_a_changed_embedding_is_named_with_its_photos(index: Path) -> None:
    flip(index / "embeddings-1.f16", 8)
    (finding,) = verified(index).findings
    assert (finding.file, finding.problem) == ("embeddings-1.f16", "rows 0 to 3 are not as they were written")
    assert finding.rows == (0, 1, 2, 3)
    assert [Path(path).name for path in finding.photos] == ["a.png", "b.png", "c.png", "d.png"]


def test_a_zeroed_row_is_no_unit_vector(index: Path) -> None:
    data = bytearray((index / "embeddings-1.f16").read_bytes())
    data[16:24] = bytes(8)  # row 2 of 4 numbers
    (index / "embeddings-1.f16").write_bytes(data)
    findings = {finding.problem: finding.rows for finding in verified(index).findings if "f16" in finding.file}
    assert findings == {"rows 0 to 3 are not as they were written": (0, 1, 2, 3), "1 row not of unit length": (2,)}


@pytest.mark.parametrize("value", [np.nan, np.inf, 3.0])
def test_rows_that_were_never_unit_vectors_are_found_though_their_checksum_is_right(index: Path, value: float) -> None:
    vectors = np.fromfile(index / "embeddings-1.f16", "<f2").reshape(4, 4)
    vectors[1, 2] = value
    vectors.tofile(index / "embeddings-1.f16")
    renew_checksums(index)
    findings = [finding for finding in verified(index).findings if finding.file == "embeddings-1.f16"]
    assert [(finding.problem, finding.rows) for finding in findings] == [("1 row not of unit length", (1,))]


def renew_checksums(folder: Path) -> None:
    """Give the embeddings the checksum that they have now, as if they had been written so."""
    with closing(Catalogue(folder / "catalogue.sqlite", writable=True)) as catalogue, catalogue.transaction():
        for block in blocks_of_rows(folder / "embeddings-1.f16", 0, 4, 8):
            catalogue.checksums.put("embeddings-1.f16", block)


def test_a_view_that_is_not_of_its_rows_is_found_though_both_have_their_checksums(index: Path) -> None:
    vectors = np.fromfile(index / "embeddings-1.f16", "<f2").reshape(4, 4)
    vectors[[0, 3]] = vectors[[3, 0]]
    vectors.tofile(index / "embeddings-1.f16")
    renew_checksums(index)
    with closing(Catalogue(index / "catalogue.sqlite")) as catalogue:
        row_records.write_all(index, manifest.read(index), catalogue)
    (finding,) = verified(index).findings
    assert (finding.file, finding.problem) == (f"views/{view_of(index).name}", "2 rows not of their photos")
    assert finding.rows == (0, 3)
    assert verified(index, sample=0).is_whole


def test_every_file_of_a_view_and_of_its_ranker_is_checked(index: Path, whole: Path) -> None:
    view = view_of(index)
    files = sorted(path.relative_to(view) for path in view.rglob("*") if path.is_file())
    assert {"z.f16", "hub.f32", "hidden.f16", "candidates.faiss", "view.json"} < {path.name for path in files}
    for file in files:
        flip(view / file, (view / file).stat().st_size // 2)
        assert f"views/{view.name}/{file}" in found(index), file
        shutil.copy(view_of(whole) / file, view / file)
    assert found(index) == {}


@pytest.mark.parametrize("name", ["embeddings-1.f16", "regions-1.i8"])
@pytest.mark.parametrize("size", [0, 1, 15])
def test_a_cut_file_of_rows_is_named(index: Path, name: str, size: int) -> None:
    os.truncate(index / name, size)
    problems = found(index)
    assert "rows 0 to 3 are not as they were written" in problems[name]
    assert f"{name} is shorter than its 4 rows" in problems[name]


@pytest.mark.parametrize("at", [0, 17, 21, 24, 39])
def test_a_changed_record_of_a_row_is_named_whatever_part_of_it(index: Path, at: int) -> None:
    flip(index / "digests-1.bin", 2 * 40 + at)
    (finding,) = verified(index).findings
    assert (finding.file, finding.rows) == ("digests-1.bin", (2,))
    assert finding.problem == "1 row with a record that is not as it was written"


def test_records_that_are_cut_are_named_and_those_of_damaged_rows_are_not(index: Path) -> None:
    flip(index / "embeddings-1.f16", 8)
    assert set(found(index)) == {"embeddings-1.f16"}
    os.truncate(index / "digests-1.bin", 3 * 40 + 39)
    assert found(index)["digests-1.bin"] == ["digests-1.bin is shorter than its 4 rows"]


def test_what_an_older_version_lacks_is_a_note_and_the_next_build_adds_it(index: Path) -> None:
    names = ("digests-1.bin", "recovery.json", "catalogue.sqlite.seal")
    whole = [(index / name).read_bytes() for name in names[:2]]
    for name in names:
        (index / name).unlink()
    assert verified(index).findings == []
    assert [note.partition(",")[0] for note in verified(index).notes] == [
        "catalogue.sqlite has no seal",
        "digests-1.bin is missing",
        "recovery.json is missing",
    ]
    photos = index.parent / "photos"
    grey(photos, a=0, b=51, trip__c=102, trip__d=255)
    build(photos, index, encoder=Refusing()).close()
    assert (index / "digests-1.bin").read_bytes() == whole[0]
    assert (verified(index).findings, verified(index).notes) == ([], [])


def test_a_view_card_that_cannot_be_read_is_one_finding(index: Path) -> None:
    name = f"views/{view_of(index).name}/view.json"
    (index / name).write_text("{")
    assert found(index) == {name: ["it is not as it was written"]}


@pytest.mark.parametrize("cut", ["z.f16", "hub.f32", "hidden.f16"])
def test_a_view_that_is_cut_says_which_file_and_no_words_of_a_library(index: Path, cut: str) -> None:
    os.truncate(view_of(index) / cut, 3)
    with Index.open(index) as opened, pytest.raises(PhotoseekError) as refused:
        opened.view()
    assert str(refused.value).startswith(
        f"view {view_of(index)} is damaged ({cut} cannot be read or is too short); run: "
    )


def test_a_damaged_index_of_the_catalogue_is_refused_before_anything_is_written(index: Path) -> None:
    drop_index_entries(index)
    photos = index.parent / "photos"
    grey(photos, a=0, b=51, trip__c=102, trip__d=255)
    with pytest.raises(PhotoseekError) as refused:
        build(photos, index)
    assert str(refused.value) == (
        f"index {index} is damaged: its catalogue has photos that its index photos_by_row does not find; nothing was "
        f"written; run: photoseek verify -i {index}"
    )


def test_files_that_are_gone_are_named(index: Path) -> None:
    view = view_of(index)
    for path in (view / "z.f16", index / "embeddings-1.f16"):
        path.unlink()
    problems = found(index)
    assert "cannot be read: No such file or directory" in problems["embeddings-1.f16"]
    assert problems[f"views/{view.name}/z.f16"] == ["cannot be read: No such file or directory"]


def test_a_damaged_manifest_is_named_and_the_catalogue_still_checked(index: Path) -> None:
    flip(index / "manifest.json", 30)
    with closing(sqlite3.connect(index / "catalogue.sqlite")) as connection:
        connection.execute("UPDATE photos SET size = 7 WHERE row = 2")
        connection.commit()
    assert sorted(found(index)) == ["catalogue.sqlite", "manifest.json"]


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM embeddings WHERE row = 3", "a photo has row 3, and there are 3 rows"),
        ("DELETE FROM embeddings WHERE row = 1", "its catalogue holds 3 of 4 rows"),
        ("UPDATE checksums SET rows = 3 WHERE file LIKE 'embed%'", "embeddings-1.f16 has checksums of 3 rows"),
        ("UPDATE photos SET root = 99 WHERE row = 1", "a row of photos names what is not there"),
    ],
)
def test_a_catalogue_that_does_not_fit_is_named(index: Path, statement: str, problem: str) -> None:
    with closing(sqlite3.connect(index / "catalogue.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()
    assert any(problem in line for line in found(index)["catalogue.sqlite"])


@pytest.mark.parametrize("pages", [1, 2, 9])
def test_a_cut_catalogue_is_named_and_refused_before_anything_is_written(index: Path, pages: int) -> None:
    path = index / "catalogue.sqlite"
    os.truncate(path, path.stat().st_size - 4096 * pages)
    embeddings = (index / "embeddings-1.f16").read_bytes()
    assert any("is shorter than it says" in line for line in found(index)["catalogue.sqlite"])
    photos = index.parent / "photos"
    grey(photos, new=7)
    with pytest.raises(PhotoseekError, match="is shorter than it says"):
        build(photos, index)
    assert (index / "embeddings-1.f16").read_bytes() == embeddings


def test_an_index_of_an_older_format_has_no_checksums_and_says_so(index: Path) -> None:
    take_checksums_away(index)
    result = verified(index)
    assert result.findings == []
    assert result.notes == ["the index has no checksums; the next build adds them"]


def test_a_build_brings_an_older_index_up_without_embedding_and_everything_has_its_checksum(index: Path) -> None:
    take_checksums_away(index)
    photos = index.parent / "photos"
    grey(photos, a=0, b=51, trip__c=102, trip__d=255)
    before = (index / "embeddings-1.f16").read_bytes(), view_of(index).name
    build(photos, index, encoder=Refusing()).close()
    assert ((index / "embeddings-1.f16").read_bytes(), view_of(index).name) == before
    result = verified(index)
    assert (result.findings, result.notes) == ([], [])
    for path in [index / "embeddings-1.f16", index / "regions-1.i8", *view_of(index).rglob("*")]:
        if path.is_file():
            flip(path, path.stat().st_size // 2)
            assert not verified(index).is_whole, path
            flip(path, path.stat().st_size // 2)


def test_an_index_of_a_newer_format_is_refused_and_not_called_damaged(index: Path) -> None:
    values = json.loads((index / "manifest.json").read_text())
    (index / "manifest.json").write_text(json.dumps({**values, "format": 4}))
    with pytest.raises(PhotoseekError, match="has format 4, this photoseek reads 1 to 3; update photoseek"):
        verified(index)


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoseekError, match="no index at"):
        verified(tmp_path / "none")


def test_flipped_bits_are_always_noticed(index: Path, whole: Path) -> None:
    generator = np.random.default_rng(0)
    files = sorted(path for path in whole.rglob("*") if path.is_file() and path.stat().st_size)
    files = [path for path in files if not path.name.endswith(("-shm", "-wal", ".lock", "writer.json"))]
    for _ in range(60):
        source = files[generator.integers(len(files))]
        path = index / source.relative_to(whole)
        at = int(generator.integers(source.stat().st_size))
        flip(path, at)
        assert not verified(index).is_whole, f"{path.name}, byte {at}"
        shutil.copy(source, path)
    assert verified(index).is_whole
