from itertools import pairwise

import numpy as np
import pytest

from indexer.photos.perceptual_hash import SCALE, WIDTH, likeness_vectors
from indexer.stacks import looks_alike
from indexer.stacks.looks_alike import COSINE_WEIGHT, THRESHOLD, Looks, links_of_neighbours, links_of_new, without_links
from unusual_photos.made_stacks import SquareEncoder

NONE = np.zeros((0, 2), np.int64)


def looks(seed: int, bursts: int = 60, frames: int = 4) -> Looks:
    """Draw photos that come in bursts of similar hashes and embeddings; rows 3, 13, 23, ... have no hash."""
    random = np.random.default_rng(seed)
    total = bursts * frames
    centres = np.repeat(random.standard_normal((bursts, WIDTH)), frames, axis=0)
    vectors = centres + 0.4 * random.standard_normal((total, WIDTH))
    vectors *= SCALE / np.linalg.norm(vectors, axis=1, keepdims=True)
    x = np.repeat(random.standard_normal((bursts, 16)), frames, axis=0) + 0.25 * random.standard_normal((total, 16))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rows = np.setdiff1d(np.arange(total), np.arange(3, total, 10))
    return Looks(rows, np.rint(vectors).astype(np.int8)[rows], x.astype(np.float16), 0.2)


def expected(photos: Looks) -> set[tuple[int, int]]:
    """Apply the rule to every pair, as it is written down."""
    vectors, x = likeness_vectors(photos.hashes), np.asarray(photos.embeddings, np.float32)
    likeness, cosine = vectors @ vectors.T, (x[photos.rows] @ x[photos.rows].T - 0.2) / 0.8
    alike = np.argwhere(np.tril(likeness + COSINE_WEIGHT * cosine >= THRESHOLD, -1))
    return {(int(photos.rows[i]), int(photos.rows[j])) for i, j in alike}


def pairs(links: np.ndarray) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in links.tolist()]


@pytest.mark.parametrize("block", [256, 7])
def test_every_pair_is_compared_by_the_rule(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks_alike, "BLOCK", block)
    photos = looks(1)
    found = pairs(links_of_new(photos, 0))
    assert len(found) == len(set(found))
    assert set(found) == expected(photos)
    # Most, but not all pairs of a burst are alike, so that the rule is tested on both sides.
    assert 100 < len(found) < 60 * 6


@pytest.mark.parametrize("steps", [[0, 240], [0, 1, 100, 101, 240], [0, 120, 240]])
def test_new_rows_find_what_all_rows_find(steps: list[int]) -> None:
    photos = looks(2)
    found: list[tuple[int, int]] = []
    for first, stop in pairwise(steps):
        known = photos.rows < stop
        so_far = Looks(photos.rows[known], photos.hashes[known], photos.embeddings[:stop], photos.unrelated)
        found += pairs(links_of_new(so_far, first))
    assert sorted(found) == sorted(expected(photos))


@pytest.mark.parametrize("block", [256, 5])
def test_neighbours_in_path_order_are_compared(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks_alike, "BLOCK", block)
    photos = looks(3)
    # Paths in another order than rows; bursts stay side by side. A row without a hash and a copy's row are passed over.
    order = [row for burst in np.random.default_rng(0).permutation(60) for row in range(4 * burst, 4 * burst + 4)]
    order.insert(9, order[8])
    assert sorted(pairs(links_of_neighbours(photos, order, NONE))) == sorted(expected(photos))


def test_links_that_were_found_before_are_kept_as_long_as_their_photos_are_near(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    photos = looks(3)
    order = list(range(240))
    links = links_of_neighbours(photos, order, NONE)
    compared: list[int] = []
    alike = Looks.links
    monkeypatch.setattr(
        Looks, "links", lambda self, places, likeness: compared.append(len(places)) or alike(self, places, likeness)
    )
    # A third of them is known, and a link of photos that stand nowhere near each other, as photos came between.
    known = np.concatenate([links[::3], [[239, 0]]])
    assert links_of_neighbours(photos, order, known).tolist() == links.tolist()
    first = compared.pop()
    assert links_of_neighbours(photos, order, NONE).tolist() == links.tolist()
    assert compared == [first + len(links[::3])]


def test_links_are_taken_away_from_others() -> None:
    links = np.array([[1, 0], [2, 0], [2, 1]])
    assert without_links(links, np.array([[2, 0], [3, 0]])).tolist() == [[1, 0], [2, 1]]
    assert without_links(links, NONE).tolist() == links.tolist()
    assert without_links(NONE, links).shape == (0, 2)


def test_copies_far_apart_in_path_order_are_found_by_their_hash() -> None:
    random = np.random.default_rng(4)
    originals = random.standard_normal((500, WIDTH))
    copies = originals + 0.02 * random.standard_normal((500, WIDTH))
    vectors = np.concatenate([originals, copies])
    vectors *= SCALE / np.linalg.norm(vectors, axis=1, keepdims=True)
    x = np.tile(random.standard_normal((500, 16)), (2, 1))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    photos = Looks(np.arange(1000), np.rint(vectors).astype(np.int8), x.astype(np.float16), 0.2)
    found = set(pairs(links_of_neighbours(photos, list(range(1000)), NONE)))
    assert found <= {(row + 500, row) for row in range(500)}
    assert len(found) >= 490


def test_no_photos_have_no_links() -> None:
    none = Looks(np.zeros(0, np.int64), np.zeros((0, WIDTH), np.int8), np.zeros((0, 4), np.float16), 0.2)
    assert links_of_new(none, 0).shape == (0, 2)
    assert links_of_neighbours(none, [], NONE).shape == (0, 2)


def test_the_cosine_is_taken_relative_to_the_encoders_own_scale() -> None:
    # Hashes of likeness (127 x 114 + 4 x 110 x 110) / 255 / 255 = 0.967: the rule wants a relative cosine of 0.49.
    hashes = np.zeros((2, WIDTH), np.int8)
    hashes[:, 0], hashes[:, 1:5] = (127, 114), 110
    likeness = (127 * 114 + 4 * 110 * 110) / SCALE**2
    needed = (THRESHOLD - likeness) / COSINE_WEIGHT
    for cosine in (0.7, 0.8, 0.9, 0.95):
        x = np.array([[1, 0], [cosine, np.sqrt(1 - cosine**2)]], np.float32)
        for unrelated in (0.1, 0.4, 0.7):
            photos = Looks(np.arange(2), hashes, x, unrelated)
            links = photos.links(np.array([[0, 1]]), np.array([likeness], np.float32))
            assert (len(links) == 1) == ((cosine - unrelated) / (1 - unrelated) >= needed)


def test_the_scale_of_an_encoder_is_its_cosine_of_unrelated_photos() -> None:
    encoder = SquareEncoder()
    crops = looks_alike.sample_photos(96)[::2]
    temple, flower = encoder.encode(crops[:4]), encoder.encode(crops[4:])
    mean = float(np.mean([one @ other for one in temple for other in flower]))
    assert looks_alike.unrelated_cosine(encoder) == pytest.approx(min(mean, 0.9), abs=1e-6)
