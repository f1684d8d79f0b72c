import os
from collections import Counter
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments, Query, photo_of

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample"

COURSE = {
    "train_images/a.jpg": "",
    "train_images/b.JPG": "",
    "train_images/notes.txt": "no photo",
    "test_images/c.png": "",
    "Flickr8k.token.txt": (
        'a.jpg#0\tA dog , running .\na.jpg#1\tA "big" dog .\n' + "c.png#0\tA cat .\ngone.jpg#0\tA bird .\n"
    ),
    "train_dataset.csv": 'image,query_id,query_text\na.jpg,b.JPG#0,"A horse, white"\nb.JPG,a.jpg#0,Some other text\n',
    "ExpertAnnotations.tsv": "a.jpg\tb.JPG#0\t1\t1\t2\nb.JPG\ta.jpg#1\t2\t3\t4\n",
    "CrowdAnnotations.tsv": "a.jpg\ta.jpg#0\t0.6666667\t2\t1\nb.JPG\tgone.jpg#0\t0\t0\t3\n",
    "test_images.csv": "image\nc.png\n",
    "test_queries.csv": "|query_id|query_text|image\n0|c.png#0|A cat .|c.png\n",
}

ORIGINAL = {
    "Flicker8k_Dataset/a.jpg": "",
    "Flicker8k_Dataset/b.jpg": "",
    "Flicker8k_Dataset/c.jpg": "",
    "Flickr8k_text/Flickr8k.token.txt": "a.jpg#0\tA dog .\nb.jpg#0\tA horse .\n",
    "Flickr8k_text/ExpertAnnotations.txt": "a.jpg\tb.jpg#0\t1\t1\t2\n",
    "Flickr8k_text/CrowdFlowerAnnotations.txt": "b.jpg\tb.jpg#0\t1\t3\t0\n",
    "Flickr8k_text/Flickr_8k.trainImages.txt": "a.jpg\n",
    "Flickr8k_text/Flickr_8k.devImages.txt": "b.jpg\n",
    "Flickr8k_text/Flickr_8k.testImages.txt": "c.jpg\nno-file.jpg\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", newline="")
    return root


def refusal(folder: Path) -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_judgments(folder)
    return str(caught.value)


def test_the_course_data_has_the_counts_of_its_readme(flickr8k):
    judgments = load_judgments(flickr8k)
    assert len(judgments.expert) == 5822
    assert len({row.caption for row in judgments.expert}) == 977
    assert len(judgments.crowd) == 47830
    # 8,092 photos with five captions each; a caption counts whether its photo has a file or not.
    assert Counter(Counter(map(photo_of, judgments.captions)).values()) == {5: 8092}
    assert len(judgments.captions) == 40460
    assert sum(photo_of(caption) in judgments.photos for caption in judgments.captions) == 5 * 7100
    assert {name: len(photos) for name, photos in judgments.sets.items()} == {
        "train_images": 1000,
        "test_images": 100,
        "train_224": 6000,
    }
    assert {name: len(photos) for name, photos in judgments.splits.items()} == {
        "train": 6000,
        "dev": 1000,
        "test": 1000,
    }
    assert len(judgments.queries) == 500
    assert len(judgments.test_photos) == 100
    assert sum(photo_of(row.caption) == row.photo for row in judgments.expert) == 158
    assert sum(photo_of(row.caption) == row.photo for row in judgments.crowd) == 721
    assert judgments.dropped == 0


def test_the_course_photos_are_the_official_splits(flickr8k):
    judgments = load_judgments(flickr8k)
    assert set(judgments.sets["train_images"]) == set(judgments.splits["test"])
    assert set(judgments.sets["train_224"]) == set(judgments.splits["train"])
    assert set(judgments.sets["test_images"]) == set(judgments.test_photos) <= set(judgments.splits["dev"])


def test_the_sample_is_a_judged_folder_without_a_bad_row():
    judgments = load_judgments(SAMPLE)
    assert {name: len(photos) for name, photos in judgments.sets.items()} == {"train_images": 30, "test_images": 6}
    assert len(judgments.captions) == 114
    assert sum(photo_of(caption) in judgments.sets["train_images"] for caption in judgments.captions) == 96
    assert (len(judgments.expert), len(judgments.crowd)) == (76, 65)
    assert (len(judgments.queries), len(judgments.test_photos)) == (18, 6)


def test_the_sample_photos_are_small_photos():
    from PIL import Image

    files = sorted(SAMPLE.glob("*_images/*.jpg"))
    assert sum(file.stat().st_size for file in files) < 400_000
    for file in files:
        with Image.open(file) as photo:
            assert max(photo.size) == 200, file


