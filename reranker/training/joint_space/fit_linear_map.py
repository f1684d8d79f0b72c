"""Fit linear maps of photos and sentences in closed form: canonical correlation, ridge regression, meaning."""

from dataclasses import dataclass

import numpy as np

from reranker.models.linear_map import LinearMap


@dataclass(frozen=True, slots=True)
class MapSettings:
    """Settings of fitting a map. The defaults were chosen on Flickr8k training photos that were held out.

    Attributes:
        k: Dimensions of the map's space; less where the data has fewer directions.
        shrink_images: Shrinkage of the photos' covariance towards a multiple of the identity, in mean eigenvalues.
            Photos need more than sentences: there are fewer of them.
        shrink_texts: Shrinkage of the sentences' covariance.
        epochs: Times that contrastive tuning sees each photo; 0 leaves the closed form as it is.
        batch: Photos per step of tuning.
        learning_rate: Highest learning rate of the one-cycle schedule.
        dropout_images: Share of a photo's features left out per step. A linear map of wide frozen features overfits at
            once; losing most of the features in each step prevents it.
        dropout_texts: Share of a sentence's features left out per step.
        label_smoothing: Probability that cross-entropy spreads over the other photos of a batch.
        logit_scale: Factor of the cosines in the loss when tuning starts; it is tuned as well.
        captions_per_photo: Random sentences of each photo per step.
        phrases: Words and short phrases per step, drawn by the root of how many photos they fit.
        phrase_weight: Weight of their loss beside that of the sentences.
    """

    k: int = 384
    shrink_images: float = 1.0
    shrink_texts: float = 0.3
    epochs: int = 30
    batch: int = 1000
    learning_rate: float = 5e-3
    dropout_images: float = 0.6
    dropout_texts: float = 0.35
    label_smoothing: float = 0.1
    logit_scale: float = 20.0
    captions_per_photo: int = 2
    phrases: int = 400
    phrase_weight: float = 0.3


def fit_cca(x: np.ndarray, t: np.ndarray, photo: np.ndarray, settings: MapSettings) -> LinearMap:
    """Fit a map by regularised canonical correlation analysis, in closed form.

    Solves `Lx^-1 Cxt Lt^-T = U S V^T` with `Cx + rx tr(Cx)/d I = Lx Lx^T` (Cholesky) and likewise for sentences, and
    scales both sides by the correlations S, so that a direction counts as much as it can be trusted.

    Args:
        x: (n, d) float32 photo embeddings.
        t: (m, e) float32 text vectors of sentences.
        photo: (m,) int, the row in `x` of the photo that each sentence describes.
        settings: Its `k` and shrinkages are used.

    Returns:
        The fitted map, of at most as many dimensions as there are described photos less one.

    References:
        Hardoon, Szedmak and Shawe-Taylor 2004, "Canonical correlation analysis: an overview with application to
        learning methods"; Gong et al. 2014, "A multi-view embedding space for modeling internet images, tags, and
        their semantics", for the scaling.
    """
    from scipy.linalg import cholesky, solve_triangular

    # Sums over sentences, without ever repeating a photo's row for each of its sentences.
    counts = np.bincount(photo, minlength=len(x)).astype(np.float32)
    m = float(len(t))
    mean_x = (counts @ x) / m
    mean_t = t.mean(axis=0)
    centred_x, centred_t = x - mean_x, t - mean_t
    summed_t = np.zeros((len(x), t.shape[1]), np.float32)
    np.add.at(summed_t, photo, centred_t)
    cov_x = (centred_x * counts[:, None]).T @ centred_x / m
    cov_t = centred_t.T @ centred_t / m
    cross = centred_x.T @ summed_t / m
    lower_x = cholesky(_shrunk(cov_x, settings.shrink_images), lower=True)
    lower_t = cholesky(_shrunk(cov_t, settings.shrink_texts), lower=True)
    white = solve_triangular(lower_x, cross, lower=True)
    white = solve_triangular(lower_t, white.T, lower=True).T
    # n photos have no more than n - 1 directions in common with anything.
    k = min(settings.k, *white.shape, max(1, np.count_nonzero(counts) - 1))
    u, s, v = _top_singular(white, k)
    A = solve_triangular(lower_x.T, u, lower=False) * s
    B = solve_triangular(lower_t.T, v, lower=False) * s
    A, B = A.astype(np.float32), B.astype(np.float32)
    return LinearMap(A, mean_x @ A, B, mean_t @ B)


