import json
import shutil
from pathlib import Path

import pytest

from command_line import photoseek
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


def test_what_cannot_be_repaired_is_refused(index: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(index, tmp_path / "index"))
    (folder / "catalogue.sqlite").write_bytes(b"no database")
    result = photoseek("repair", "-i", folder)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "cannot be repaired" in result.stderr


def test_a_build_proposes_a_compaction_which_gives_room_back(index: Path, tmp_path: Path) -> None:
    photos, folder = tmp_path / "photos", tmp_path / "index"
    shutil.copytree(index.parent / "photos", photos)
    built = photoseek("build", photos, "-i", folder, "-q")
    assert "compact" not in built.output
    (photos / "coins.jpg").unlink()
    built = photoseek("build", photos, "-i", folder, "-q")
    assert built.stderr == (
        f"1 of 3 rows are of photos that are gone; their room comes back with: photoseek compact -i {folder}\n"
    )
    found = photoseek("search", "a cat", "-i", folder, "--json").stdout
    result = photoseek("compact", "-i", folder, "-q")
    assert (result.exit_code, result.stdout) == (0, f"1 row removed, 2 left in {folder}\n")
    assert result.stderr.startswith("to do: write 2 of 3 rows anew, without 1 that no photo has; needs ")
    assert photoseek("search", "a cat", "-i", folder, "--json").stdout == found
    assert photoseek("verify", "-i", folder).exit_code == 0
    assert photoseek("info", "-i", folder, "--json").exit_code == 0
    again = photoseek("compact", "-i", folder)
    assert (again.stdout, again.stderr) == ("", "nothing to compact: every row has a photo\n")


def test_compacting_a_policys_index_scores_its_photos_again(index: Path, tmp_path: Path) -> None:
    photos, folder = tmp_path / "photos", tmp_path / "index"
    shutil.copytree(index.parent / "photos", photos)
    assert photoseek("build", photos, "-i", folder, "-q", "--policy", "minors").exit_code == 0
    (photos / "coins.jpg").unlink()
    photoseek("build", photos, "-i", folder, "-q")
    assert photoseek("compact", "-i", folder, "-q").exit_code == 0
    (view,) = (folder / "views").iterdir()
    assert list(view.glob("policy-*.safetensors"))
    assert photoseek("verify", "-i", folder).exit_code == 0
