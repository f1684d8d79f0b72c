"""Photos in reports: small, of the right shape, and never those that a policy protects."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from reranker.judgments.judgments import Judgments, Query
from reranker.moderation.policy import Policy
from reranker.reports.album import DENSITY, HEIGHT, WIDEST, Album

COLOURS = {"tall.jpg": ((60, 120), "red"), "wide.png": ((900, 100), "blue"), "child.jpg": ((60, 60), "white")}


@pytest.fixture
def judgments(tmp_path: Path) -> Judgments:
    for name, (size, colour) in COLOURS.items():
        Image.new("RGB", size, colour).save(tmp_path / name)
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    photos = {name: tmp_path / name for name in (*COLOURS, "broken.jpg", "asked.jpg")}
    captions = {"tall.jpg#0": "a tower", "tall.jpg#1": "a high tower", "child.jpg#0": "snow", "child.jpg#1": "a boy"}
    return Judgments(
        tmp_path, photos, {}, {}, captions, (), (), (Query("q", "two girls", "asked.jpg"),), ("asked.jpg",)
    )


@pytest.mark.parametrize(("name", "width"), [("tall.jpg", 55), ("wide.png", round(WIDEST * HEIGHT))])
def test_a_photo_is_as_high_as_all_and_keeps_its_shape(judgments: Judgments, name: str, width: int) -> None:
    thumb = Album.of(judgments, None).thumb(name, "a note")
    assert (thumb.height, thumb.note) == (HEIGHT, "a note")
    assert thumb.width == pytest.approx(width, abs=1)
    kind, _, data = thumb.source.partition(",")
    assert kind == "data:image/jpeg;base64"
    photo = Image.open(io.BytesIO(base64.b64decode(data)))
    assert photo.height == round(HEIGHT * DENSITY)
    expected = Image.new("RGB", (1, 1), COLOURS[name][1]).getpixel((0, 0))
    assert photo.getpixel((5, 5)) == pytest.approx(expected, abs=6)


def test_a_photo_is_told_by_its_first_caption(judgments: Judgments) -> None:
    album = Album.of(judgments, None)
    assert album.thumb("tall.jpg").alt == "photo tall.jpg: a tower"
    assert album.thumb("wide.png").alt == "photo wide.png"


def test_what_a_policy_protects_is_never_opened(judgments: Judgments) -> None:
    policy = Policy.load("minors")
    album = Album.of(judgments, policy)
    assert album.withheld == {"child.jpg", "asked.jpg"}
    (judgments.photos["child.jpg"]).unlink()
    thumb = album.thumb("child.jpg", "note")
    assert (thumb.source, thumb.note) == ("", "note")
    assert thumb.alt == f"photo child.jpg, withheld: {policy.disclaimer}"
    assert [album.shows("tall.jpg"), album.shows("tall.jpg", "a girl"), album.shows("child.jpg")] == [
        True,
        False,
        False,
    ]


def test_a_photo_that_cannot_be_read_keeps_its_place(judgments: Judgments) -> None:
    album = Album.of(judgments, None)
    for name in ("broken.jpg", "asked.jpg", "unknown.jpg"):
        assert (album.thumb(name).source, album.thumb(name).alt) == ("", f"photo {name} cannot be read")
