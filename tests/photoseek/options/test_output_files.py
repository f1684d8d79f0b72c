"""No output of any command replaces anything but an older output of its kind."""

import os
import re
import shutil
from pathlib import Path

import click
import pytest
from click.testing import Result
from PIL import Image

from answers import refusal
from cli import main
from command_line import SAMPLE, photoseek, refused
from photoseek.options.judged_sets import JudgedSet, JudgedSetType
from photoseek.options.output_files import PLOT, RESULTS, SHEET, OutputFile, OutputFolder, WritingCommand
from reranker.ranker import FAST_FOLDER
from unusual_photos.exif_blocks import camera_exif

# What options and arguments with a path name if they are no outputs.
INPUTS = {
    "photos", "folder", "ranker", "like", "unlike", "queries", "judged", "class_names", "base", "breadth", "elsewhere",
    "compare",
}  # fmt: skip
ARGUMENTS = {
    "search": ["a cat"],
    "batch": ["QUERIES"],
    "explore": ["JUDGED"],
    "train": ["JUDGED"],
    "evaluate": ["JUDGED", "--protocol", "official"],
    "bench": ["--count", "2", "--runs", "1"],
}
WITH_INDEX = ("search", "batch", "bench")


def outputs() -> list[tuple[str, str]]:
    """Return (command, option) of every output of every command."""
    assert isinstance(main, click.Group)
    return [
        (name, param.opts[0])
        for name, command in main.commands.items()
        for param in command.params
        if isinstance(param.type, OutputFile | OutputFolder)
    ]


@pytest.fixture
def place(index: Path, photos: Path, tmp_path: Path) -> dict[str, Path]:
    """Return a judged folder, a query file, and one file of each kind that must stay."""
    shutil.copytree(SAMPLE, tmp_path / "judged")
    (tmp_path / "queries.csv").write_text("query_id,query\n1,a cat\n")
    (tmp_path / "other queries.jsonl").write_text('{"query": "a cat"}\n')
    shutil.copy(SAMPLE / "train_images" / "cat.jpg", tmp_path / "my photo.jpg")
    return {
        "index": index,
        "judged": tmp_path / "judged",
        "queries": tmp_path / "queries.csv",
        "photo of the index": photos / "saucer again.jpg",
        "photo elsewhere": tmp_path / "my photo.jpg",
        "judged photo": tmp_path / "judged" / "train_images" / "cat.jpg",
        "judged table": next((tmp_path / "judged").glob("*.csv")),
        "query file": tmp_path / "queries.csv",
        "other query file": tmp_path / "other queries.jsonl",
        "file of the index": index / "manifest.json",
        "catalogue": index / "catalogue.sqlite",
    }


TARGETS = (
    "photo of the index", "photo elsewhere", "judged photo", "judged table", "query file", "other query file",
    "file of the index", "catalogue",
)  # fmt: skip


def run(command: str, option: str, output: Path, place: dict[str, Path], *more: str) -> Result:
    arguments = [{"QUERIES": place["queries"], "JUDGED": place["judged"]}.get(one, one) for one in ARGUMENTS[command]]
    index = ["-i", place["index"]] if command in WITH_INDEX else []
    return photoseek(command, *arguments, *index, option, output, *more)


def test_every_option_with_a_path_is_known_as_an_input_or_checked_as_an_output() -> None:
    assert isinstance(main, click.Group)
    for name, command in main.commands.items():
        written = [param for param in command.params if isinstance(param.type, OutputFile | OutputFolder)]
        assert isinstance(command, WritingCommand) is bool(written), name
        for param in command.params:
            if isinstance(param.type, click.Path) and param not in written:
                assert param.name in INPUTS, f"{name} {param.opts}"
        # Options that a command reads as plain text and then opens, too, are not written.
        names = {param.name for param in command.params} - INPUTS
        assert not names & {"output", "html", "sheet", "plot", "trec"} - {param.name for param in written}, name
    assert {command for command, _ in outputs()} == set(ARGUMENTS)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("command", "option"), outputs())
def test_an_output_replaces_none_of_what_users_keep(
    command: str, option: str, target: str, place: dict[str, Path]
) -> None:
    path = place[target]
    before = path.read_bytes()
    result = run(command, option, path, place)
    assert result.exit_code in (1, 2), result.output
    assert result.stdout == ""
    assert path.read_bytes() == before
    # One line says why; a misuse has the usage before it.
    assert len(result.stderr.splitlines()) == (1 if result.exit_code == 1 else 4), result.stderr


def never_replaced() -> list[tuple[str, str, str]]:
    """Return (command, option, target) of what --force does not replace either: what lies among what is read."""
    own = {
        name: ("photo of the index",) if name in WITH_INDEX else ("judged photo", "judged table") for name in ARGUMENTS
    }
    return [(*output, target) for output in outputs() for target in (*own[output[0]], "file of the index", "catalogue")]


