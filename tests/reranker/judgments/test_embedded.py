from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from indexer.encoders import ImageEncoder, Tokens
from indexer.errors import PhotoseekError
from indexer.index import Index
from indexer.inference import int8
from indexer.photos.square_transform import SquareTransform
from indexer.storage.manifest import FORMAT
from reranker.judgments.embedded import CHUNK, embed_judgments, embed_photos, embed_with_tokens
from reranker.judgments.judged_folder import load_judgments
from reranker.judgments.training_sets import PhotoSets
from tiny_index import take_checksums_away

# Pictures by which an index with two photos or more measures the encoder's cosine of unrelated photos, once.
SCALE = 16


class MeanColour:
    """An image encoder that one can compute by hand: the mean colour of a photo, as a unit row."""

    name, fingerprint, dim, transform, region_shape, class_dim = "colour", "colour@1", 3, SquareTransform(16), (0, 0), 0

    def __init__(self) -> None:
        self.seen = 0

    def encode(self, images: np.ndarray) -> np.ndarray:
        self.seen += len(images)
        means = images.reshape(len(images), -1, 3).mean(axis=1)
        return (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32)


class HalfColours(MeanColour):
    """The same with the mean colours of the left and of the right half; the last column says "is it red"."""

    fingerprint, region_shape, class_dim = "halves@1", (2, 3), 1

    def encode_with_regions(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        halves = [MeanColour.encode(MeanColour(), half) for half in np.split(images, 2, axis=2)]
        return self.encode(images), np.stack(halves, axis=1)


class LetterCount:
    """A text encoder: how many letters a and b a text has."""

    name, dim = "letters", 2

    def __init__(self, fingerprint: str = "letters@1") -> None:
        self.fingerprint = fingerprint
        self.calls: list[list[str]] = []

    def encode(self, texts) -> np.ndarray:
        self.calls.append(list(texts))
        return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)

    def encode_with_tokens(self, texts) -> tuple[np.ndarray, Tokens]:
        """Return one token per letter: the letter's number, and a third of it as the vector."""
        letters = np.array([ord(letter) for text in texts for letter in text], np.int64)
        offsets = np.cumsum([0, *map(len, texts)])
        return self.encode(texts), Tokens((letters[:, None] / 3).astype(np.float32), letters, offsets)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def judged(tmp_path) -> Path:
    for name, colour in {"red.png": (200, 0, 0), "green.png": (0, 200, 0), "blue.png": (0, 0, 90)}.items():
        path = tmp_path / "judged" / ("test_images" if name == "blue.png" else "train_images") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), colour).save(path)
    captions = "red.png#0\tabb\ngone.png#0\taaa\nblue.png#0\tb\nred.png#1\tx\n"
    (tmp_path / "judged" / "Flickr8k.token.txt").write_text(captions)
    return tmp_path / "judged"


