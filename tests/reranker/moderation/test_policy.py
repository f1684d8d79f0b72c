import csv
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from reranker.judgments.judgments import CrowdRow, ExpertRow, Judgments, Query
from reranker.moderation.photo_rule import PhotoRule
from reranker.moderation.policy import Policy
from reranker.moderation.terms import FoundTerm

CASES = Path(__file__).with_name("policy_cases.tsv")
MOST_WRONG = 4


@pytest.fixture(scope="module")
def minors() -> Policy:
    return Policy.load("minors")


def test_minors_is_right_about_the_written_cases_but_for_a_few(minors, capsys):
    with open(CASES, encoding="utf-8", newline="") as file:
        cases = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len(cases) == len({case["text"] for case in cases}) == 200
    assert {case["blocked"] for case in cases} == {"yes", "no"}
    false_blocks = [case for case in cases if case["blocked"] == "no" and minors.blocks(case["text"])]
    misses = [case for case in cases if case["blocked"] == "yes" and not minors.blocks(case["text"])]
    with capsys.disabled():
        for name, wrong in (("false block", false_blocks), ("miss", misses)):
            for case in wrong:
                print(f"\n{name}: {case['text']!r} ({case['why']})", end="")
    assert len(false_blocks) <= MOST_WRONG
    assert len(misses) <= MOST_WRONG


def test_minors_says_which_of_its_terms_it_found(minors):
    assert minors.find("the Children\u2019s playground") == FoundTerm("child", "children's")
    assert minors.find("a 7-year-old with a kite") == FoundTerm("<age> year old", "7 year old")
    assert minors.find("a five-year-old horse and a lamb") is None
    assert minors.find("a kid rock climbing") == FoundTerm("kid", "kid")


def test_minors_has_its_disclaimer(minors):
    assert minors.name == "minors"
    assert minors.disclaimer == "This image is unavailable in your country in compliance with local laws"


def test_a_filter_removes_the_photo_of_a_blocked_caption_and_the_caption_wherever_it_is_judged(minors):
    judgments = Judgments(
        folder=Path("judged"),
        photos={name: Path(name) for name in ("boy.jpg", "dog.jpg", "cat.jpg")},
        sets={},
        splits={},
        captions={
            "boy.jpg#0": "A boy with a ball .",
            "boy.jpg#1": "Somebody with a ball .",
            "dog.jpg#0": "A dog .",
            "cat.jpg#0": "A cat .",
            "gone.jpg#0": "Girls .",
        },
        expert=(
            ExpertRow("boy.jpg", "dog.jpg#0", (1, 1, 1)),  # goes: its photo
            ExpertRow("dog.jpg", "boy.jpg#0", (1, 1, 2)),  # goes: its caption
            ExpertRow("dog.jpg", "cat.jpg#0", (2, 2, 2)),
            ExpertRow("dog.jpg", "boy.jpg#1", (1, 1, 2)),  # stays: the caption itself names no child
        ),
        crowd=(CrowdRow("cat.jpg", "gone.jpg#0", 0, 3), CrowdRow("cat.jpg", "cat.jpg#0", 3, 0)),
    )
    assert minors.blocked_photos(judgments.captions.items()) == {"boy.jpg", "gone.jpg"}
    kept = minors.filter(judgments)
    assert list(kept.photos) == ["dog.jpg", "cat.jpg"]
    assert sorted(kept.captions) == ["boy.jpg#1", "cat.jpg#0", "dog.jpg#0"]
    assert kept.expert == judgments.expert[2:]
    assert kept.crowd == judgments.crowd[1:]


def test_a_filter_removes_photos_that_people_say_a_blocked_caption_describes(minors):
    names = ("dog.jpg", "cat.jpg", "park.jpg", "yard.jpg")
    judgments = Judgments(
        folder=Path("judged"),
        photos={name: Path(name) for name in names},
        sets={"train_images": names},
        splits={"train": names},
        captions={"gone.jpg#0": "Girls .", "dog.jpg#0": "A dog ."},
        expert=(ExpertRow("dog.jpg", "gone.jpg#0", (3, 3, 4)), ExpertRow("cat.jpg", "gone.jpg#0", (3, 4, 4))),
        crowd=(CrowdRow("park.jpg", "gone.jpg#0", 2, 1), CrowdRow("yard.jpg", "gone.jpg#0", 1, 2)),
    )
    kept = minors.filter(judgments)
    assert list(kept.photos) == ["dog.jpg", "yard.jpg"]
    assert kept.sets == {"train_images": ("dog.jpg", "yard.jpg")}
    assert kept.splits == {"train": ("dog.jpg", "yard.jpg")}
    assert (kept.expert, kept.crowd) == ((), ())


def test_a_filter_removes_blocked_queries_and_all_queries_for_a_photo_that_one_of_them_describes(minors):
    names = ("swing.jpg", "dog.jpg")
    queries = (
        Query("1", "A boy on a swing", "swing.jpg"),
        Query("2", "Somebody on a swing", "swing.jpg"),
        Query("3", "A dog", "dog.jpg"),
    )
    photos = {name: Path(name) for name in names}
    judgments = Judgments(Path("judged"), photos, {"test_images": names}, {}, {}, (), (), queries, names)
    kept = minors.filter(judgments)
    assert kept.queries == queries[2:]
    assert kept.test_photos == ("dog.jpg",)
    assert kept.sets == {"test_images": ("dog.jpg",)}