@pytest.mark.parametrize(("command", "option", "target"), never_replaced())
def test_force_does_not_destroy_what_lies_among_what_is_read(
    command: str, option: str, target: str, place: dict[str, Path]
) -> None:
    path = place[target]
    before = path.read_bytes()
    result = run(command, option, path, place, "--force")
    assert result.exit_code in (1, 2), result.output
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "refusal"),
    [("explore", "is there already and was not written as a report"), ("train", "holds a ranker already")],
)
def test_only_a_batch_takes_a_dash_for_standard_output(
    command: str, refusal: str, place: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if command == "train":
        shutil.copytree(FAST_FOLDER, "-")
    else:
        Path("-").write_text("mine")
    line = f"-o - {refusal}; give another name, or --force to replace it"
    refused(run(command, "-o", Path("-"), place), line)


def spellings(photo: Path, folder: Path) -> dict[str, Path]:
    """Return other names of a photo of the index."""
    (folder / "linked folder").symlink_to(photo.parent)
    (folder / "link.jpg").symlink_to(photo)
    os.link(photo, folder / "hard link.jpg")
    (photo.parent / "within.jpg").symlink_to(photo)
    return {
        "through a linked folder": folder / "linked folder" / photo.name,
        "with dots": photo.parent / "crops" / ".." / photo.name,
        "a link": folder / "link.jpg",
        "a hard link": folder / "hard link.jpg",
        "a link among the photos": photo.parent / "within.jpg",
    }


def test_a_photo_is_known_by_any_spelling(index: Path, photos: Path, tmp_path: Path) -> None:
    photo = photos / "saucer again.jpg"
    before = photo.read_bytes()
    for name, path in spellings(photo, tmp_path).items():
        result = photoseek("search", "a cat", "-i", index, "--sheet", path)
        assert (result.exit_code, result.stdout) == (1, ""), name
        assert (path.read_bytes(), photo.read_bytes()) == (before, before), name
    os.unlink(photos / "within.jpg")


def test_older_outputs_are_replaced(index: Path, tmp_path: Path) -> None:
    (tmp_path / "queries.csv").write_text("query_id,query\n1,a cat\n2,coins\n")
    for ending in (".csv", ".jsonl", ".parquet", ".trec", ".CSV"):
        output = tmp_path / f"results{ending}"
        for k in (1, 2):
            result = photoseek("batch", tmp_path / "queries.csv", "-o", output, "-i", index, "-k", k)
            assert (result.exit_code, result.stderr) == (0, ""), ending
    for ending in (".jpg", ".png", ".webp", ".tif", ".gif"):
        for _ in range(2):
            sheet = tmp_path / f"sheet{ending}"
            result = photoseek("search", "a cat", "-i", index, "--sheet", sheet)
            assert result.stderr == f"contact sheet: {sheet}\n", ending
    (tmp_path / "empty.png").write_bytes(b"")
    assert photoseek("search", "a cat", "-i", index, "--sheet", tmp_path / "empty.png").exit_code == 0


def test_reports_are_told_from_other_pages(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "judged")
    report = tmp_path / "judged" / "report.html"
    for _ in range(2):  # even among the judged data, where nothing else is replaced
        result = photoseek("explore", tmp_path / "judged", "-o", report, "-q")
        assert result.exit_code == 0, result.stderr
    report.write_text("<!doctype html><title>mine</title>")
    result = photoseek("explore", tmp_path / "judged", "-o", report, "-q", "--force")
    refused(result, f"-o {report} lies in {tmp_path / 'judged'}, of which nothing is replaced")


def test_force_replaces_a_picture_and_another_query_file(index: Path, tmp_path: Path) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "mine.png")
    arguments = ("search", "a cat", "-i", index, "--sheet", tmp_path / "mine.png")
    advice = "give another name, or --force to replace it"
    line = f"--sheet {tmp_path / 'mine.png'} is there already and was not written as a contact sheet; {advice}"
    refused(photoseek(*arguments), line)
    assert photoseek(*arguments, "--force").exit_code == 0
    with Image.open(tmp_path / "mine.png") as sheet:
        assert sheet.width > 1000
    queries = tmp_path / "queries.csv"
    queries.write_text("query_id,query\n1,a cat\n")
    other = tmp_path / "other.csv"
    other.write_text("query_id,query\n1,a cat\n")
    assert photoseek("batch", queries, "-o", other, "-i", index, "--force").exit_code == 0
    assert other.read_bytes().startswith(b"query_id,query,rank,path,")