def fit_ridge(x: np.ndarray, t: np.ndarray, photo: np.ndarray, strength: float = 1.0) -> LinearMap:
    """Fit ridge regression of a sentence's photo on the sentence, the plain baseline.

    Args:
        x: (n, d) float32 photo embeddings; the image side of the map leaves them as they are but for their mean.
        t: (m, e) float32 text vectors of sentences.
        photo: (m,) int, the row in `x` of the photo that each sentence describes.
        strength: Ridge, as a multiple of the mean eigenvalue of the sentences' covariance.

    Returns:
        The fitted map, of d dimensions.
    """
    mean_x = x[photo].mean(axis=0)
    mean_t = t.mean(axis=0)
    centred = t - mean_t
    covariance = _shrunk(centred.T @ centred / len(t), strength)
    B = np.linalg.solve(covariance, centred.T @ (x[photo] - mean_x) / len(t)).astype(np.float32)
    return LinearMap(np.eye(x.shape[1], dtype=np.float32), mean_x.astype(np.float32), B, mean_t @ B)


def fit_meaning_map(x: np.ndarray, t: np.ndarray, photo: np.ndarray, k: int = 192, strength: float = 1.0) -> LinearMap:
    """Fit ridge regression of the mean vector of a photo's sentences on the photo, in the leading `k` directions.

    Where `fit_map` learns which photo a sentence belongs to, this map keeps the sentences' own geometry: two sentences
    that say nearly the same are near each other. People's grades follow that more closely.

    Args:
        x: (n, d) float32 photo embeddings.
        t: (m, e) float32 text vectors of sentences, unit rows.
        photo: (m,) int, the row in `x` of the photo that each sentence describes.
        k: Dimensions of the map.
        strength: Ridge, as a multiple of the mean eigenvalue of the photos' covariance.

    Returns:
        The fitted map; photos without sentences do not count.
    """
    sums = np.zeros((len(x), t.shape[1]), np.float32)
    np.add.at(sums, photo, t)
    counts = np.bincount(photo, minlength=len(x))
    described = counts > 0
    x, means = x[described], sums[described] / counts[described, None]
    mean_x, mean_t = x.mean(axis=0), means.mean(axis=0)
    covariance = _shrunk((x - mean_x).T @ (x - mean_x) / len(x), strength)
    weights = np.linalg.solve(covariance, (x - mean_x).T @ (means - mean_t) / len(x))
    directions = _top_singular(weights.T, min(k, *weights.shape))[0].astype(np.float32)
    A = (weights @ directions).astype(np.float32)
    return LinearMap(A, mean_x @ A, directions, mean_t @ directions)


def _shrunk(covariance: np.ndarray, strength: float) -> np.ndarray:
    """Add `strength` mean eigenvalues to the diagonal: (d, d) -> (d, d) float64."""
    shrunk = covariance.astype(np.float64)
    shrunk[np.diag_indices_from(shrunk)] += strength * np.trace(covariance) / len(covariance)
    return shrunk


def _top_singular(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the k leading singular triplets, U (rows, k), S (k,), V (columns, k), through the smaller Gram matrix."""
    if matrix.shape[0] > matrix.shape[1]:
        v, s, u = _top_singular(matrix.T, k)
        return u, s, v
    from scipy.linalg import eigh

    n = len(matrix)
    values, u = eigh(matrix @ matrix.T, subset_by_index=(n - k, n - 1))
    s = np.sqrt(np.maximum(values[::-1], 1e-12))
    u = u[:, ::-1]
    return u, s, (matrix.T @ u) / s