def test_a_filter_on_judged_data_leaves_no_photo_and_no_text_that_the_policy_blocks(minors, flickr8k):
    from reranker.judgments.judged_folder import load_judgments
    from reranker.judgments.judgments import photo_of

    judgments = load_judgments(flickr8k)
    kept = minors.filter(judgments)
    blocked = {photo_of(caption) for caption, text in judgments.captions.items() if minors.blocks(text)}
    assert not blocked & set(kept.photos)
    # What goes beyond that, goes for the captions of other photos that people found right.
    assert len(set(judgments.photos) - blocked - set(kept.photos)) == 26
    assert not any(minors.blocks(text) for text in kept.captions.values())
    assert {row.caption for row in (*kept.expert, *kept.crowd)} <= set(kept.captions)
    for names in (*kept.sets.values(), *kept.splits.values(), kept.test_photos):
        assert not blocked & set(names)
    assert not any(minors.blocks(query.text) or query.photo in blocked for query in kept.queries)
    assert kept == minors.filter(kept)


def test_ones_own_file_is_a_policy(tmp_path):
    path = tmp_path / "weapons.toml"
    content = 'disclaimer = "No arms."\nterms = ["gun*", "<blade>"]\n[words]\nblade = ["knife", "sword"]\n'
    path.write_text(content + '[forms]\nknives = "knife"\n', encoding="utf-8")
    policy = Policy.load(str(path))
    assert (policy.name, policy.disclaimer, policy.photos) == ("weapons", "No arms.", None)
    assert [policy.blocks(text) for text in ("Gunners", "swords", "two knives", "begun", "")] == [1, 1, 1, 0, 0]


def test_a_policy_has_a_photo_rule_and_the_digest_of_its_bytes(tmp_path):
    path = tmp_path / "own.toml"
    text = (
        'disclaimer = "No."\nterms = ["x"]\n[photos]\nprompts = ["a cat", "cats"]\ncontrast = ["a dog"]\npoint = 0.5\n'
    )
    path.write_text(text, encoding="utf-8")
    policy = Policy.load(str(path))
    assert policy.photos == PhotoRule(("a cat", "cats"), ("a dog",), 0.5)
    assert policy.photos.texts == ("a cat", "cats", "a dog")
    path.write_text(text.replace("0.5", "0.6"), encoding="utf-8")
    edited = Policy.load(str(path))
    assert edited.digest != policy.digest
    assert replace(edited.photos, point=0.5) == policy.photos
    path.write_text(text, encoding="utf-8")
    assert Policy.load(str(path)).digest == policy.digest


def test_an_unknown_policy_is_refused_naming_those_there_are(tmp_path):
    with pytest.raises(PhotoseekError) as caught:
        Policy.load("adults")
    assert str(caught.value) == "no policy 'adults'; there are: minors, or a path to a .toml file"
    with pytest.raises(PhotoseekError) as caught:
        Policy.load(str(tmp_path / "none.toml"))
    assert str(caught.value) == f"no policy '{tmp_path / 'none.toml'}'; there are: minors, or a path to a .toml file"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('terms = ["gun"]', "has no 'disclaimer'; it needs a disclaimer and a list of terms"),
        ('disclaimer = "No."', "has no 'terms'; it needs a disclaimer and a list of terms"),
        # A text alone would be read letter by letter, and an empty list or term would block every text.
        ('disclaimer = "No."\nterms = "gun"', "cannot be read: terms: texts are wanted, none blank"),
        ('disclaimer = "No."\nterms = []', "cannot be read: terms: texts are wanted, none blank"),
        ('disclaimer = "No."\nterms = [" "]', "cannot be read: terms: texts are wanted, none blank"),
        ('disclaimer = "No."\nterms = [1]', "cannot be read: terms: texts are wanted, none blank"),
        ('disclaimer = ""\nterms = ["gun"]', "cannot be read: disclaimer: texts are wanted, none blank"),
        ('disclaimer = "No."\nterms = ["C++"]', "cannot be read: term 'C++': 'c++' is no word"),
        (
            'disclaimer = "No."\nterms = ["gun"]\nexceptions = "x"',
            "cannot be read: exceptions: texts are wanted, none blank",
        ),
        (
            'disclaimer = "No."\nterms = ["gun"]\nexeptions = ["x"]',
            "cannot be read: 'exeptions' is none of disclaimer, terms, exceptions, words, forms, photos",
        ),
        ('disclaimer = "No."\nterms = ["gun"]\nwords = ["x"]', "cannot be read: words is a table: [words]"),
        (
            'disclaimer = "No."\nterms = ["gun"]\n[photos]\nprompts = ["a gun"]',
            "cannot be read: [photos] holds prompts, contrast and point, and nothing else",
        ),
        (
            'disclaimer = "No."\nterms = ["gun"]\n[photos]\nprompts = ["a gun"]\ncontrast = ["a dog"]\npoint = 0',
            "cannot be read: photos.point is a share over 0 and up to 1",
        ),
        ("terms = [", "cannot be read: Invalid value (at end of document)"),
    ],
)
def test_a_policy_file_that_makes_no_sense_is_refused(tmp_path, content, reason):
    path = tmp_path / "own.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PhotoseekError) as caught:
        Policy.load(str(path))
    assert str(caught.value) == f"policy {path} {reason}"