def test_the_course_layout_is_read_whole(tmp_path):
    folder = write(tmp_path, COURSE)
    assert load_judgments(folder) == Judgments(
        folder=folder,
        photos={
            "a.jpg": folder / "train_images/a.jpg",
            "b.JPG": folder / "train_images/b.JPG",
            "c.png": folder / "test_images/c.png",
        },
        sets={"train_images": ("a.jpg", "b.JPG"), "test_images": ("c.png",)},
        splits={},
        captions={
            "a.jpg#0": "A dog , running .",  # not the text that train_dataset.csv has for it
            "a.jpg#1": 'A "big" dog .',
            "c.png#0": "A cat .",
            "gone.jpg#0": "A bird .",
            "b.JPG#0": "A horse, white",
        },
        expert=(ExpertRow("a.jpg", "b.JPG#0", (1, 1, 2)), ExpertRow("b.JPG", "a.jpg#1", (2, 3, 4))),
        crowd=(CrowdRow("a.jpg", "a.jpg#0", 2, 1), CrowdRow("b.JPG", "gone.jpg#0", 0, 3)),
        queries=(Query("c.png#0", "A cat .", "c.png"),),
        test_photos=("c.png",),
    )


def test_the_original_flickr8k_layout_is_read_whole(tmp_path):
    folder = write(tmp_path, ORIGINAL)
    assert load_judgments(folder) == Judgments(
        folder=folder,
        photos={name: folder / "Flicker8k_Dataset" / name for name in ("a.jpg", "b.jpg", "c.jpg")},
        sets={"Flicker8k_Dataset": ("a.jpg", "b.jpg", "c.jpg")},
        splits={"train": ("a.jpg",), "dev": ("b.jpg",), "test": ("c.jpg", "no-file.jpg")},
        captions={"a.jpg#0": "A dog .", "b.jpg#0": "A horse ."},
        expert=(ExpertRow("a.jpg", "b.jpg#0", (1, 1, 2)),),
        crowd=(CrowdRow("b.jpg", "b.jpg#0", 3, 0),),
    )


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing(tmp_path):
    plain = load_judgments(write(tmp_path / "plain", COURSE))
    odd = {
        name: "\ufeff" + text.replace("\n", "\r\n") + "\r\n" if name.endswith(("csv", "tsv", "token.txt")) else text
        for name, text in COURSE.items()
    }
    folder = write(tmp_path / "odd", odd)
    found = load_judgments(folder)
    assert found.captions == plain.captions
    assert (found.expert, found.crowd, found.queries) == (plain.expert, plain.crowd, plain.queries)


