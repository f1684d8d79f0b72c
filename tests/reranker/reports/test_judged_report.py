"""photoseek explore: the report of the sample, of hostile data, of data that lacks almost everything."""

import shutil
from pathlib import Path

import pytest

from command_line import SAMPLE, misused, photoseek, refused
from page_reader import assert_self_contained, parsed, texts
from reranker.judgments.agreement import expert_agreement
from reranker.judgments.judged_folder import load_judgments

SECTIONS = [
    "At a glance",
    "Experts",
    "Crowd",
    "Experts beside the crowd",
    "Where they disagree most",
    "Examples at each score",
    "Captions",
    "Photos",
    "Near-duplicates",
    "What the policy minors leaves out",
]


def test_the_sample_as_a_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = photoseek("explore", SAMPLE, "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{path}: 36 photos, {path.stat().st_size / 2**20:.1f} MB\n"
    assert_self_contained(path)
    page = parsed(path)
    assert [title for title in texts(page, "h2") if title != "Contents"] == SECTIONS
    tiles = dict(zip(texts(page, "div[@class='label']"), texts(page, "div[@class='value']"), strict=True))
    judgments = load_judgments(SAMPLE)
    assert tiles["photos"] == "36"
    assert tiles["pairs that experts graded"] == str(len(judgments.expert))
    assert tiles["pairs that the crowd voted on"] == str(len(judgments.crowd))
    assert tiles["test queries"] == str(len(judgments.queries))
    alpha = expert_agreement(judgments.expert, 200)
    assert tiles["Krippendorff's alpha"] == f"{alpha.value:.3f}"
    # Grades are counted in the chart's text, too, for those who cannot see it.
    grades = [grade for row in judgments.expert for grade in row.grades]
    counts = ", ".join(str(grades.count(grade)) for grade in (1, 2, 3, 4))
    labels = [e.attrib["aria-label"] for e in page.iter() if str(e.tag).endswith("}svg")]
    assert f"Bars of how often each grade was given: {counts} for grades 1 to 4." in labels
    assert "Every photo can be read." in texts(page, "p")


def hostile(folder: Path, caption: str) -> Path:
    """Return a judged folder whose photo names and captions are as bad as a file system and a text file allow."""
    (folder / "train_images").mkdir(parents=True)
    names = ["<img src=x onerror=alert(1)>.jpg", "\"'&{{x}}\x1b\u202e.jpg", "a boy.jpg"]
    for name in names:
        shutil.copy(SAMPLE / "train_images" / "cat.jpg", folder / "train_images" / name)
    lines = [f"{name}#0\t{caption}\n" for name in names[:2]] + [f"{names[2]}#0\ta boy {caption}\n"]
    (folder / "Flickr8k.token.txt").write_text("".join(lines), encoding="utf-8")
    grades = [
        f"{names[0]}\t{names[1]}#0\t4\t4\t4\n",
        f"{names[1]}\t{names[2]}#0\t1\t1\t1\n",
        f"{names[2]}\t{names[0]}#0\t2\t2\t1\n",
    ]
    (folder / "ExpertAnnotations.tsv").write_text("".join(grades), encoding="utf-8")
    votes = [f"{names[0]}\t{names[1]}#0\t0\t0\t3\n", f"{names[2]}\t{names[0]}#0\t1\t3\t0\n"]
    (folder / "CrowdAnnotations.tsv").write_text("".join(votes), encoding="utf-8")
    return folder


def test_hostile_names_and_captions_are_shown_as_they_are(tmp_path: Path) -> None:
    caption = "</script><script>alert('x')</script> <style>@import 'http://x'</style> $x^$ {{ 7 * 7 }}"
    path = tmp_path / "report.html"
    result = photoseek("explore", hostile(tmp_path / "judged", caption), "-o", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert_self_contained(path)
    page = parsed(path)
    assert caption in texts(page, "p[@class='title']")
    assert {e.attrib["alt"] for e in page.iter("img")} == {
        f"photo <img src=x onerror=alert(1)>.jpg: {caption}",
        f"photo \"'&{{{{x}}}}\\x1b\\u202e.jpg: {caption}",
    }
    assert ["a boy " + caption] == [cell for cell in texts(page, "td") if cell.startswith("a boy </script>")]


def test_copies_of_one_photo_are_near_duplicates(tmp_path: Path) -> None:
    assert photoseek("explore", hostile(tmp_path / "judged", "a cat"), "-o", tmp_path / "r.html").exit_code == 0
    page = parsed(tmp_path / "r.html")
    rows = [texts(row, "td") for row in page.findall(".//section[@id='near-duplicates']//tbody/tr")]
    assert [row[2] for row in rows] == ["1.000"] * 3
    # Three pairs of three copies; only one pair has no photo under the policy.
    assert texts(page, "section[@id='near-duplicates']//article//p[@class='title']") == ["cosine 1.000"]


def test_a_photo_under_the_policy_is_shown_nowhere_unless_asked_for(tmp_path: Path) -> None:
    folder = hostile(tmp_path / "judged", "it jumps")
    for options, shown in (((), False), (("--policy", "none"), True)):
        assert photoseek("explore", folder, "-o", tmp_path / "r.html", *options).exit_code == 0
        alts = [e.attrib["alt"] for e in parsed(tmp_path / "r.html").iter("img")]
        assert any(alt.startswith("photo a boy.jpg") for alt in alts) == shown


def test_photos_and_captions_alone_are_a_report_that_says_what_is_missing(tmp_path: Path) -> None:
    folder = hostile(tmp_path / "judged", "a cat")
    for name in ("ExpertAnnotations.tsv", "CrowdAnnotations.tsv"):
        (folder / name).unlink()
    assert photoseek("explore", folder, "-o", tmp_path / "r.html").exit_code == 0
    assert_self_contained(tmp_path / "r.html")
    said = texts(parsed(tmp_path / "r.html"), "p")
    assert {"No expert graded any pair.", "The crowd voted on no pair."} <= set(said)
    assert "No pair has both an expert's grade and a crowd's vote." in said


def test_what_is_said_of_the_scores_follows_from_them(tmp_path: Path) -> None:
    folder = hostile(tmp_path / "judged", "a cat")
    says = "a model that always says “does not fit” is right most of the time, so plain accuracy says little"
    for votes, share, end in (("0\t0\t3", "100.0%", f": {says}."), ("1\t3\t0", "0.0%", ".")):
        (folder / "ExpertAnnotations.tsv").unlink(missing_ok=True)
        (folder / "CrowdAnnotations.tsv").write_text(f"a boy.jpg\ta boy.jpg#0\t{votes}\n", encoding="utf-8")
        assert photoseek("explore", folder, "-o", tmp_path / "r.html").exit_code == 0
        page = parsed(tmp_path / "r.html")
        over = "100.0%" if share == "0.0%" else "0.0%"
        told = f"Of 1 pair with a score {share} have one below one third and {over} one above two thirds{end}"
        assert texts(page, "section[@id='at-a-glance']//li")[0] == told
        assert texts(page, "section[@id='where-they-disagree-most']//p") == [
            "No pair has both an expert's grade and a crowd's vote."
        ]


def test_grades_that_are_all_alike_have_no_alpha_and_withheld_pairs_are_no_missing_ones(tmp_path: Path) -> None:
    folder = hostile(tmp_path / "judged", "a boy jumps")
    (folder / "ExpertAnnotations.tsv").write_text("a boy.jpg\ta boy.jpg#0\t2\t2\t2\n", encoding="utf-8")
    (folder / "CrowdAnnotations.tsv").write_text("a boy.jpg\ta boy.jpg#0\t1\t3\t0\n", encoding="utf-8")
    assert photoseek("explore", folder, "-o", tmp_path / "r.html").exit_code == 0
    page = parsed(tmp_path / "r.html")
    tiles = dict(zip(texts(page, "div[@class='label']"), texts(page, "div[@class='value']"), strict=True))
    assert tiles["Krippendorff's alpha"] == "–"
    assert texts(page, "section[@id='experts']//div[@class='interval']") == []
    assert texts(page, "section[@id='where-they-disagree-most']//p") == ["No pair with both judgments may be shown."]


def test_explore_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    none = tmp_path / "none"
    misused(
        photoseek("explore", none, "-o", "r.html"),
        "explore",
        f"Invalid value for 'JUDGED': Directory '{none}' does not exist.",
    )
    misused(photoseek("explore", SAMPLE), "explore", "Missing option '-o' / '--output'.")
    refused(photoseek("explore", SAMPLE, "-o", tmp_path), f"{tmp_path} is a folder; give a file for the report")
    place = none / "r.html"
    refused(photoseek("explore", SAMPLE, "-o", place), f"report {place} cannot be written: there is no folder {none}")
    problem = f"judged data {SAMPLE}: no photo folder x; there are: train_images, test_images"
    refused(photoseek("explore", SAMPLE, "-o", tmp_path / "r.html", "--photos", "x"), problem)
    problem = "no policy 'x'; there are: minors, or a path to a .toml file"
    refused(photoseek("explore", SAMPLE, "-o", tmp_path / "r.html", "--policy", "x"), problem)


@pytest.mark.parametrize("name", ["train_images", "test_images"])
def test_one_photo_folder_can_be_looked_into(tmp_path: Path, name: str) -> None:
    count = len(list((SAMPLE / name).iterdir()))
    result = photoseek("explore", SAMPLE, "-o", tmp_path / "r.html", "--photos", name)
    assert result.stdout.startswith(f"{tmp_path / 'r.html'}: {count} photos, ")
