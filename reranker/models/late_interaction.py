"""Compare every word of a query with every region of a photo (late interaction, MaxSim).

A photo has region vectors (the whole and a grid), a query has token vectors. Both are mapped into one space. Each word
takes the region that fits it best, and the score is the mean over words, weighted by a learned weight. This follows
ColBERT (Khattab and Zaharia 2020, "ColBERT: efficient and effective passage search via contextualized late interaction
over BERT"), with regions in place of a passage's tokens.
"""

from dataclasses import dataclass

import numpy as np

from indexer.encoders import Tokens
from reranker.models.linear_map import unit

# Mapped regions are kept as int8 in steps of 1/254: components of unit vectors this wide stay within +-0.5.
STEPS = 254.0
# Photos that are computed at a time, so that their regions as float32 stay within some megabytes.
BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Words:
    """Mapped words of b queries, side by side.

    Attributes:
        vectors: (p, k) float32, unit rows.
        weights: (p,) float32, which sum to 1 within a query.
        offsets: (b + 1,) int64, where each query's words begin and end.
    """

    vectors: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, slots=True)
class LateInteraction:
    """The maps of regions and words into one space.

    Attributes:
        A: (r, k) float32, for regions.
        a: (k,) float32, taken off.
        B: (w, k) float32, for tokens.
        b: (k,) float32, taken off.
        words: (v + 1, k) float32, a vector per word piece, the last one for all others.
        worth: (v + 1,) float32, the weight of each word piece before softplus.
        u: (w,) float32, maps a token's vector to a part of its weight that is added before softplus.
        pieces: (v,) int64, sorted, the word pieces' numbers in the text encoder's vocabulary.
        bank: Mapped words of training captions, which hubness is measured against.
    """

    A: np.ndarray
    a: np.ndarray
    B: np.ndarray
    b: np.ndarray
    words: np.ndarray
    worth: np.ndarray
    u: np.ndarray
    pieces: np.ndarray
    bank: Words

    def regions(self, regions: np.ndarray) -> np.ndarray:
        """Map region vectors (n, c, r) int8: (n, c, k) int8, in steps of 1/254."""
        n, c, r = regions.shape
        mapped = np.empty((n, c, self.A.shape[1]), np.int8)
        for start in range(0, n, BLOCK):
            rows = unit(regions[start : start + BLOCK].reshape(-1, r).astype(np.float32))
            vectors = unit(rows @ self.A - self.a)
            steps = np.clip(np.rint(vectors * STEPS), -127, 127)
            mapped[start : start + BLOCK] = steps.reshape(-1, c, self.A.shape[1])
        return mapped

    def tokens(self, tokens: Tokens) -> Words:
        """Map the word pieces of b queries.

        Args:
            tokens: p pieces of b queries, vectors (p, w).

        Returns:
            Unit vectors (p, k) float32 and weights (p,) float32, which sum to 1 within a query.
        """
        x = tokens.vectors.astype(np.float32)
        word = word_places(tokens.pieces, self.pieces)
        vectors = unit(x @ self.B - self.b + self.words[word])
        weights = np.logaddexp(0, self.worth[word] + x @ self.u)
        query = np.repeat(np.arange(len(tokens.offsets) - 1), np.diff(tokens.offsets))
        total = np.bincount(query, weights, minlength=len(tokens.offsets) - 1)
        return Words(vectors, (weights / total[query]).astype(np.float32), tokens.offsets)

    def scores(self, regions: np.ndarray, words: Words, query: int) -> np.ndarray:
        """Score photos for one query: (n,) float32 in -1..1; 0 if the query has no words.

        Args:
            regions: (n, c, k) int8 mapped regions.
            words: Mapped words of several queries.
            query: Which of them.
        """
        own = slice(words.offsets[query], words.offsets[query + 1])
        n, c, k = regions.shape
        # Region by region, so that the maximum runs over whole rows.
        vectors = np.empty((c, n, k), np.float32)
        vectors[...] = regions.transpose(1, 0, 2)
        products = vectors.reshape(-1, k) @ words.vectors[own].T
        best: np.ndarray = products.reshape(c, n, products.shape[1]).max(axis=0)
        scores: np.ndarray = best @ words.weights[own] / np.float32(STEPS)
        return scores

    def matrix(self, regions: np.ndarray, words: Words) -> np.ndarray:
        """Score every photo for every query: (queries, n) float32, see `scores`."""
        n, c, k = regions.shape
        queries = len(words.offsets) - 1
        scores = np.zeros((queries, n), np.float32)
        for start in range(0, n, BLOCK):
            block = regions[start : start + BLOCK].astype(np.float32) / np.float32(STEPS)
            flat = np.ascontiguousarray(block.transpose(1, 0, 2)).reshape(-1, k).T
            for first in range(0, queries, 64):
                last = min(first + 64, queries)
                own = slice(words.offsets[first], words.offsets[last])
                best = (words.vectors[own] @ flat).reshape(-1, c, len(block)).max(axis=1)
                best *= words.weights[own, None]
                # A query without words keeps its 0: reduceat would give it the next one's first word.
                some = first + np.flatnonzero(np.diff(words.offsets[first : last + 1]))
                inner = words.offsets[some] - words.offsets[first]
                scores[some, start : start + len(block)] = np.add.reduceat(best, inner, axis=0)
        return scores

    def hubness(self, regions: np.ndarray, nearest: int) -> np.ndarray:
        """Return how near photos are to captions at large: (n,) float32.

        Args:
            regions: (n, c, k) int8 mapped regions.
            nearest: The mean is over this many captions of the bank with the best scores.
        """
        means = np.empty(len(regions), np.float32)
        nearest = min(nearest, len(self.bank.offsets) - 1)
        for start in range(0, len(regions), BLOCK):
            scores = self.matrix(regions[start : start + BLOCK], self.bank)
            means[start : start + BLOCK] = np.partition(scores, -nearest, axis=0)[-nearest:].mean(axis=0)
        return means


def word_places(pieces: np.ndarray, vocabulary: np.ndarray) -> np.ndarray:
    """Return the place of each word piece in a sorted vocabulary; pieces that are not in it share the last place.

    Args:
        pieces: (p,) int64 numbers of word pieces.
        vocabulary: (v,) int64, sorted.

    Returns:
        (p,) int64 in 0..v.
    """
    place = np.searchsorted(vocabulary, pieces)
    known = place < len(vocabulary)
    known[known] = vocabulary[place[known]] == pieces[known]
    return np.where(known, place, len(vocabulary))