BAD_ROWS = [
    ("ExpertAnnotations.tsv", "x.jpg\ta.jpg#0\t1\t1\t1", "photo x.jpg is in no photo folder"),
    ("ExpertAnnotations.tsv", "a.jpg\ta.jpg#7\t1\t1\t1", "caption a.jpg#7 has no text"),
    ("ExpertAnnotations.tsv", "a.jpg\ta.jpg#0\t1\t5\t1", "grades 1, 5, 1; a grade is 1, 2, 3 or 4"),
    ("ExpertAnnotations.tsv", "a.jpg\ta.jpg#0\t0\t1\t1", "grades 0, 1, 1; a grade is 1, 2, 3 or 4"),
    ("ExpertAnnotations.tsv", "a.jpg\ta.jpg#0\tx\t1\t1", "grades x, 1, 1; a grade is 1, 2, 3 or 4"),
    ("ExpertAnnotations.tsv", "a.jpg\ta.jpg#0\t\t1\t1", "grades , 1, 1; a grade is 1, 2, 3 or 4"),
    ("ExpertAnnotations.tsv", "a.jpg\ta.jpg#0\t1\t1", "4 fields, expected photo, caption and three grades"),
    ("CrowdAnnotations.tsv", "x.jpg\ta.jpg#0\t1\t3\t0", "photo x.jpg is in no photo folder"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#7\t1\t3\t0", "caption a.jpg#7 has no text"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#0\t0.5\t3\t0", "share 0.5 does not follow from 3 yes and 0 no"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#0\tnan\t3\t0", "share nan does not follow from 3 yes and 0 no"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#0\t0\t0\t0", "share 0 does not follow from 0 yes and 0 no"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#0\t2\t2\t-1", "share 2 does not follow from 2 yes and -1 no"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#0\t1\tx\t0", "share and votes 1, x, 0 are not numbers"),
    ("CrowdAnnotations.tsv", "a.jpg\ta.jpg#0\t1", "3 fields, expected photo, caption, share, yes and no"),
    ("Flickr8k.token.txt", "a.jpg#2\t ", "caption a.jpg#2 has no text"),
    ("Flickr8k.token.txt", "a.jpg A dog .", "not '<photo>#<n>', tab, caption"),
    ("Flickr8k.token.txt", "a.jpg#2\tA dog .\tA cat .", "not '<photo>#<n>', tab, caption"),
    ("train_dataset.csv", "a.jpg,a.jpg#2,", "caption a.jpg#2 has no text"),
    ("train_dataset.csv", "a.jpg,17,A dog .", "caption id '17' is not '<photo>#<n>'"),
    ("train_dataset.csv", "x.jpg,a.jpg#2,A dog .", "photo x.jpg is in no photo folder"),
    ("train_dataset.csv", "a.jpg,a.jpg#2", "2 fields, the header has 3"),
    ("train_dataset.csv", "a.jpg,a.jpg#2,A dog , running .", "4 fields, the header has 3"),
    ("test_images.csv", "x.jpg", "photo x.jpg is in no photo folder"),
    ("test_queries.csv", "1|a.jpg#0|A dog .|a.jpg", "photo a.jpg is not in test_images.csv"),
    ("test_queries.csv", "1|c.png#1| |c.png", "query c.png#1 has no text"),
    ("test_queries.csv", "1|c.png#1|c.png", "3 fields, the header has 4"),
]


@pytest.mark.parametrize(("name", "row", "reason"), BAD_ROWS)
def test_a_bad_row_is_refused_naming_file_line_and_reason(tmp_path, name, row, reason):
    folder = write(tmp_path, {**COURSE, name: COURSE[name] + row + "\n"})
    line = COURSE[name].count("\n") + 1
    assert refusal(folder) == f"{folder / name} line {line}: {reason} (--keep-going drops such rows)"


def test_keep_going_drops_names_and_counts_the_bad_rows_and_keeps_all_others(tmp_path):
    files = dict(COURSE)
    for name, row, _ in BAD_ROWS:
        files[name] = row + "\n" + files[name] if name.endswith(".tsv") else files[name] + row + "\n"
    folder = write(tmp_path / "bad", files)
    told: list[str] = []
    found = load_judgments(folder, keep_going=True, on_problem=told.append)
    assert found.dropped == len(told) == len(BAD_ROWS)
    assert sorted(line.partition(": ")[2] for line in told) == sorted(reason for _, _, reason in BAD_ROWS)
    good = load_judgments(write(tmp_path / "good", COURSE))
    assert (found.captions, found.expert, found.crowd) == (good.captions, good.expert, good.crowd)
    assert (found.queries, found.test_photos) == (good.queries, good.test_photos)


@pytest.mark.parametrize(
    ("name", "header", "reason"),
    [
        ("train_dataset.csv", "image,id,query_text", "no column 'query_id'; it has 'image', 'id', 'query_text'"),
        ("test_queries.csv", "|query_id|image", "no column 'query_text'; it has '', 'query_id', 'image'"),
        ("test_images.csv", "photo", "no column 'image'; it has 'photo'"),
        ("test_images.csv", None, "no column 'image'; it has no header"),
    ],
)
def test_a_missing_column_is_refused_even_with_keep_going(tmp_path, name, header, reason):
    folder = write(tmp_path, {**COURSE, name: "" if header is None else header + "\n"})
    assert refusal(folder) == f"{folder / name}: {reason}"
    with pytest.raises(PhotoseekError):
        load_judgments(folder, keep_going=True)


TABLES = [name for name in COURSE if name.endswith((".tsv", ".csv", "token.txt"))]


@pytest.mark.parametrize("name", TABLES)
def test_a_row_that_is_not_utf8_is_refused_naming_the_line(tmp_path, name):
    folder = write(tmp_path, COURSE)
    # Far into the file, where a reader that decodes block by block would count from the block.
    filler = "\n" * 20_000
    (folder / name).write_bytes((COURSE[name] + filler).encode() + "caf\u00e9".encode("latin-1"))
    line = COURSE[name].count("\n") + 20_001
    assert refusal(folder) == f"{folder / name} line {line}: not UTF-8 (--keep-going drops such rows)"


def test_keep_going_drops_and_counts_rows_that_are_not_utf8_and_keeps_all_others(tmp_path):
    files = {**COURSE, "Flickr_8k.trainImages.txt": "a.jpg\nb.JPG\n"}
    good, folder = load_judgments(write(tmp_path / "good", files)), write(tmp_path / "bad", files)
    places = []
    for name in (*TABLES, "Flickr_8k.trainImages.txt"):
        first, _, rest = files[name].partition("\n")
        (folder / name).write_bytes(first.encode() + b"\ncaf\xe9\n" + rest.encode())
        places.append(f"{folder / name} line 2: not UTF-8")
    told: list[str] = []
    found = load_judgments(folder, keep_going=True, on_problem=told.append)
    assert sorted(told) == sorted(places)
    assert found.dropped == len(places) == 7
    assert (found.captions, found.expert, found.crowd) == (good.captions, good.expert, good.crowd)
    assert (found.queries, found.test_photos, found.splits) == (good.queries, good.test_photos, good.splits)


def test_a_header_that_is_not_utf8_is_refused_even_with_keep_going(tmp_path):
    folder = write(tmp_path, COURSE)
    (folder / "test_queries.csv").write_bytes(COURSE["test_queries.csv"].encode("utf-16"))
    with pytest.raises(PhotoseekError) as caught:
        load_judgments(folder, keep_going=True)
    line = f"{folder / 'test_queries.csv'} is UTF-16; save the file as UTF-8"
    assert str(caught.value) == line == refusal(folder)
    (folder / "test_queries.csv").write_bytes(COURSE["test_queries.csv"].replace("text", "t\xe9xt").encode("latin-1"))
    assert refusal(folder) == f"{folder / 'test_queries.csv'}: its header is not UTF-8; save the file as UTF-8"


def test_a_quote_that_never_ends_is_refused_with_a_line(tmp_path):
    text = COURSE["train_dataset.csv"] + 'a.jpg,a.jpg#2,"A dog\n' + "x" * 140_000
    folder = write(tmp_path, {**COURSE, "train_dataset.csv": text})
    assert refusal(folder) == f"{folder / 'train_dataset.csv'} line 5: field larger than field limit (131072)"


def test_a_quote_that_swallows_the_last_rows_is_refused_naming_them(tmp_path):
    rows = 'a.jpg,a.jpg#2,"A dog\nb.JPG,b.JPG#2,A "white" horse\n'
    folder = write(tmp_path, {**COURSE, "train_dataset.csv": COURSE["train_dataset.csv"] + rows})
    path = folder / "train_dataset.csv"
    assert refusal(folder) == f"{path} line 4: a quote that is not closed, up to line 5 (--keep-going drops such rows)"
    assert load_judgments(folder, keep_going=True).dropped == 1
    # A caption of two lines is none.
    rows = 'a.jpg,a.jpg#2,"A dog\nand a ""cat"""\n'
    write(tmp_path, {"train_dataset.csv": COURSE["train_dataset.csv"] + rows})
    assert load_judgments(folder).captions["a.jpg#2"] == 'A dog\nand a "cat"'


def test_a_photo_or_query_that_is_listed_twice_counts_once(tmp_path):
    again = {"test_images.csv": "c.png\n", "test_queries.csv": "1|c.png#0|A cat .|c.png\n"}
    folder = write(tmp_path, {**COURSE, **{name: COURSE[name] + rows for name, rows in again.items()}})
    found = load_judgments(folder)
    assert (found.test_photos, [query.id for query in found.queries]) == (("c.png",), ["c.png#0"])


def test_what_only_has_the_name_of_a_photo_is_none_and_what_is_gone_is_one(tmp_path):
    folder = write(tmp_path, COURSE)
    (folder / "train_images" / "folder.jpg").mkdir()
    os.mkfifo(folder / "train_images" / "pipe.jpg")
    (folder / "train_images" / "gone.jpg").symlink_to("nowhere")
    assert {*load_judgments(folder).photos} - {*load_judgments(folder).test_photos} == {"a.jpg", "b.JPG", "gone.jpg"}


def test_a_row_that_is_refused_is_shown_on_one_line_whatever_is_in_it(tmp_path):
    folder = write(tmp_path, {**COURSE, "ExpertAnnotations.tsv": "a\x1b[31m.jpg\tb.JPG#0\t1\t1\t2\n"})
    assert "photo a\\x1b[31m.jpg is in no photo folder" in refusal(folder)


def test_a_folder_without_photos_captions_or_existence_is_refused(tmp_path):
    assert refusal(tmp_path / "none") == f"judged data {tmp_path / 'none'}: no such folder"
    write(tmp_path, {"Flickr8k.token.txt": "a.jpg#0\tA dog .\n"})
    assert refusal(tmp_path) == (
        f"judged data {tmp_path}: no photos in any of train_images, test_images, train_224, Flicker8k_Dataset, "
        "Flickr8k_Dataset, Images"
    )
    (tmp_path / "Flickr8k.token.txt").unlink()
    write(tmp_path, {"Images/a.jpg": ""})
    assert refusal(tmp_path) == (
        f"judged data {tmp_path}: no captions (Flickr8k.token.txt, captions.token.txt or train_dataset.csv)"
    )


def test_a_space_of_any_kind_beside_a_grade_is_passed_over(tmp_path):
    rows = "a.jpg\tb.JPG#0\t1\x1d\t1\t 2\n"
    judgments = load_judgments(write(tmp_path, COURSE | {"ExpertAnnotations.tsv": rows}))
    assert [row.grades for row in judgments.expert] == [(1, 1, 2)]
