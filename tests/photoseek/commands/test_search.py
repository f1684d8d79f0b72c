"""photoseek search: whole stdout, whole stderr and the exit code."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from command_line import ODD, ODD_SHOWN, lines_of, misused, photoseek, refused
from indexer.index import Index
from search.searcher import Searcher


def test_search_prints_rank_relevance_and_path(index: Path) -> None:
    result = photoseek("search", "a cat", "-i", index, "-k", 20)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == lines_of(index, "a cat", 20)
    assert any(ODD_SHOWN in line for line in result.stdout.splitlines())
    assert result.stdout.count("(+1 same)") == 1


def test_search_prints_paths_alone(index: Path) -> None:
    hits = Searcher(Index.open(index)).search("a cat", 20)
    result = photoseek("search", "a cat", "-i", index, "-k", 20, "--paths")
    assert result.stdout_bytes == b"".join(os.fsencode(hit.path) + b"\n" for hit in hits)
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
    assert printed["match_probability"] == round(answer.match_probability, 4)
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


def test_search_goes_by_the_order_and_shows_a_relevance_that_never_rises(index: Path, regional: Path) -> None:
    for folder in (index, regional):
        hits = json.loads(photoseek("search", "a cat", "-i", folder, "-k", 20, "--json").stdout)["hits"]
        for name in ("score", "relevance"):
            assert [hit[name] for hit in hits] == sorted((hit[name] for hit in hits), reverse=True)
        result = photoseek("search", "a cat", "-i", folder, "-k", 20)
        assert result.stdout.splitlines() == lines_of(folder, "a cat", 20)


def test_search_without_takes_off_what_it_names(index: Path) -> None:
    options = ("-i", index, "-k", 20, "--json")
    plain, without = (
        json.loads(photoseek("search", "a photo", *options, *more).stdout)["hits"]
        for more in ((), ("--without", "a cat"))
    )
    assert {hit["path"] for hit in plain} == {hit["path"] for hit in without}

    before, after = ({hit["path"]: hit["score"] for hit in hits} for hits in (plain, without))
    assert min(before, key=lambda path: after[path] - before[path]).endswith(ODD)
    assert sum(hit["relevance"] for hit in without) < sum(hit["relevance"] for hit in plain)


def test_search_leaves_out_what_is_below_the_least_score(index: Path) -> None:
    result = photoseek("search", "a cat", "-i", index, "--min-score", "1")
    assert (result.exit_code, result.stdout) == (0, "no good match for 'a cat'\n")
    (best,) = photoseek("search", "a cat", "-i", index, "-k", "1").stdout.splitlines()
    assert result.stderr == f"note: no photo has a relevance of 1 or more; the best has {best.split()[1]}\n"
    as_json = json.loads(photoseek("search", "a cat", "-i", index, "--min-score", "1", "--json").stdout)
    assert (as_json["good_match"], as_json["hits"]) == (False, [])
    # Where filters left nothing, the relevance is not to blame.
    filtered = photoseek("search", "a cat", "-i", index, "--min-score", "1", "--after", "2900")
    assert (filtered.stdout, filtered.stderr) == ("no good match for 'a cat'\n", "note: no photo passes the filters\n")
    assert photoseek("search", "a cat", "-i", index, "--min-score", "1", "--fail-if-empty").exit_code == 3
    assert photoseek("search", "a cat", "-i", index, "--min-score", "0", "--fail-if-empty").exit_code == 0


def test_search_finds_photos_like_a_photo(index: Path, photos: Path) -> None:
    saucer = photos / "crops" / "saucer.jpg"
    result = photoseek("search", "--like", saucer, "-i", index, "-k", 1)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"   1  1.000  {saucer}  (+1 same)\n", "")
    assert photoseek("search", "--like", saucer, "-i", index, "--min-score", "0.99").stdout == result.stdout
    printed = json.loads(photoseek("search", "--like", saucer, "-i", index, "-k", 3, "--json").stdout)
    assert (printed["good_match"], "match_probability" in printed) == (True, False)
    assert [hit["score"] for hit in printed["hits"]] == [hit["relevance"] for hit in printed["hits"]]


def test_search_writes_a_contact_sheet(index: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = photoseek("search", "a cat", "-i", index, "-k", 7, "--sheet", sheet)
    assert (result.exit_code, result.stderr) == (0, f"contact sheet: {sheet}\n")
    with Image.open(sheet) as picture:
        assert picture.size == (5 * 228 + 8, 34 + 2 * 248 + 8)
        assert sum(picture.convert("L").histogram()[:128]) > 10_000


def test_paths_are_the_very_bytes_off_a_terminal(index: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = photoseek("search", "a cat", "-i", index, "-k", 1, "--paths")
    assert result.stdout_bytes == os.fsencode(photos / ODD) + b"\n"
    assert photoseek("search", "a cat", "-i", index, "-k", 1, "-0").stdout_bytes == os.fsencode(photos / ODD) + b"\0"
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _self: True, raising=False)
    assert photoseek("search", "a cat", "-i", index, "-k", 1, "--paths").stdout == f"{photos}/{ODD_SHOWN}\n"


def test_json_and_paths_do_not_go_together(index: Path) -> None:
    for option in ("--paths", "-0"):
        result = photoseek("search", "a cat", "-i", index, "--json", option)
        misused(result, "search", "--json and --paths (or -0) are two forms of output; give one")


def test_search_asks_with_a_text_photos_and_exclusions(index: Path, photos: Path) -> None:
    saucer, cat = photos / "crops" / "saucer.jpg", photos / ODD

    def hits(*arguments: object) -> list[str]:
        result = photoseek("search", *arguments, "-i", index, "-k", 20, "--json")
        assert result.exit_code == 0, result.stderr
        return [hit["path"] for hit in json.loads(result.stdout)["hits"]]

    assert hits("a photo", "--like", saucer, "--like-weight", "5")[0] == str(saucer)
    assert hits("a cat", "--like", saucer, "--like-weight", "0.000001") == hits("a cat")
    assert hits("an animal", "--unlike", cat)[-1] == str(cat)
    both = hits("--like", saucer, "--like", cat, "--without", "a cat")
    assert both.index(str(saucer)) < both.index(str(cat))


def test_search_notes_a_query_that_was_cut(index: Path) -> None:
    result = photoseek("search", "a cat on a mat " * 2500, "-i", index, "-k", 1)
    note = "note: the query is longer than 256 word pieces; the rest was not read\n"
    assert (result.exit_code, result.stderr) == (0, note)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([], "give a TEXT that says what the photo shows, or --like PHOTO"),
        ([" "], "give a TEXT that says what the photo shows, or --like PHOTO"),
        (["--like", "x.jpg", "--like-weight", "2"], "--like-weight goes with a TEXT and --like PHOTO"),
        (["a cat", "--like-weight", "2"], "--like-weight goes with a TEXT and --like PHOTO"),
        (
            ["a cat", "--like", "x", "--like-weight", "0"],
            "Invalid value for '--like-weight': 0.0 is not in the range x>0.",
        ),
        (["a cat", "--without", " "], "--without needs a TEXT that says what photos should not show"),
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


def test_a_photo_under_the_policy_is_not_printed_and_cannot_be_asked_with(photos: Path, tmp_path: Path) -> None:
    index, policy, cat = tmp_path / "index", tmp_path / "cats.toml", photos / ODD
    rule = '[photos]\nprompts = ["a cat"]\ncontrast = ["coins", "a field", "a rocket", "a plate"]\npoint = 0.6\n'
    policy.write_text('disclaimer = "No cats."\nterms = ["cat"]\n' + rule)
    assert photoseek("build", photos, "-i", index, "--policy", policy, "-q").exit_code == 0
    (tmp_path / "q.txt").write_text("an animal\ncats\n")
    for options in ((), ("--paths",), ("--json",), ("-0",)):
        result = photoseek("search", "an animal", "-i", index, "-k", 20, "--misses", *options)
        assert b"saucer.jpg" in result.stdout_bytes
        assert b"caf" not in result.stdout_bytes
    result = photoseek("search", "--like", cat, "-i", index)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "No cats.\n", "")
    assert photoseek("batch", tmp_path / "q.txt", "-o", tmp_path / "r.csv", "-i", index, "-k", 20).exit_code == 0
    rows = (tmp_path / "r.csv").read_text(errors="surrogateescape")
    assert "saucer.jpg" in rows
    assert "caf" not in rows
    assert "2,cats,,,,,False,No cats.,,,,,,,,,," in rows.splitlines()
