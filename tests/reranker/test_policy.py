from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from reranker.judgments import CrowdRow, ExpertRow, Judgments
from reranker.policy import Policy

BLOCKED = [
    "A child in a pink dress .",
    "Children play in the park",
    "the children's playground",
    "CHILDREN",
    "A small child's toy",  # a child is likely about
    "A child\u2019s toy",
    "two kids on a swing",
    "a kid-friendly pool",
    "A kid's bicycle",
    "kiddie pool",
    "A boy jumps",
    "Boys .",
    "the boy's dog",
    "three schoolboys",
    "Two girls laugh .",
    "a girl-power poster",
    "little girl",
    "a schoolgirl with a bag",
    "a baby sleeps",
    "A baby, crying",
    "babies in a row",
    "baby's first steps",
    "an infant",
    "newborns in a hospital",
    "toddler with a ball",
    "a teen skateboards",
    "Teenager on a bike",
    "teenage musicians",
    "pre-teen singers",
    "a preteen",
    "an adolescent",
    "youngsters at a concert",
    "a youth kicks a ball",
    "schoolchildren in a bus",
    "grandchildren at the table",
    "a father and his son",
    "mother with two daughters",
    "minors are not admitted",
    "underage drinkers",
    "an under-age driver",
    "juvenile offender",
    "a kindergartener paints",
    "preschoolers sing",
    "a baby\nelephant and a baby",
    "a cowboy and a boy",
    "a kid in kid gloves",
    "a minor league game watched by a boy",
]
ALLOWED = [
    "A man in the snow",
    "steamed kidney beans",
    "kidneys",
    "a jacket of kid leather",
    "kid  gloves on a table",
    "roast with baby carrots",
    "Baby spinach salad",
    "a baby grand piano",
    "a baby elephant follows its mother",
    "a baby\nbird",
    "her boyfriend waits",
    "two girlfriends have lunch",
    "a cowboy on a horse",
    "Cowboys at a rodeo",
    "a playboy magazine",
    "the boycott goes on",
    "a babysitter reads",
    "infantry on the march",
    "infantrymen",
    "a sonnet , a person and a season",
    "canteen of the army",
    "eighteen women",
    "a minor road",
    "a minor league pitcher",
    "a man with minor injuries",
    "the Minoan palace",
    "a miner in a mine",
    "it is child's play",
    "it is child\u2019s play",
    "youthful looks",
    "a youth hostel",
    "a kidnapper in a film",
    "Skid marks on the road",
    "buoys in the harbour",
    "a grown man and an old woman",
    "",
]


@pytest.fixture(scope="module")
def minors() -> Policy:
    return Policy.load("minors")


@pytest.mark.parametrize("text", BLOCKED)
def test_minors_blocks_a_text_that_names_a_child(minors, text):
    assert minors.blocks(text)


@pytest.mark.parametrize("text", ALLOWED)
def test_minors_lets_a_text_pass_that_names_none(minors, text):
    assert not minors.blocks(text)


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


def test_a_filter_on_judged_data_leaves_no_photo_and_no_caption_that_the_policy_blocks(minors, flickr8k):
    from reranker.judgments import load_judgments, photo_of

    judgments = load_judgments(flickr8k)
    kept = minors.filter(judgments)
    blocked = {photo_of(caption) for caption, text in judgments.captions.items() if minors.blocks(text)}
    assert set(kept.photos) == set(judgments.photos) - blocked
    assert not any(minors.blocks(text) for text in kept.captions.values())
    assert {row.caption for row in kept.expert} <= set(kept.captions)


def test_ones_own_file_is_a_policy(tmp_path):
    path = tmp_path / "weapons.toml"
    path.write_text('disclaimer = "No arms."\nterms = ["gun*", "C++", "sword fish"]\n', encoding="utf-8")
    policy = Policy.load(str(path))
    assert (policy.name, policy.disclaimer, policy.exceptions) == ("weapons", "No arms.", None)
    assert [policy.blocks(text) for text in ("Gunners", "a C++ book", "a sword  fish", "begun", "C+", "a fish")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


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
        ('disclaimer = "No."\nterms = "gun"', "cannot be read: terms and exceptions are lists of texts, none blank"),
        ('disclaimer = "No."\nterms = []', "cannot be read: terms and exceptions are lists of texts, none blank"),
        ('disclaimer = "No."\nterms = [" "]', "cannot be read: terms and exceptions are lists of texts, none blank"),
        ('disclaimer = "No."\nterms = [1]', "cannot be read: terms and exceptions are lists of texts, none blank"),
        (
            'disclaimer = "No."\nterms = ["gun"]\nexceptions = "x"',
            "cannot be read: terms and exceptions are lists of texts, none blank",
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