def test_force_does_not_replace_a_file_that_the_command_reads(index: Path, tmp_path: Path) -> None:
    queries, photo = tmp_path / "queries.csv", tmp_path / "mine.png"
    queries.write_text("query_id,query\n1,a cat\n")
    Image.new("RGB", (40, 40)).save(photo)
    os.link(queries, tmp_path / "same.csv")
    before = queries.read_bytes(), photo.read_bytes()
    for more in ((), ("--force",)):
        for output in (queries, tmp_path / "same.csv"):
            line = f"-o {output} is read by this command, so it is not replaced; give another name"
            refused(photoseek("batch", queries, "-o", output, "-i", index, *more), line)
        line = f"--sheet {photo} is read by this command, so it is not replaced; give another name"
        refused(photoseek("search", "--like", photo, "-i", index, "--sheet", photo, *more), line)
    assert (queries.read_bytes(), photo.read_bytes()) == before


def test_force_does_not_replace_what_a_camera_took(index: Path, tmp_path: Path) -> None:
    photo, edited = tmp_path / "IMG_1.jpg", tmp_path / "scan.jpg"
    Image.new("RGB", (40, 40)).save(photo, exif=camera_exif("Canon", "Canon EOS R", {}))
    Image.new("RGB", (40, 40)).save(edited, exif=camera_exif("", "", {0x9003: "2019:07:14 12:00:00"}))
    for path in (photo, edited):
        before = path.read_bytes()
        line = f"--sheet {path} is a photo that a camera took, so it is not replaced; give another name"
        for more in ((), ("--force",)):
            refused(photoseek("search", "a cat", "-i", index, "--sheet", path, *more), line)
        assert path.read_bytes() == before


@pytest.mark.parametrize(("command", "option"), outputs())
def test_nothing_new_is_written_into_an_index(command: str, option: str, place: dict[str, Path]) -> None:
    names = {"--sheet": "new.jpg", "--plot": "new.svg", "--trec": "new", "--html": "new.html"}
    name = names.get(option, {"batch": "new.jsonl", "explore": "new.html", "train": "new"}.get(command, ""))
    index = place["index"]
    before = sorted(index.iterdir())
    link = place["judged"].parent / "link to the index"
    link.symlink_to(index)
    for output in (index / name, index / "views" / name, link / name):
        for more in ((), ("--force",)):
            result = run(command, option, output, place, *more)
            refused(result, f"{option} {output} lies in an index; nothing is written into one")
    if name == "new":
        refused(run(command, option, index, place), f"{option} {index} is an index; nothing is written into one")
    assert sorted(index.iterdir()) == before


def path_options() -> list[tuple[str, str]]:
    """Return (command, option) of every option and argument that takes a path."""
    assert isinstance(main, click.Group)
    return [
        (name, param.opts[0])
        for name, command in main.commands.items()
        for param in command.params
        if isinstance(param.type, click.Path | JudgedSetType)
    ]


@pytest.mark.parametrize(("command", "option"), path_options())
def test_every_path_may_begin_with_the_home_directory(
    command: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(main, click.Group)
    param = next(param for param in main.commands[command].params if param.opts[0] == option)
    kind = param.type
    ending = {RESULTS: ".csv", SHEET: ".png", PLOT: ".png"}.get(getattr(kind, "kind", None), "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    target = tmp_path / f"of mine{ending}"
    if not isinstance(kind, OutputFile | OutputFolder):
        target.touch() if isinstance(kind, click.Path) and not kind.dir_okay else target.mkdir()
    found = kind.convert(f"~/of mine{ending}", param, None)
    assert (found.folder if isinstance(found, JudgedSet) else found) == target
    if isinstance(kind, click.Path):  # what click makes of -o=~/x
        assert kind.convert(f"=~/of mine{ending}", param, None) == target
    line = refusal(lambda: kind.convert(f"~no_such_user/x{ending}", param, None))
    assert line.startswith(f"~no_such_user/x{ending}: there is no user no_such_user; ")


def test_a_ranker_is_replaced_by_force_alone(tmp_path: Path) -> None:
    ranker = tmp_path / "team"
    shutil.copytree(SAMPLE.parents[1] / "reranker" / "default", ranker)
    before = {path.name: path.read_bytes() for path in ranker.iterdir()}
    result = photoseek("train", SAMPLE, "-o", ranker)
    line = f"-o {ranker} holds a ranker already; give another name, or --force to replace it"
    refused(result, line)
    assert {path.name: path.read_bytes() for path in ranker.iterdir()} == before


def test_a_pipe_is_no_place_for_an_output(index: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    line = f"--sheet {tmp_path / 'pipe.png'} is no regular file, so it cannot be replaced"
    refused(photoseek("search", "a cat", "-i", index, "--sheet", tmp_path / "pipe.png"), line)


def test_a_sheet_of_no_picture_format_is_refused_before_the_index_is_opened(tmp_path: Path) -> None:
    result = photoseek("search", "a cat", "-i", tmp_path / "none", "--sheet", tmp_path / "s.xyz")
    assert result.exit_code == 2
    assert f"{tmp_path / 's.xyz'}: the ending must be one of " in result.stderr
    usual = r"one of \.jpg, \.pdf, \.png, \.tif, \.webp, \.\w+ or \d+ others$"
    assert re.search(usual, result.stderr)
