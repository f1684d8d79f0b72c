"""Messages of build, info and forget about the folders of an index, as they are printed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import SAMPLE, misused, photoseek, refused
from tiny_encoder import TinyEncoder
from tiny_index import grey

NO_RANKER = "no ranker for tiny yet; train one: photoseek train JUDGED -o RANKER --image-encoder tiny\n"
CASES = Path(__file__).resolve().parents[4] / "shared" / "cases" / "make_cases.py"


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.building.builder.load_image_encoder", lambda name, **_: TinyEncoder())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    grey(root, a=0, b=51, trip__c=102)
    for name in ("film.mp4", "notes.txt", "trip/readme.md", "@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg", "@eaDir/b.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def built(*arguments: object, stderr: str = NO_RANKER) -> list[str]:
    """Build and return the lines of stdout without the seconds."""
    result = photoseek("build", *arguments, "--encoder", "tiny")
    assert (result.exit_code, result.stderr) == (0, stderr)
    return re.sub(r"[0-9.]+ s\n", "T s\n", result.stdout).splitlines()


def facts(index: Path, *options: str) -> dict:
    result = photoseek("info", "-i", index, "--json", *options)
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


@pytest.mark.usefixtures("tiny")
def test_build_counts_what_it_passed_over_and_info_lists_it(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    assert built(tree, "-i", index) == [
        f"3 photos in {index}: 3 added, 0 changed, 0 removed, 0 skipped, T s",
        f"passed over: 2 thumbnails (1 folder), 1 video, 2 texts; photoseek info -i {index} --passed-over lists them",
    ]
    told = facts(index, "--passed-over")
    assert told["passed_over"] == {"thumbnails": 2, "videos": 1, "texts": 2}
    common = {"root": str(tree), "all_counted": True}
    assert told["passed_over_paths"] == [
        {"kind": "texts", "files": 2, "folders": 0, "photos_in_folders": 0, "paths": ["notes.txt", "trip/readme.md"]}
        | common,
        {"kind": "thumbnails", "files": 0, "folders": 1, "photos_in_folders": 2, "paths": ["@eaDir/"]} | common,
        {"kind": "videos", "files": 1, "folders": 0, "photos_in_folders": 0, "paths": ["film.mp4"]} | common,
    ]
    assert "passed_over_paths" not in facts(index)
    lines = photoseek("info", "-i", index, "--passed-over").stdout.splitlines()
    assert "passed over     2 thumbnails, 1 video, 2 texts" in lines
    assert "exclude         none" in lines
    assert lines[-7:] == [
        f"2 texts under {tree}",
        "  notes.txt",
        "  trip/readme.md",
        f"2 thumbnails (1 folder) under {tree}",
        "  @eaDir/",
        f"1 video under {tree}",
        "  film.mp4",
    ]


@pytest.mark.usefixtures("tiny")
def test_patterns_are_kept_until_others_are_given(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    built(tree, "-i", index)
    kept = "patterns that the index keeps now: --exclude trip/ --exclude '/a.*' --include @eaDir/b.jpg\n"
    left = "2 photos of the index left out from now on\n"
    options = ("--exclude", "trip/", "--exclude", "/a.*", "--include", "@eaDir/b.jpg")
    skipped = "skipped @eaDir/b.jpg: empty file\n"
    assert built(tree, "-i", index, *options, stderr=kept + left + skipped + NO_RANKER) == [
        f"1 photo in {index}: 0 added, 0 changed, 0 removed, 1 skipped, T s",
        "passed over: 2 left out by patterns (1 folder), 1 thumbnail (1 folder), 1 video, 2 texts; "
        f"photoseek info -i {index} --passed-over lists them",
    ]
    told = facts(index)
    assert (told["exclude"], told["include"], told["left_out"]) == (["trip/", "/a.*"], ["@eaDir/b.jpg"], 2)
    lines = photoseek("info", "-i", index).stdout.splitlines()
    assert "exclude         trip/, /a.*" in lines
    assert "include         @eaDir/b.jpg" in lines
    assert "left out        2" in lines
    built(tree, "-i", index)
    assert facts(index)["exclude"] == ["trip/", "/a.*"]
    back = "patterns that the index keeps now: none\n2 photos taken again that had been left out\n"
    built(tree, "-i", index, "--exclude", "", stderr=back + NO_RANKER)
    told = facts(index)
    assert (told["exclude"], told["include"], told["left_out"], told["photos"]) == ([], [], 0, 3)
    refused(
        photoseek("build", tree, "-i", index, "--encoder", "tiny", "--exclude", "!"),
        "--exclude: '!' is no pattern of gitignore",
    )


@pytest.mark.usefixtures("tiny")
def test_build_takes_several_folders(tree: Path, tmp_path: Path) -> None:
    index, more = tmp_path / "index", tmp_path / "more"
    grey(more, e=9)
    (more / "film.mov").touch()
    assert built(tree, more, tree / "trip", "-i", index)[0].startswith(f"4 photos in {index}: 4 added, ")
    assert facts(index)["roots"] == [str(tree), str(more)]
    # A build says what its own folders passed over.
    assert built(more, "-i", index)[1] == f"passed over: 1 video; photoseek info -i {index} --passed-over lists them"


@pytest.mark.usefixtures("tiny")
def test_forget_takes_a_folder_or_a_part_of_it_out(tree: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    built(tree, "-i", index)
    result = photoseek("forget", tree / "trip", "-i", index)
    assert (result.exit_code, result.stdout) == (0, f"1 photo forgotten, 2 left in {index}\n")
    assert result.stderr == f"the next build of {tree} takes them in again, unless --exclude names them\n"
    result = photoseek("forget", tree, "-i", index)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"2 photos forgotten, 0 left in {index}\n", "")
    refused(photoseek("forget", tree, "-i", index), f"no photos of the index lie under {tree}; its folders: none")
    misused(photoseek("forget", "-i", index), "forget", "Missing argument 'FOLDER'.")
    assert sorted(path.name for path in tree.glob("*.png")) == ["a.png", "b.png"]


def test_searches_after_a_renaming_show_the_new_name_alone(tmp_path: Path) -> None:
    old, new, index = tmp_path / "old", tmp_path / "new", tmp_path / "index"
    old.mkdir()
    for name in ("cat.jpg", "rocket.jpg"):
        (old / name).write_bytes((SAMPLE / "train_images" / name).read_bytes())
    assert photoseek("build", old, "-i", index, "-q").exit_code == 0
    old.rename(new)
    result = photoseek("build", new, "-i", index, "-q")
    assert result.stderr == f"2 photos moved from {old} to {new}\n"
    found = photoseek("search", "a cat", "-i", index, "--misses", "--paths").stdout.splitlines()
    assert sorted(found) == [str(new / "cat.jpg"), str(new / "rocket.jpg")]
    (tmp_path / "link").symlink_to(new)
    under = photoseek("search", "a cat", "-i", index, "--misses", "--paths", "--under", tmp_path / "link")
    assert under.stdout.splitlines() == found
    # Excluded and forgotten photos are found no more.
    assert photoseek("build", new, "-i", index, "-q", "--exclude", "cat*").exit_code == 0
    assert photoseek("search", "a cat", "-i", index, "--misses", "--paths").stdout == f"{new}/rocket.jpg\n"
    assert photoseek("forget", new, "-i", index).exit_code == 0
    result = photoseek("search", "a cat", "-i", index, "--misses")
    assert (result.exit_code, result.stdout) == (0, "the index holds no photos\n")


@pytest.mark.usefixtures("tiny")
def test_the_thumbnails_and_bins_of_the_cases_are_left_out_and_counted(tmp_path: Path) -> None:
    if not CASES.is_file():
        pytest.skip("needs ../shared/cases beside the checkout")
    photos = sorted((SAMPLE / "train_images").glob("*.jpg"))[:2]
    subprocess.run([sys.executable, CASES, tmp_path / "cases", *photos], check=True)
    index = tmp_path / "index"
    assert built(tmp_path / "cases" / "nas", "-i", index) == [
        f"2 photos in {index}: 2 added, 0 changed, 0 removed, 0 skipped, T s",
        "passed over: 3 thumbnails (3 folders), 2 in bins (2 folders), 1 beside a .nomedia file (1 folder); "
        f"photoseek info -i {index} --passed-over lists them",
    ]