def test_photos_of_several_folders_and_captions_become_arrays_that_belong_together(judged):
    features = embed_judgments(load_judgments(judged), MeanColour(), LetterCount())
    assert features.photos == ("green.png", "red.png", "blue.png")
    np.testing.assert_allclose(features.x, [[0, 1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-3)
    assert features.captions == ("red.png#0", "gone.png#0", "blue.png#0", "red.png#1")
    assert features.texts == ("abb", "aaa", "b", "x")
    assert features.t.tolist() == [[1, 2], [3, 0], [0, 1], [0, 0]]
    assert features.owner.tolist() == [1, -1, 2, 1]
    assert (features.x.dtype, features.t.dtype) == (np.float32, np.float32)
    assert (features.regions, features.class_dim) == (None, 0)
    assert bytes(features.tokens.pieces.tolist()) == b"abbaaabx"
    assert features.tokens.offsets.tolist() == [0, 3, 6, 7, 8]


def test_the_regions_of_an_encoder_that_gives_them_are_directions_in_whole_steps(judged):
    both = Image.new("RGB", (20, 20), (0, 0, 250))
    both.paste((250, 0, 0), (0, 0, 10, 20))
    both.save(judged / "train_images" / "both.png")
    features = embed_judgments(load_judgments(judged), HalfColours(), LetterCount())
    assert features.photos == ("both.png", "green.png", "red.png", "blue.png")
    assert (features.regions.shape, features.regions.dtype, features.class_dim) == ((4, 2, 3), np.int8, 1)
    directions = features.regions / np.linalg.norm(features.regions, axis=2, keepdims=True)
    red, green, blue = np.eye(3)
    expected = [[red, blue], [green, green], [red, red], [blue, blue]]
    np.testing.assert_allclose(directions, expected, atol=0.02)
    chosen = features.select(np.array([0, 3]))
    assert np.array_equal(chosen.regions, features.regions[[0, 3]])
    assert chosen.class_dim == 1


def test_selected_photos_keep_every_caption_and_only_their_own_an_owner(judged):
    features = embed_judgments(load_judgments(judged), MeanColour(), LetterCount()).select(np.array([0, 2]))
    assert features.photos == ("green.png", "blue.png")
    assert features.captions == ("red.png#0", "gone.png#0", "blue.png#0", "red.png#1")
    assert features.owner.tolist() == [-1, -1, 1, -1]
    assert features.tokens.offsets.tolist() == [0, 3, 6, 7, 8]
    np.testing.assert_allclose(features.x, [[0, 1, 0], [0, 0, 1]], atol=1e-3)


def test_selected_photos_keep_their_set(judged):
    features = embed_judgments(load_judgments(judged), MeanColour(), LetterCount())
    count = len(features.photos)
    assert (features.sets.names, features.sets.set_of.tolist()) == (("photos",), [0] * count)
    assert (features.bank.tolist(), features.other_captions) == ([], ())
    sets = PhotoSets(("a", "b"), np.float32([1, 2]), np.array([False, True]), np.arange(count) % 2)
    chosen = replace(features, photo_sets=sets, bank=np.array([1])).select(np.array([1, 2]))
    assert chosen.sets.set_of.tolist() == [1, 0]
    assert chosen.sets.teach_space.tolist() == [False, True]
    # All captions stay, and so does the bank.
    assert chosen.bank.tolist() == [1]


class Colour(ImageEncoder):
    """The mean colour as an encoder of photoseek's own kind, which is to compute in some precision, and never loads."""

    seen = 0

    def _rows(self, images: np.ndarray) -> np.ndarray:
        type(self).seen += len(images)
        return MeanColour.encode(MeanColour(), images)


def colour(precision: str) -> Colour:
    return Colour("colour", "colour@1", 3, SquareTransform(16), Path(), precision)


def test_embeddings_of_different_precisions_share_no_place_in_the_cache(judged, cache, monkeypatch):
    monkeypatch.setattr(
        "indexer.encoders.image_encoder.choose_precision", lambda *asked: asked[1].replace("auto", "bf16")
    )
    monkeypatch.setattr(Colour, "seen", 0)
    files = [judged / "train_images/red.png", judged / "test_images/blue.png"]
    for precision, times in (("f32", 1), ("bf16", 2), ("auto", 3), ("f32", 3), ("bf16", 3), ("auto", 3)):
        x, _ = embed_photos(files, colour(precision))
        np.testing.assert_allclose(x, [[1, 0, 0], [0, 0, 1]], atol=1e-3)
        assert Colour.seen == times * (3 + SCALE)
    kept = [Index.open(folder).facts() for folder in (cache / "judged").iterdir()]
    # Two folders of photos; what auto came to is no matter of its place.
    assert sorted(facts["precision"] for facts in kept) == ["bf16"] * 4 + ["f32"] * 2


def test_a_cached_index_of_an_older_version_is_brought_up_for_any_precision(judged, cache):
    files = [judged / "train_images/red.png"]
    first, _ = embed_photos(files, colour("f32"))
    (folder,) = (cache / "judged").iterdir()
    take_checksums_away(folder)
    again, _ = embed_photos(files, colour("f32"))
    assert again.tobytes() == first.tobytes()
    assert Index.open(folder).manifest.format == FORMAT


def test_figures_of_int8_are_of_int8_or_there_are_none(judged, monkeypatch):
    for number in range(16):
        Image.new("RGB", (20, 20), (0, number, 0)).save(judged / "test_images" / f"{number}.png")

    def crashes(*_):
        raise int8.TrialError("the trial of int8 crashed (SIGSEGV)")

    monkeypatch.setattr(int8, "run_trial", crashes)
    monkeypatch.setattr(
        "indexer.encoders.image_encoder.choose_precision", lambda *asked: asked[1].replace("auto", "bf16")
    )
    with pytest.raises(PhotoseekError) as refusal:
        embed_photos([judged / "test_images/blue.png"], colour("int8"))
    assert str(refusal.value) == (
        f"{judged / 'test_images'} is not measured in int8, as no index of it would be: "
        "the trial of int8 crashed (SIGSEGV): bf16 is used"
    )


def test_photos_are_embedded_once_and_come_in_the_order_asked(judged):
    files = [judged / "train_images/red.png", judged / "test_images/blue.png", judged / "train_images/green.png"]
    encoder = MeanColour()
    first, regions = embed_photos(files, encoder)
    again, _ = embed_photos(files[::-1], encoder)
    assert encoder.seen == 3 + SCALE
    assert regions is None
    assert np.array_equal(first, again[::-1])
    np.testing.assert_allclose(first, [[1, 0, 0], [0, 0, 1], [0, 1, 0]], atol=1e-3)


def test_a_judged_photo_that_cannot_be_read_is_refused(judged):
    broken = judged / "train_images" / "broken.jpg"
    broken.write_bytes(b"no photo")
    with pytest.raises(PhotoseekError) as caught:
        embed_photos([judged / "train_images/red.png", broken], MeanColour())
    assert str(caught.value) == f"judged photo {broken} cannot be read: not an image, or of a kind that is not read"


def test_other_texts_another_order_or_another_encoder_are_encoded_anew(cache):
    encoder, other = LetterCount(), LetterCount("letters@2")
    for texts in (["ab", "b"], ["ab", "b"], ["b", "ab"], ["b"]):
        t, _ = embed_with_tokens(texts, encoder)
        assert t.tolist() == [[text.count("a"), text.count("b")] for text in texts]
    assert encoder.calls == [["ab", "b"], ["b", "ab"], ["b"]]
    embed_with_tokens(["ab", "b"], other)
    assert other.calls == [["ab", "b"]]
    assert len(list((cache / "texts").iterdir())) == 4


def test_text_vectors_are_kept_to_half_precision():
    encoder, third = LetterCount(), [[1 / 3, 2 / 3]]
    encoder.encode = lambda texts: np.array(third, np.float32)
    t, _ = embed_with_tokens(["c"], encoder)
    np.testing.assert_allclose(t, third, rtol=2**-11)
    assert t.tolist() != np.float32(third).tolist()


def test_texts_and_their_tokens_are_encoded_once_and_kept_to_half_precision(cache):
    encoder = LetterCount()
    texts = ["ab"] * CHUNK + ["", "cab"]
    seen = []
    t, tokens = embed_with_tokens(texts, encoder, lambda *progress: seen.append(progress))
    assert seen == [(CHUNK, CHUNK + 2), (CHUNK + 2, CHUNK + 2)]
    assert [len(call) for call in encoder.calls] == [CHUNK, 2]
    assert (t.dtype, tokens.vectors.dtype, tokens.pieces.dtype) == (np.float32, np.float16, np.int64)
    assert t[-3:].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert tokens.offsets[-3:].tolist() == [2 * CHUNK, 2 * CHUNK, 2 * CHUNK + 3]
    assert bytes(tokens.pieces.tolist()) == b"ab" * CHUNK + b"cab"
    np.testing.assert_allclose(tokens.vectors[:, 0], tokens.pieces / 3, rtol=2**-11)

    again, kept = embed_with_tokens(texts, encoder, lambda *progress: pytest.fail("it is in the cache"))
    assert np.array_equal(again, t)
    for name in ("vectors", "pieces", "offsets"):
        assert np.array_equal(getattr(kept, name), getattr(tokens, name))
    assert [path.suffix for path in (cache / "texts").iterdir()] == [".safetensors"]


def test_an_encoder_without_tokens_leaves_every_sentence_without_any():
    encoder = LetterCount()
    encoder.encode_with_tokens = lambda texts: (encoder.encode(texts), Tokens.none(len(texts)))
    t, tokens = embed_with_tokens(["a", "b"], encoder)
    assert t.tolist() == [[1, 0], [0, 1]]
    assert (tokens.vectors.shape, tokens.lengths.tolist()) == ((0, 0), [0, 0])


def test_an_encoding_that_is_interrupted_leaves_nothing_behind(cache):
    encoder = LetterCount()

    def interrupt(texts):
        raise KeyboardInterrupt

    encoder.encode_with_tokens = interrupt
    with pytest.raises(KeyboardInterrupt):
        embed_with_tokens(["a"], encoder)
    assert list((cache / "texts").iterdir()) == []


def test_a_judged_photo_that_is_a_link_to_another_one_has_its_vector(judged):
    photo, link = judged / "train_images/red.png", judged / "train_images/same.png"
    link.symlink_to("red.png")
    x, _ = embed_photos([photo, link], MeanColour())
    assert np.array_equal(x[0], x[1])
