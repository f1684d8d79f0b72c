from pathlib import Path

import pytest
from PIL import Image

from indexer.errors import PhotoseekError
from reranker.judgments.checks import CHECKS, PHOTO_CHECKS, Finding, check_judgments, findings_table, parts_of
from reranker.judgments.judged_folder import load_judgments
from tiny_encoder import TinyEncoder

GOOD = {
    "Flickr8k.token.txt": "a.png#0\tA red wall .\nb.png#0\tA green wall .\nc.png#0\tA blue wall .\n",
    "ExpertAnnotations.tsv": "a.png\tb.png#0\t1\t1\t2\nb.png\tb.png#0\t3\t4\t4\n",
    "CrowdAnnotations.tsv": "a.png\tb.png#0\t0\t0\t3\n",
    "test_images.csv": "image\nc.png\n",
    "test_queries.csv": "|query_id|query_text|image\n0|c.png#0|A blue wall .|c.png\n",
}
PHOTOS = {"train_images/a.png": (255, 0, 0), "train_images/b.png": (0, 255, 0), "test_images/c.png": (0, 0, 255)}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))


def write(root: Path, files: dict[str, str] = GOOD, photos: dict[str, tuple[int, int, int]] = PHOTOS) -> Path:
    for name, colour in photos.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), colour).save(root / name)
    for name, text in files.items():
        (root / name).write_text(text)
    return root


def found(folder: Path, encoder: TinyEncoder | None = None) -> dict[str, tuple[str, ...]]:
    """What was found, by check; those that found nothing are left out."""
    return {finding.check: finding.rows for finding in check_judgments(folder, encoder) if finding.rows}


def test_nothing_is_found_in_good_data_by_any_check(tmp_path):
    findings = check_judgments(write(tmp_path / "judged"), TinyEncoder())
    assert findings == tuple(Finding(check, severity, ()) for check, severity in CHECKS.items())


@pytest.mark.parametrize(
    ("name", "row", "check", "reason"),
    [
        ("ExpertAnnotations.tsv", "x.png\ta.png#0\t1\t1\t1", "unknown photos", "photo x.png is in no photo folder"),
        ("CrowdAnnotations.tsv", "a.png\tx.png#0\t1\t3\t0", "captions without text", "caption x.png#0 has no text"),
        ("Flickr8k.token.txt", "a.png#1\t ", "captions without text", "caption a.png#1 has no text"),
        (
            "ExpertAnnotations.tsv",
            "b.png\ta.png#0\t1\t5\t1",
            "grades out of range",
            "grades 1, 5, 1; a grade is 1, 2, 3 or 4",
        ),
        (
            "CrowdAnnotations.tsv",
            "b.png\ta.png#0\t0.5\t3\t0",
            "inconsistent votes",
            "share 0.5 does not follow from 3 yes and 0 no",
        ),
        (
            "CrowdAnnotations.tsv",
            "b.png\ta.png#0\t1\tx\t0",
            "inconsistent votes",
            "share and votes 1, x, 0 are not numbers",
        ),
        ("test_queries.csv", "1|a.png#0|A wall .|a.png", "unknown photos", "photo a.png is not in test_images.csv"),
        ("Flickr8k.token.txt", "a.png A wall .", "malformed rows", "not '<photo>#<n>', tab, caption"),
        ("test_queries.csv", "1|c.png#1|c.png", "malformed rows", "3 fields, the header has 4"),
    ],
)
def test_a_row_that_training_refuses_is_an_error_with_file_and_line(tmp_path, name, row, check, reason):
    folder = write(tmp_path / "judged", {**GOOD, name: GOOD[name] + row + "\n"})
    line = GOOD[name].count("\n") + 1
    assert found(folder) == {check: (f"{folder / name}:{line}: {reason}",)}
    assert CHECKS[check] == "error"
    with pytest.raises(PhotoseekError) as caught:
        load_judgments(folder)
    assert str(caught.value) == f"{folder / name} line {line}: {reason} (--keep-going drops such rows)"


def test_all_bad_rows_are_listed_not_the_first_alone(tmp_path):
    folder = write(tmp_path / "judged", {**GOOD, "ExpertAnnotations.tsv": "x.png\ta.png#0\t1\t1\t1\n" * 3})
    path = folder / "ExpertAnnotations.tsv"
    rows = tuple(f"{path}:{line}: photo x.png is in no photo folder" for line in (1, 2, 3))
    assert found(folder) == {"unknown photos": rows}


def test_a_row_again_is_a_duplicate_and_a_contradiction_if_it_says_otherwise(tmp_path):
    files = dict(GOOD)
    files["ExpertAnnotations.tsv"] += "a.png\tb.png#0\t1\t2\t1\nb.png\tb.png#0\t1\t1\t1\n"
    files["CrowdAnnotations.tsv"] += "a.png\tb.png#0\t1\t3\t0\n"
    files["Flickr8k.token.txt"] += "b.png#0\tAnother wall .\nb.png#0\tA green wall .\n"
    files["test_queries.csv"] += "1|c.png#0|A blue wall .|c.png\n"
    folder = write(tmp_path / "judged", files)
    tokens, expert, crowd = (folder / name for name in list(GOOD)[:3])
    assert found(folder) == {
        "contradictory rows": (
            f"{tokens}:4: b.png#0 again, and otherwise than in line 2",
            f"{expert}:4: b.png b.png#0 again, and otherwise than in line 2",
            f"{crowd}:2: a.png b.png#0 again, and otherwise than in line 1",
        ),
        "duplicate rows": (
            f"{tokens}:5: b.png#0 again, as in line 2",
            f"{folder / 'test_queries.csv'}:3: c.png#0 again, as in line 2",
            # The same three grades in another order: there are no rater identities.
            f"{expert}:3: a.png b.png#0 again, as in line 1",
        ),
    }


