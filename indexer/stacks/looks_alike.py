"""Find photos that look alike: perceptual hashes and embeddings -> pairs of rows.

Two photos look alike if `hash likeness + COSINE_WEIGHT x relative cosine >= THRESHOLD`. The hash does most of the work
and knows no encoder. The cosine of the embeddings is taken relative to the encoder's own scale, on which 0 is the
cosine of photos that have nothing to do with each other, and 1 that of the same photo.

Among up to `EVERY_PAIR_ROWS` photos every pair is compared, a new photo once. Among more, a photo is compared with
those that stand near it in a few orders, so that the work grows with the number of photos and not with its square.
Either way the pairs depend on the photos alone, and not on the order in which they came.

References:
    Hernandez and Stolfo 1995, "The merge/purge problem for large databases", SIGMOD: neighbours in sorted orders.
    Manku, Jain and Das Sarma 2007, "Detecting near-duplicates for web crawling", WWW: orders of turned bit strings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.encoders import ImageEncoder
from indexer.encoders.samples import sample_photos
from indexer.photos.perceptual_hash import BRIGHTNESS, likeness_vectors

# Chosen on half of the photos and made bursts, see `experiments/stacks.py` and docs/results/stacks.md.
THRESHOLD, COSINE_WEIGHT = 1.09, 0.25
# The relative cosine is 1 at most, so photos whose hashes are less alike cannot look alike.
LEAST_HASH_LIKENESS = THRESHOLD - COSINE_WEIGHT
# Rows up to which every pair is compared: 1.25 billion pairs, some ten seconds.
EVERY_PAIR_ROWS = 50_000
# Rows whose hashes are multiplied with all others at a time.
BLOCK = 256
# Of more rows, how many following ones each is compared with: in the order of paths, in which bursts stand side by
# side, and in each order of turned signs, in which copies do.
PATH_NEIGHBOURS, SIGN_NEIGHBOURS = 16, 4
# Bits by which the 64 signs are turned: copies that differ in a few bits share the leading 21 of one of these orders.
TURNS = (0, 21, 42)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Looks of the photos of an index: perceptual hashes and embeddings.

    Attributes:
        rows: (n,) int64, sorted rows that have a hash.
        hashes: (n, WIDTH) int8, their perceptual hashes.
        embeddings: (total, d) float16, unit rows of the whole index, mapped.
        unrelated: Cosine of photos that have nothing to do with each other, under 1.
    """

    rows: np.ndarray
    hashes: np.ndarray
    embeddings: np.ndarray
    unrelated: float

    def links(self, places: np.ndarray, hash_likeness: np.ndarray) -> np.ndarray:
        """Keep the pairs that look alike.

        Args:
            places: (m, 2) int64, pairs of places among `rows`.
            hash_likeness: (m,) float32, the inner products of their hashes.

        Returns:
            (k, 2) int64 rows, the larger of each pair first.
        """
        first, second = (self.rows[places[:, side]] for side in (0, 1))
        alike = hash_likeness + COSINE_WEIGHT * self._relative_cosines(first, second) >= THRESHOLD
        pairs: np.ndarray = np.sort(np.stack([first, second], axis=1)[alike], axis=1)[:, ::-1]
        return pairs

    def _relative_cosines(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the relative cosine of pairs of rows (m,): (m,) float32."""
        cosines = np.empty(len(first), np.float32)
        for start in range(0, len(first), BLOCK):
            part = slice(start, start + BLOCK)
            one, other = (np.asarray(self.embeddings[rows[part]], np.float32) for rows in (first, second))
            cosines[part] = np.einsum("ij,ij->i", one, other)
        return (cosines - np.float32(self.unrelated)) / np.float32(1 - self.unrelated)


def unrelated_cosine(encoder: ImageEncoder) -> float:
    """Measure an encoder's cosine of photos that have nothing to do with each other: a temple and a flower.

    Args:
        encoder: The encoder.

    Returns:
        The mean over crops of both; 0.9 at most, so that encoders that call everything alike still tell photos apart.
    """
    crops = sample_photos(encoder.transform.size)[::2]  # one batch of the encoder
    x = encoder.encode(crops)
    half = len(x) // 2
    return min(float((x[:half] @ x[half:].T).mean()), 0.9)


def links_of_new(looks: Looks, first_row: int) -> np.ndarray:
    """Compare new photos with each other and with all older ones.

    Args:
        looks: The photos.
        first_row: The first new row.

    Returns:
        (k, 2) int64 rows of photos that look alike, the larger of each pair first.
    """
    vectors = likeness_vectors(looks.hashes)
    begin = int(np.searchsorted(looks.rows, first_row))
    found = [np.zeros((0, 2), np.int64)]
    for start in range(begin, len(vectors), BLOCK):
        stop = min(start + BLOCK, len(vectors))
        likeness = vectors[start:stop] @ vectors[:stop].T
        # Each pair once: a photo with those before it.
        likeness[:, start:][np.triu_indices(stop - start)] = 0
        places = np.argwhere(likeness >= LEAST_HASH_LIKENESS)
        found.append(looks.links(places + (start, 0), likeness[places[:, 0], places[:, 1]]))
    return np.concatenate(found)


def links_of_neighbours(looks: Looks, in_path_order: Sequence[int], known: np.ndarray) -> np.ndarray:
    """Compare every photo with those that stand near it, in the order of paths and in orders of its hash.

    Args:
        looks: The photos.
        in_path_order: Rows of photos in the order of their paths; a row may come twice.
        known: (m, 2) int64, links that were found before: rows that look alike, the larger of each pair first.

    Returns:
        As `links_of_new`, each pair once, sorted.
    """
    places, likeness = _near_pairs(looks, in_path_order)
    pairs = np.sort(looks.rows[places], axis=1)[:, ::-1]
    keys, first = np.unique(_keys(pairs), return_index=True)
    # A photo looks as it did, so of these only the pairs are compared that are not linked already.
    is_known = np.isin(keys, _keys(known))
    compared = first[~is_known]
    found = looks.links(places[compared], likeness[compared])
    links: np.ndarray = np.unique(np.concatenate([found, pairs[first[is_known]]]), axis=0)
    return links


def without_links(links: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the links (k, 2) of links (n, 2) that are not among others (m, 2), the larger row of each first."""
    kept: np.ndarray = links[~np.isin(_keys(links), _keys(others))]
    return kept


def _keys(links: np.ndarray) -> np.ndarray:
    """Return a number for each link, (n,) int64; an index has fewer than 2^31 rows."""
    keys: np.ndarray = (links[:, 0] << 32) + links[:, 1]
    return keys


def _near_pairs(looks: Looks, in_path_order: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of places (n, 2) whose hashes are alike enough, some twice, and how alike they are (n,) float32."""
    pairs, found = [np.zeros((0, 2), np.int64)], [np.zeros(0, np.float32)]
    for order, neighbours in _orders(looks, in_path_order):
        for start in range(0, len(order), BLOCK):
            places = order[start : start + BLOCK + neighbours]
            vectors = likeness_vectors(looks.hashes[places])
            for step in range(1, min(neighbours, len(places) - 1) + 1):
                count = min(BLOCK, len(places) - step)
                likeness = np.einsum("ij,ij->i", vectors[:count], vectors[step : step + count])
                is_near = (likeness >= LEAST_HASH_LIKENESS) & (places[:count] != places[step : step + count])
                near = np.flatnonzero(is_near)
                if len(near):
                    pairs.append(np.stack([places[near], places[near + step]], axis=1))
                    found.append(likeness[near])
    return np.concatenate(pairs), np.concatenate(found)


def _orders(looks: Looks, in_path_order: Sequence[int]) -> Iterator[tuple[np.ndarray, int]]:
    """Yield orders of places among the rows, with how many following ones each is compared with."""
    rows = np.array(in_path_order, np.int64)
    places = np.searchsorted(looks.rows, rows)
    known = places < len(looks.rows)
    known[known] = looks.rows[places[known]] == rows[known]
    yield places[known], PATH_NEIGHBOURS
    for turn in TURNS:
        bits = np.roll(looks.hashes[:, :BRIGHTNESS] > 0, -turn, axis=1)
        words = np.packbits(bits, axis=1).view(">u8").ravel()
        yield np.argsort(words, kind="stable"), SIGN_NEIGHBOURS
