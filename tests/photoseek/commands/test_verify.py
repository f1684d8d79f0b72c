import json
import shutil
from pathlib import Path

import pytest

from command_line import misused, photoseek, refused
from reranker.ranker import Ranker
from unusual_photos.made_stacks import build, write_single


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    write_single(folder / "photos", "cat", "coins", "rocket")
    build(folder / "photos", folder / "index").close()
    return folder / "index"


def test_a_whole_index_is_called_whole(index: Path) -> None:
    result = photoseek("verify", "-i", index)
    assert (result.exit_code, result.stderr) == (0, "")
    read = (index / "embeddings-1.f16").stat().st_size / 1e6
    assert result.stdout == f"{index} is whole; 3 rows, {read:,.1f} MB read, 0 compared with the view\n"


def test_damage_is_named_with_its_photos_and_the_status_is_1(index: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(index, tmp_path / "index"))
    data = bytearray((folder / "embeddings-1.f16").read_bytes())
    data[0] ^= 1
    (folder / "embeddings-1.f16").write_bytes(data)
    photos = [f"{index.parent}/photos/{name}.jpg" for name in ("cat", "coins", "rocket")]
    result = photoseek("verify", "-i", folder, "-q")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[:4] == [
        "embeddings-1.f16: rows 0 to 2 are not as they were written",
        *(f"  {photo}" for photo in photos),
    ]
    assert lines[-1].startswith(f"{folder} is damaged: 1 finding; 3 rows, ")
    assert result.stderr == f"to mend it: photoseek repair -i {folder}\n"
    found = json.loads(photoseek("verify", "-i", folder, "--json").stdout)
    assert (found["format"], found["whole"], found["rows"]) == (1, False, 3)
    assert found["findings"] == [
        {
            "file": "embeddings-1.f16",
            "problem": "rows 0 to 2 are not as they were written",
            "rows": [0, 1, 2],
            "photos": photos,
        }
    ]


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    result = photoseek("verify", "-i", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no index at" in result.stderr


def test_repair_mends_rows_and_view_and_says_what_it_does(index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    assert photoseek("build", index.parent / "photos", "-i", folder, "-q").exit_code == 0
    whole = (folder / "embeddings-1.f16").read_bytes()
    (folder / "embeddings-1.f16").write_bytes(bytes(2560) + whole[2560:])
    (view,) = (folder / "views").iterdir()
    (view / "z.f16").write_bytes(b"x" + (view / "z.f16").read_bytes()[1:])
    result = photoseek("repair", "-i", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "to do: embed the photos of 3 rows again, and write those that differ",
        "to do: build the view again",
        "1 row written, 2 right as they were",
        f"view of ranker {Ranker.default().id} built again",
    ]
    assert (folder / "embeddings-1.f16").read_bytes() == whole
    assert photoseek("verify", "-i", folder).exit_code == 0
    assert photoseek("repair", "-i", folder).stdout == "nothing to repair\n"


def test_a_lost_catalogue_is_made_anew_with_the_ranker_that_the_index_had(index: Path, tmp_path: Path) -> None:
    folder, photos = tmp_path / "index", index.parent / "photos"
    assert photoseek("build", photos, "-i", folder, "-q").exit_code == 0
    whole, hits = (folder / "embeddings-1.f16").read_bytes(), photoseek("search", "a cat", "-i", folder).stdout
    for path in folder.glob("catalogue.sqlite*"):
        path.unlink()
    result = photoseek("search", "a cat", "-i", folder)
    refused(result, f"{folder} has no catalogue: the index is damaged; run: photoseek repair -i {folder}")
    result = photoseek("repair", "-i", folder, "-q")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "to do: make catalogue.sqlite anew from those of its tables that are whole, digests-1.bin and recovery.json; "
        "the damaged file is kept until all is done",
        "to do: find the photos in their folders; those whose file is as it was are not embedded",
        "catalogue made anew with 3 rows",
        "lost: the history of builds, the notes on damaged photos",
        "to do: build the view again",
        "to do: remove the damaged catalogue that was kept",
        f"view of ranker {Ranker.default().id} built again",
    ]
    assert result.stderr == (
        "what the damaged catalogue held was found again: metadata of 0 photos read, 3 photos decoded for stacks\n"
    )
    assert (folder / "embeddings-1.f16").read_bytes() == whole
    assert photoseek("search", "a cat", "-i", folder).stdout == hits
    assert photoseek("verify", "-i", folder).exit_code == 0
    assert photoseek("repair", "-i", folder).stdout == "nothing to repair\n"


def test_a_lost_manifest_is_written_again(index: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(index, tmp_path / "index"))
    (folder / "manifest.json").unlink()
    line = f"{folder}/manifest.json is missing: the index is damaged; run: photoseek repair -i {folder}"
    refused(photoseek("search", "a cat", "-i", folder), line)
    result = photoseek("repair", "-i", folder)
    assert result.stdout.splitlines() == [
        "to do: write manifest.json again from recovery.json",
        "manifest written again",
        "nothing to repair",
    ]
    assert (folder / "manifest.json").read_bytes() == (index / "manifest.json").read_bytes()


def test_what_cannot_be_repaired_is_refused(index: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(index, tmp_path / "index"))
    (folder / "catalogue.sqlite").write_bytes(b"no database")
    (folder / "digests-1.bin").unlink()
    result = photoseek("repair", "-i", folder)
    assert result.exit_code == 1
    assert "cannot be made anew: its table of rows is damaged, and digests-1.bin cannot be read" in result.stderr
    assert (folder / "catalogue.sqlite").read_bytes() == b"no database"


def test_a_sample_of_all_rows_is_misuse(index: Path) -> None:
    result = photoseek("verify", "-i", index, "--full", "--sample", "2")
    misused(result, "verify", "--full compares all rows, --sample some of them; give one")


def test_a_damaged_ranker_of_a_view_is_not_to_be_trained_again(index: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    assert photoseek("build", index.parent / "photos", "-i", folder, "-q").exit_code == 0
    (view,) = (folder / "views").iterdir()
    (view / "ranker" / "ranker.json").write_text("{")
    result = photoseek("verify", "-i", folder, "-q")
    assert result.stdout.splitlines()[0] == f"views/{view.name}/ranker/ranker.json: it is not as it was written"
    assert result.stdout.splitlines()[1].startswith(f"{folder} is damaged: 1 finding; ")
    assert photoseek("repair", "-i", folder, "-q").exit_code == 0
    assert photoseek("verify", "-i", folder, "-q").exit_code == 0


@pytest.mark.parametrize("name", ["recovery.json", "digests-1.bin"])
def test_what_a_lost_catalogue_is_made_of_is_written_again(index: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(index, tmp_path / "index"))
    before = (folder / name).read_bytes()
    (folder / name).unlink()
    result = photoseek("repair", "-i", folder, "-q")
    assert result.stdout == "to do: write digests-1.bin and recovery.json again from the catalogue\n"
    assert (folder / name).read_bytes() == before
    assert photoseek("verify", "-i", folder, "-q").exit_code == 0
