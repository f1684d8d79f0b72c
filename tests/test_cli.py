"""The command line: whole stdout, whole stderr and the exit code of every command, on the sample's photos."""

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from cli import main
from indexer.errors import PhotoseekError
from indexer.index import Index
from reranker.ranker import Ranker
from search.searcher import Searcher

sys.path.insert(0, str(Path(__file__).parent))
from tiny_encoder import TinyEncoder

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARGUMENTS = {"build": "PHOTOS", "search": "[TEXT]", "batch": "QUERIES", "train": "JUDGED", "evaluate": "JUDGED"}
ODD = os.fsdecode(b"caf\xe9\n\x1b[31m.jpg")
ODD_SHOWN = "caf\\udce9\\n\\x1b[31m.jpg"


def photoseek(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], prog_name="photoseek")


def fresh(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, away from any terminal."""
    command = [sys.executable, "-m", "cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def refused(result: Result, line: str, code: int = 1) -> None:
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", f"photoseek: {line}\n")


def misused(result: Result, command: str, problem: str) -> None:
    usage = f"Usage: photoseek {command} [OPTIONS] {ARGUMENTS[command]}\nTry 'photoseek {command} --help' for help.\n"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{usage}\nError: {problem}\n")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of the sample, one twice, one under an odd name, and two files that are no photos."""
    root = tmp_path_factory.mktemp("cli") / "my photos"
    shutil.copytree(SAMPLE / "test_images", root / "crops")
    shutil.copy(SAMPLE / "test_images" / "saucer.jpg", root / "saucer again.jpg")
    shutil.copy(SAMPLE / "train_images" / "cat.jpg", root / ODD)
    (root / "broken.jpg").write_bytes(b"no photo")
    (root / "empty.png").write_bytes(b"")
    return root


def index_with(photos: Path, folder: Path, no_match: float) -> Path:
    """An index whose ranker calls every match good (0) or none (1.1)."""
    ranker = replace(Ranker.default(), no_match=no_match).finished()
    Index.build(photos, folder).attach(ranker)
    return folder


@pytest.fixture(scope="module")
def index(photos: Path) -> Path:
    return index_with(photos, photos.parent / "index", 0.0)


@pytest.fixture(scope="module")
def sceptic(photos: Path) -> Path:
    return index_with(photos, photos.parent / "sceptic", 1.1)


def lines_of(index: Path, text: str, k: int) -> list[str]:
    """The table that a search should print."""
    lines = []
    for hit in Searcher(Index.open(index)).search(text, k):
        path = hit.path.replace(ODD, ODD_SHOWN)
        copies = f"  (+{len(hit.copies)} same)" if hit.copies else ""
        lines.append(f"{hit.rank:>4}  {hit.relevance:.3f}  {path}{copies}")
    return lines


# build


def test_build_says_what_it_did_and_names_what_it_skipped(photos: Path, tmp_path: Path) -> None:
    first = photoseek("build", photos, "-i", tmp_path / "index")
    assert first.exit_code == 0
    assert re.sub(r"[0-9.]+ s\n", "T s\n", first.stdout) == (
        f"8 photos in {tmp_path / 'index'}: 8 added, 0 changed, 0 removed, 2 skipped, T s\n"
    )
    assert sorted(first.stderr.splitlines()) == [
        "skipped broken.jpg: not an image, or of a kind that is not read",
        "skipped empty.png: empty file",
    ]
    again = photoseek("build", photos, "-i", tmp_path / "index", "--quiet")
    assert (again.exit_code, again.stderr) == (0, "")
    assert again.stdout.startswith(f"8 photos in {tmp_path / 'index'}: 0 added, 0 changed, 0 removed, 2 skipped, ")


def test_build_refuses_what_it_cannot_index(tmp_path: Path) -> None:
    nowhere, index = tmp_path / "nowhere", tmp_path / "index"
    line = f"photo folder {str(nowhere)!r} cannot be read: No such file or directory"
    refused(photoseek("build", nowhere, "-i", index), line)
    nowhere.mkdir()
    refused(photoseek("build", nowhere, "-i", index), f"no photos found under {str(nowhere)!r}")
    result = photoseek("build", SAMPLE / "test_images", "-i", index, "--encoder", "resnet")
    assert result.exit_code == 1
    assert result.stderr.startswith("photoseek: no image encoder 'resnet'; there are: ")
    result = photoseek("build", SAMPLE / "test_images", "-i", index, "--policy", "none such")
    refused(result, "no policy 'none such'; there are: minors, or a path to a .toml file")
    assert not (index / "manifest.json").exists()
    misused(photoseek("build"), "build", "Missing argument 'PHOTOS'.")


def test_build_keeps_regions_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexer.index.load_image_encoder", lambda name, **_: TinyEncoder())
    index = tmp_path / "index"
    for arguments in (("--encoder", "tiny"), ("--regions",), ()):
        result = photoseek("build", SAMPLE / "test_images", "-i", index, "-q", *arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
        facts = json.loads(photoseek("info", "-i", index, "--json").stdout)
        assert facts["regions"] is (arguments != ("--encoder", "tiny"))
    assert np.count_nonzero(Index.open(index).regions()) > 0


def test_build_refuses_regions_of_an_encoder_without(tmp_path: Path) -> None:
    result = photoseek(
        "build", SAMPLE / "test_images", "-i", tmp_path / "index", "--regions", "--encoder", "efficientnet-lite2"
    )
    refused(result, "image encoder efficientnet-lite2 gives no region vectors; encoders that do: none yet")
    assert not (tmp_path / "index").exists()


# search


def test_search_prints_rank_relevance_and_path(index: Path) -> None:
    result = photoseek("search", "a cat", "-i", index, "-k", 20)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == lines_of(index, "a cat", 20)
    assert any(ODD_SHOWN in line for line in result.stdout.splitlines())
    assert result.stdout.count("(+1 same)") == 1


def test_search_prints_paths_alone(index: Path) -> None:
    hits = Searcher(Index.open(index)).search("a cat", 20)
    result = photoseek("search", "a cat", "-i", index, "-k", 20, "--paths")
    assert result.stdout.splitlines() == [hit.path.replace(ODD, ODD_SHOWN) for hit in hits]
    raw = photoseek("search", "a cat", "-i", index, "-k", 20, "-0")
    assert raw.stdout_bytes == b"".join(os.fsencode(hit.path) + b"\0" for hit in hits)
    assert all(os.path.exists(path) for path in raw.stdout_bytes.split(b"\0")[:-1])


def test_search_prints_one_json_object_whose_paths_round_trip(index: Path) -> None:
    answer = Searcher(Index.open(index)).answer("a cat", 20)
    result = photoseek("search", "a cat", "-i", index, "-k", 20, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    printed = json.loads(result.stdout)
    assert printed == answer.as_dict()
    assert (printed["format"], printed["query"], printed["good_match"]) == (1, "a cat", True)
    assert any(hit["path"].endswith(ODD) for hit in printed["hits"])


def test_search_says_when_nothing_fits(sceptic: Path) -> None:
    best = Searcher(Index.open(sceptic)).search("a cat", 1)[0].relevance
    line = f"no good match for 'a cat' (best relevance {best:.3f}; --misses shows it)\n"
    result = photoseek("search", "a cat", "-i", sceptic)
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    result = photoseek("search", "a cat", "-i", sceptic, "--fail-if-empty")
    assert (result.exit_code, result.stdout, result.stderr) == (3, line, "")
    result = photoseek("search", "a cat", "-i", sceptic, "--misses", "-k", 3)
    assert result.stdout.splitlines() == ["no good match for 'a cat'", *lines_of(sceptic, "a cat", 3)]
    for option in ("--paths", "-0"):
        result = photoseek("search", "a cat", "-i", sceptic, option)
        assert (result.exit_code, result.stdout) == (0, "")


def test_search_leaves_out_what_is_below_the_least_score(index: Path) -> None:
    result = photoseek("search", "a cat", "-i", index, "--min-score", "1")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "nothing of relevance 1 or more for 'a cat'\n", "")
    assert photoseek("search", "a cat", "-i", index, "--min-score", "1", "--fail-if-empty").exit_code == 3
    assert photoseek("search", "a cat", "-i", index, "--min-score", "0", "--fail-if-empty").exit_code == 0


def test_search_finds_photos_like_a_photo(index: Path, photos: Path) -> None:
    saucer = photos / "crops" / "saucer.jpg"
    result = photoseek("search", "--like", saucer, "-i", index, "-k", 1)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"   1  1.000  {saucer}  (+1 same)\n", "")
    assert photoseek("search", "--like", saucer, "-i", index, "--min-score", "0.99").stdout == result.stdout


def test_search_writes_a_contact_sheet(index: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = photoseek("search", "a cat", "-i", index, "-k", 7, "--sheet", sheet)
    assert (result.exit_code, result.stderr) == (0, f"contact sheet: {sheet}\n")
    with Image.open(sheet) as picture:
        assert picture.size == (5 * 228 + 8, 34 + 2 * 248 + 8)
        assert sum(picture.convert("L").histogram()[:128]) > 10_000
    line = f"contact sheet {tmp_path / 'sheet.doc'}: the ending must name a picture format, as .jpg or .png"
    result = photoseek("search", "a cat", "-i", index, "--sheet", tmp_path / "sheet.doc", "--paths", "-k", 1)
    assert (result.exit_code, result.stderr) == (1, f"photoseek: {line}\n")


def test_search_notes_a_query_that_was_cut(index: Path) -> None:
    result = photoseek("search", "a cat on a mat " * 2500, "-i", index, "-k", 1)
    note = "note: the query is longer than 256 word pieces; the rest was not read\n"
    assert (result.exit_code, result.stderr) == (0, note)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a TEXT that says what the photo shows, or --like PHOTO"),
        ([" "], "give a TEXT that says what the photo shows, or --like PHOTO"),
        (["a cat", "--like", "x.jpg"], "give a TEXT that says what the photo shows, or --like PHOTO"),
        (["--like", "x.jpg", "--without", "a cat"], "--without goes with a TEXT, not with --like"),
        (["a cat", "-k", "0"], "Invalid value for '-k': 0 is not in the range x>=1."),
        (["a cat", "--min-score", "2"], "Invalid value for '--min-score': 2.0 is not in the range 0<=x<=1."),
        (["a cat", "--min-score", "nan"], "Invalid value for '--min-score': nan is not a number."),
        (["a cat", "a dog"], "Got unexpected extra argument (a dog)"),
        (["a cat", "--nothing"], "No such option '--nothing'."),
    ],
)
def test_search_misused_exits_with_2(index: Path, arguments: list[str], problem: str) -> None:
    misused(photoseek("search", *arguments, "-i", index), "search", problem)


