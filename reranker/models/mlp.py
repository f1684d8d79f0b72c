"""Score a pair by an MLP over the concatenated vector `[x ; t]` and the pair features.

    hidden = relu(x @ Wx + t @ Wt + s @ Ws + b1)
    logit  = relu(hidden @ W2 + b2) @ w3 + s @ ws + b3

The first layer is a sum. So `x @ Wx` is computed once per photo, when the view is built (`photo_part`), and `t @ Wt`
once per query (`text_part`). A rerank is then one gather and two small products.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class MLP:
    """The weights, all float32.

    Attributes:
        Wx: (d, m), of image embeddings.
        Wt: (e, m), of text vectors.
        Ws: (s, m), of pair features.
        b1: (m,).
        W2: (m, p).
        b2: (p,).
        w3: (p,).
        ws: (s,), of pair features, past both layers.
        b3: (1,).
    """

    Wx: np.ndarray
    Wt: np.ndarray
    Ws: np.ndarray
    b1: np.ndarray
    W2: np.ndarray
    b2: np.ndarray
    w3: np.ndarray
    ws: np.ndarray
    b3: np.ndarray

    @classmethod
    def of_pair_features(cls, d: int, e: int, weights: np.ndarray, bias: float = 0.0) -> "MLP":
        """Return an MLP whose logit is `s . weights + bias`, whatever the vectors.

        Args:
            d: Width of image embeddings.
            e: Width of text vectors.
            weights: (s,) float32, of pair features.
            bias: What is added.
        """
        zero = np.zeros(1, np.float32)
        Wx, Wt, Ws = (np.zeros((rows, 1), np.float32) for rows in (d, e, len(weights)))
        return cls(Wx, Wt, Ws, zero, np.zeros((1, 1), np.float32), zero, zero, weights, np.array([bias], np.float32))

    @property
    def hidden(self) -> int:
        """The width m of the first layer."""
        return int(self.Wx.shape[1])

    @property
    def reads_vectors(self) -> bool:
        """Whether the MLP reads x and t; one that gives the candidates' own ranking reads pair features alone."""
        return bool(self.Wx.any())

    def photo_part(self, x: np.ndarray) -> np.ndarray:
        """Return the share of image embeddings (n, d) in the first layer: (n, m) float32."""
        return x.astype(np.float32, copy=False) @ self.Wx

    def text_part(self, t: np.ndarray) -> np.ndarray:
        """Return the share of text vectors (n, e) in the first layer: (n, m) float32."""
        return t @ self.Wt + self.b1

    def logits(self, photo_part: np.ndarray, text_part: np.ndarray, pair_features: np.ndarray) -> np.ndarray:
        """Return the logits of n pairs: (n,) float32.

        Args:
            photo_part: (n, m) float32, or what broadcasts to it.
            text_part: (n, m) float32, or what broadcasts to it.
            pair_features: (n, s) float32.
        """
        hidden = pair_features @ self.Ws
        hidden += text_part
        hidden += photo_part
        second = _relu(hidden) @ self.W2
        second += self.b2
        logits: np.ndarray = _relu(second) @ self.w3 + pair_features @ self.ws + self.b3
        return logits

    def plain(self, x: np.ndarray, t: np.ndarray, pair_features: np.ndarray) -> np.ndarray:
        """Compute the logits (n,) float32 from the concatenated vectors, without precomputed parts.

        Args:
            x: (n, d) float32 image embeddings.
            t: (n, e) float32 text vectors.
            pair_features: (n, s) float32.
        """
        vectors = np.concatenate([x, t, pair_features], axis=1)
        hidden = np.maximum(vectors @ np.concatenate([self.Wx, self.Wt, self.Ws]) + self.b1, 0)
        return np.maximum(hidden @ self.W2 + self.b2, 0) @ self.w3 + pair_features @ self.ws + self.b3


def _relu(values: np.ndarray) -> np.ndarray:
    """Apply ReLU in place. NumPy compares with a row of zeros several times as fast as with the number 0."""
    zeros = np.zeros(values.shape[-1], np.float32)
    return np.maximum(values, zeros, out=values)
