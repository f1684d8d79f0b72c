"""photoseek check: its table, its JSON and its exit code."""

import json
import shutil
from pathlib import Path

from command_line import SAMPLE, misused, photoseek, refused
from reranker.judgments.checks import CHECKS, check_judgments, findings_table


def test_check_finds_nothing_to_mend_in_the_sample() -> None:
    result = photoseek("check", SAMPLE)
    assert (result.exit_code, result.stderr) == (0, "")
    counts = {line[:38].strip(): line[38:].split() for line in result.stdout.splitlines()[1:] if line[0] != " "}
    assert list(counts) == list(CHECKS)
    assert {check: counts[check][0] for check in CHECKS} == CHECKS
    assert {check for check, (severity, count) in counts.items() if severity == "error" and count != "0"} == set()


def test_check_exits_with_1_and_one_line_if_there_is_an_error(tmp_path: Path) -> None:
    judged = tmp_path / "judged"
    shutil.copytree(SAMPLE, judged)
    expert = judged / "ExpertAnnotations.tsv"
    count = len(expert.read_text().splitlines())
    with open(expert, "a") as file:
        file.write("nowhere.jpg\tcat.jpg#0\t1\t2\t3\nhere.jpg\n")
    result = photoseek("check", judged, "--no-photos")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: judged data {judged}: 2 errors; mend what is listed\n"
    assert result.stdout == findings_table(check_judgments(judged, None)) + "\n"
    assert f"\n  {expert}:{count + 1}: photo nowhere.jpg is in no photo folder\n" in result.stdout
    result = photoseek("check", judged, "--no-photos", "--json")
    assert (result.exit_code, result.stderr) == (1, f"photoseek: judged data {judged}: 2 errors; mend what is listed\n")
    shown = json.loads(result.stdout)
    assert (shown["format"], shown["judged"]) == (1, str(judged))
    assert shown["findings"] == [finding.to_json() for finding in check_judgments(judged, None)]
    assert shown["findings"][0] == {
        "check": "malformed rows",
        "severity": "error",
        "count": 1,
        "rows": [f"{expert}:{count + 2}: 1 fields, expected photo, caption and three grades"],
    }


def test_check_names_a_photo_that_does_not_open(tmp_path: Path) -> None:
    judged = tmp_path / "judged"
    shutil.copytree(SAMPLE, judged)
    photo = judged / "test_images" / "saucer.jpg"
    photo.write_bytes(photo.read_bytes()[:100])
    result = photoseek("check", judged, "-q")
    assert result.exit_code == 1
    assert result.stderr == f"photoseek: judged data {judged}: 1 error; mend what is listed\n"
    lines = result.stdout.splitlines()
    place = lines.index("photos that do not open               error          1")
    assert lines[place + 1].startswith(f"  {photo}: ")


def test_check_refuses_what_is_no_judged_folder(tmp_path: Path) -> None:
    none = tmp_path / "none"
    misused(photoseek("check", none), "check", f"Invalid value for 'JUDGED': Directory '{none}' does not exist.")
    folders = "train_images, test_images, train_224, Flicker8k_Dataset, Flickr8k_Dataset, Images"
    refused(photoseek("check", tmp_path), f"judged data {tmp_path}: no photos in any of {folders}")