def test_photos_that_do_not_open_are_named_and_the_others_are_compared(tmp_path):
    folder = write(tmp_path / "judged", photos={**PHOTOS, "test_images/d.png": (255, 0, 0)})
    (folder / "train_images" / "b.png").write_bytes(b"no photo")
    (folder / "train_images" / "e.jpg").write_bytes(b"")
    seen = found(folder, TinyEncoder())
    broken = {line.partition(": ")[0]: line.partition(": ")[2] for line in seen["photos that do not open"]}
    assert list(broken) == [str(folder / "train_images" / name) for name in ("b.png", "e.jpg")]
    assert all(broken.values())
    assert seen["near-duplicate photos across parts"] == ("a.png (train_images) and d.png (test_images): cosine 1.000",)
    assert len(seen) == 2


def test_copies_within_a_part_are_a_note_of_their_own(tmp_path):
    photos = {**PHOTOS, "train_images/copy.png": (255, 0, 0)}
    copies = {"near-duplicate photos within a part": ("a.png and copy.png (train_images): cosine 1.000",)}
    assert found(write(tmp_path / "judged", photos=photos), TinyEncoder()) == copies
    assert CHECKS["near-duplicate photos within a part"] == "note"
    # A folder of one part alone has copies, too.
    files = {name: text for name, text in GOOD.items() if not name.startswith("test_")}
    alone = {name: colour for name, colour in photos.items() if not name.startswith("test_")}
    assert found(write(tmp_path / "alone", files, alone), TinyEncoder()) == copies


def test_a_copy_of_a_photo_that_lies_in_two_parts_is_across_parts(tmp_path):
    folder = write(
        tmp_path / "judged", photos={**PHOTOS, "test_images/a.png": (255, 0, 0), "test_images/copy.png": (255, 0, 0)}
    )
    row = "a.png (train_images, test_images) and copy.png (test_images): cosine 1.000"
    assert found(folder, TinyEncoder())["near-duplicate photos across parts"] == (row,)


def test_a_query_twice_with_other_words_is_an_error_and_asked_once(tmp_path):
    files = dict(GOOD)
    files["test_queries.csv"] += "9|c.png#0|Another sentence|c.png\n"
    folder = write(tmp_path / "judged", files)
    reason = f"{folder / 'test_queries.csv'}:3: query c.png#0 again, and otherwise than before"
    assert found(folder) == {"contradictory rows": (reason,)}
    assert len(load_judgments(folder, keep_going=True).queries) == 1


def test_without_an_encoder_no_photo_is_opened(tmp_path):
    folder = write(tmp_path / "judged")
    (folder / "train_images" / "b.png").write_bytes(b"no photo")
    checks = [finding.check for finding in check_judgments(folder, None)]
    assert checks == [check for check in CHECKS if check not in PHOTO_CHECKS]
    assert found(folder) == {}


def test_what_both_parts_share_is_a_warning(tmp_path):
    files = dict(GOOD)
    files["Flickr8k.token.txt"] += "c.png#1\ta GREEN wall!\nx.png#0\tA red wall .\n"
    folder = write(tmp_path / "judged", files, {**PHOTOS, "test_images/a.png": (9, 9, 9)})
    assert found(folder) == {
        "photos in two parts": ("a.png: train_images and test_images",),
        # x.png is in no part, so its sentence is nobody's.
        "captions shared across parts": ("'a green wall': b.png#0 (train_images), c.png#1 (test_images)",),
    }
    assert CHECKS["photos in two parts"] == CHECKS["captions shared across parts"] == "warning"


def test_in_one_photo_folder_the_lists_are_the_parts(tmp_path):
    photos = {f"Images/{Path(name).name}": colour for name, colour in PHOTOS.items()}
    files = {"Flickr8k.token.txt": "a.png#0\tA wall .\nc.png#0\tA wall .\n"}
    lists = {"Flickr_8k.trainImages.txt": "a.png\nb.png\n", "Flickr_8k.testImages.txt": "c.png\nb.png\n"}
    folder = write(tmp_path / "judged", {**files, **lists}, photos)
    assert parts_of(load_judgments(folder)) == {"train": ("a.png", "b.png"), "test": ("c.png", "b.png")}
    assert found(folder) == {
        "photos in two parts": ("b.png: train and test",),
        "captions shared across parts": ("'a wall': a.png#0 (train), c.png#0 (test)",),
    }


def test_experts_who_all_differ_are_noted(tmp_path):
    folder = write(tmp_path / "judged", {**GOOD, "ExpertAnnotations.tsv": "a.png\tb.png#0\t4\t1\t2\n"})
    path = folder / "ExpertAnnotations.tsv"
    assert found(folder) == {"experts without a majority": (f"{path}:1: 1, 2, 4",)}


def test_the_table_shows_the_first_rows_of_each_check_escaped():
    findings = (
        Finding("unknown photos", "error", tuple(f"row {i}" for i in range(3))),
        Finding("malformed rows", "error", ()),
        Finding("duplicate rows", "warning", ("a\x1b[31m\nb",)),
    )
    assert findings_table(findings, shown=2) == (
        "check                                 severity   count\n"
        "unknown photos                        error          3\n"
        "  row 0\n"
        "  row 1\n"
        "  and 1 more (--json has all)\n"
        "malformed rows                        error          0\n"
        "duplicate rows                        warning        1\n"
        "  a\\x1b[31m\\nb"
    )


def test_flickr8k_has_no_error_and_little_shared(flickr8k):
    assert {check: len(rows) for check, rows in found(flickr8k).items()} == {
        "captions shared across parts": 59,
        "experts without a majority": 126,
    }