def test_no_number_at_all_is_misuse_for_batch_and_build_too(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("a cat\n")
    result = photoseek("batch", tmp_path / "q.txt", "-o", tmp_path / "r.csv", "--min-score", "NaN")
    misused(result, "batch", "Invalid value for '--min-score': NaN is not a number.")
    result = photoseek("build", photos, "-i", tmp_path / "index", "--deadline", "nan")
    misused(result, "build", "Invalid value for '--deadline': nan is not a number.")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["q.txt"]


def test_search_refuses_with_the_next_command(index: Path, photos: Path, tmp_path: Path) -> None:
    none = tmp_path / "none"
    refused(photoseek("search", "a cat", "-i", none), f"no index at {none}; make one: photoseek build PHOTOS -i {none}")
    result = photoseek("search", "a cat", "-i", index, "--under", "nowhere")
    refused(result, f"no photos of index {index} lie under 'nowhere'")
    result = photoseek("search", "a cat", "-i", index, "--ranker", none)
    refused(result, f"no ranker at {none}; train one: photoseek train JUDGED -o {none}")
    result = photoseek("search", "--like", photos / "broken.jpg", "-i", index)
    refused(result, f"photo {photos / 'broken.jpg'}: not an image, or of a kind that is not read")


def test_the_index_can_come_from_the_environment(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSEEK_INDEX", str(index))
    assert photoseek("search", "a cat", "-k", 2).stdout.splitlines() == lines_of(index, "a cat", 2)


def test_a_blocked_query_prints_the_disclaimer(photos: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    assert photoseek("build", photos, "-i", index, "--policy", "minors", "-q").exit_code == 0
    disclaimer = "This image is unavailable in your country in compliance with local laws"
    result = photoseek("search", "a child with a cat", "-i", index)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{disclaimer}\n", "")
    result = photoseek("search", "a child with a cat", "-i", index, "--paths")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{disclaimer}\n")
    result = photoseek("search", "a child with a cat", "-i", index, "--json")
    assert json.loads(result.stdout) == {
        "format": 1,
        "id": "1",
        "query": "a child with a cat",
        "good_match": False,
        "blocked": True,
        "disclaimer": disclaimer,
        "hits": [],
    }
    assert photoseek("build", photos, "-i", index, "--policy", "none", "-q").exit_code == 0
    assert disclaimer not in photoseek("search", "a child with a cat", "-i", index).stdout


# batch


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "trec"])
def test_batch_answers_a_file(index: Path, tmp_path: Path, ending: str) -> None:
    queries, output = tmp_path / "q.txt", tmp_path / f"r.{ending}"
    queries.write_text("a cat\ncoins on a table\n")
    result = photoseek("batch", queries, "-o", output, "-i", index, "-k", 3, "--sheet", tmp_path / "sheet.jpg")
    line = f"2 queries answered, 0 without a good match, 0 with an error -> {output}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    assert output.stat().st_size > 0
    with Image.open(tmp_path / "sheet.jpg") as picture:
        assert picture.size == (1148, 2 * (34 + 248) + 8)


def test_batch_goes_past_bad_rows_if_told_to(sceptic: Path, tmp_path: Path) -> None:
    queries, output = tmp_path / "q.csv", tmp_path / "r.jsonl"
    queries.write_text("id,text\na,a cat\na,a dog\nb,coins\n")
    error = f"{queries} line 3, column 'text': id 'a' was there before"
    refused(photoseek("batch", queries, "-o", output, "-i", sceptic), f"{error} (--keep-going goes past it)")
    assert not output.exists()
    result = photoseek("batch", queries, "-o", output, "-i", sceptic, "--keep-going", "-k", 1)
    line = f"2 queries answered, 2 without a good match, 1 with an error -> {output}\n"
    assert (result.exit_code, result.stdout, result.stderr) == (0, line, "")
    rows = [json.loads(text) for text in output.read_text().splitlines()]
    assert [(row["id"], len(row["hits"]), row.get("error")) for row in rows] == [
        ("a", 1, None),
        ("a", 0, error),
        ("b", 1, None),
    ]


def test_batch_checks_its_output_before_it_works(index: Path, tmp_path: Path) -> None:
    queries = tmp_path / "q.txt"
    queries.write_text("a cat\n")
    result = photoseek("batch", queries, "-o", "r.xlsx", "-i", index)
    misused(result, "batch", "-o r.xlsx: the ending must be one of .csv, .jsonl, .parquet, .trec")
    misused(photoseek("batch", queries, "-i", index), "batch", "Missing option '-o' / '--output'.")


# use, info, bench


def test_use_attaches_a_ranker(photos: Path, tmp_path: Path) -> None:
    index, ranker = tmp_path / "index", tmp_path / "ranker"
    Index.build(photos, index)
    changed = replace(Ranker.default(), hub_weight=0.25).finished()
    changed.save(ranker)
    result = photoseek("use", ranker, "-i", index)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"index {index} now uses ranker {changed.id}\n"
    assert Searcher(Index.open(index)).ranker.id == changed.id
    none = tmp_path / "none"
    refused(photoseek("use", none, "-i", index), f"no ranker at {none}; train one: photoseek train JUDGED -o {none}")


def test_info_prints_the_state_of_an_index(index: Path, photos: Path) -> None:
    facts = Index.open(index).facts()
    printed = json.loads(photoseek("info", "-i", index, "--json").stdout)
    assert printed == {"format": 1, **json.loads(json.dumps(facts))}
    result = photoseek("info", "-i", index, "--skipped")
    lines = result.stdout.splitlines()
    assert (result.exit_code, result.stderr) == (0, "")
    assert lines[:6] == [
        f"index           {index}",
        "photos          8",
        "rows            7",
        "dead rows       0",
        "skipped         2",
        f"roots           {photos}",
    ]
    assert lines[-2:] == [
        "  broken.jpg: not an image, or of a kind that is not read",
        "  empty.png: empty file",
    ]


def test_bench_prints_every_stage(index: Path, tmp_path: Path) -> None:
    queries = tmp_path / "q.txt"
    queries.write_text("a cat\ncoins\n")
    result = photoseek("bench", "-i", index, "--json", "--count", 5, "--runs", 1, "--queries", queries)
    assert (result.exit_code, result.stderr) == (0, "")
    figures = json.loads(result.stdout)
    assert figures["format"] == 1
    for stage in ("encode", "map", "candidates", "rerank", "fetch", "total"):
        times = figures["stages"][stage]
        assert 0 < times["p50_ms"] <= times["p95_ms"] <= times["p99_ms"]
    assert figures["cold"]["total_ms"] > figures["stages"]["total"]["p50_ms"]
    assert figures["candidates"]["recall@100"] == 1.0
    assert min(figures["memory"].values()) > 0


# train, evaluate: their refusals here, their work in test_flow.py


def test_train_refuses_a_place_it_cannot_write_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    result = photoseek("train", SAMPLE, "-o", tmp_path / "file")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: {tmp_path}/file is a file; give a folder for the ranker with -o\n"
    result = photoseek("train", SAMPLE, "-o", tmp_path / "full")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: {tmp_path}/full is not a ranker and not empty; give another folder with -o\n"


def test_train_and_evaluate_refuse_bad_data(tmp_path: Path) -> None:
    none = tmp_path / "none"
    problem = f"Invalid value for 'JUDGED': Directory '{none}' does not exist."
    misused(photoseek("train", none, "-o", tmp_path / "r"), "train", problem)
    misused(photoseek("evaluate", none), "evaluate", problem)
    result = photoseek("evaluate", SAMPLE, "--protocol", "nonsense")
    assert result.exit_code == 2
    assert "Error: no protocol 'nonsense'; there are: " in result.stderr
    judged = tmp_path / "judged"
    shutil.copytree(SAMPLE, judged)
    with open(judged / "ExpertAnnotations.tsv", "a") as file:
        file.write("nowhere.jpg\tcat.jpg#0\t1\t2\t3\n")
    count = len((judged / "ExpertAnnotations.tsv").read_text().splitlines())
    line = f"{judged / 'ExpertAnnotations.tsv'} line {count}: photo nowhere.jpg is in no photo folder"
    refused(photoseek("train", judged, "-o", tmp_path / "r"), f"{line} (--keep-going drops such rows)")


# the terminal, interruption, bugs


def test_off_a_terminal_there_is_no_bar_and_no_colour(photos: Path, tmp_path: Path) -> None:
    done = fresh("build", photos, "-i", tmp_path / "index", env={**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"})
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_bar_moves_on_a_terminal_and_has_no_colour_if_asked(
    photos: Path, tmp_path: Path, settings: dict[str, str], coloured: bool
) -> None:
    master, slave = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    done = subprocess.Popen(
        [sys.executable, "-m", "cli", "build", str(photos), "-i", str(tmp_path / "index")],
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**environment, "TERM": "xterm-256color", "COLUMNS": "100", **settings},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            shown += os.read(master, 65536)
        except OSError:  # the terminal is gone with its last process
            break
    assert done.communicate()[0].startswith(b"8 photos in ")
    assert done.returncode == 0
    assert b"indexing" in shown
    assert bool(re.search(rb"\x1b\[[0-9;]*3[0-9]", shown)) is coloured


def test_an_interrupted_build_says_so_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    photos, index = tmp_path / "photos", tmp_path / "index"
    photos.mkdir()
    sources = sorted((SAMPLE / "train_images").iterdir())
    total = 900
    for number in range(total):
        # Bytes after the end of a JPEG are no part of the picture, but make it another file.
        content = sources[number % len(sources)].read_bytes() + number.to_bytes(4, "big")
        (photos / f"{number:04}.jpg").write_bytes(content)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "build", str(photos), "-i", str(index)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A suite that runs in the background of a shell inherits that Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    committed = 0
    while committed == 0 and process.poll() is None:
        time.sleep(0.01)
        try:
            committed = Index.open(index).catalogue.photo_count()
        except PhotoseekError:
            continue  # not begun
    # As a terminal does it: the signal goes to the workers, too.
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "photoseek: interrupted; the same command goes on where it stopped\n"
    committed = Index.open(index).catalogue.photo_count()
    assert 0 < committed < total
    done = fresh("build", photos, "-i", index)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{total} photos in {index}: {total - committed} added, 0 changed, 0 removed, ")
    assert json.loads(photoseek("info", "-i", index, "--json").stdout)["unfinished"] == 1


def test_a_reader_that_closes_the_pipe_is_no_error(index: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m cli search 'a cat' -i {shlex.quote(str(index))} -k 9 | true"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_bug_keeps_its_traceback(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Searcher, "__init__", broken)
    result = photoseek("search", "a cat", "-i", index)
    assert isinstance(result.exception, ZeroDivisionError)


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"photoseek \d+\.\d+\.\d+\n", photoseek("--version").stdout)


# help


def commands() -> dict[str, click.Command]:
    assert isinstance(main, click.Group)
    return dict(main.commands)


@pytest.mark.parametrize("name", commands())
def test_every_command_and_option_has_help(name: str) -> None:
    result = photoseek(name, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert commands()[name].help
    options = [parameter for parameter in commands()[name].params if isinstance(parameter, click.Option)]
    assert [option.opts for option in options if not option.help and not option.show_default] == []


@pytest.mark.parametrize("name", commands())
def test_every_help_ends_in_an_example_that_can_be_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = (commands()[name].help or "").strip().splitlines()[-1].strip()
    program, command, *arguments = shlex.split(last)
    assert (program, command) == ("photoseek", name)
    # What the examples name is there, so that every check of an option or argument passes.
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLE, tmp_path / "data" / "sample")
    (tmp_path / "queries.csv").write_text("text\na cat\n")
    with commands()[name].make_context(name, arguments) as context:
        assert context.args == []


@pytest.mark.parametrize("name", commands())
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"photoseek {name}\b", README), f"README.md does not show photoseek {name}"
