"""photoseek compact, and what proposes it."""

import shutil
from pathlib import Path

import pytest

from command_line import photoseek
from unusual_photos.made_stacks import write_single


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compact")
    write_single(folder / "photos", "cat", "coins", "rocket")
    return folder / "index"


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
