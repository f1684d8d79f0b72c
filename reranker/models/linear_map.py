"""The linear map: text vectors into a space of candidate vectors, where a photo and its sentence point the same way.

photos x (n, d), sentences t (m, e) -> `z = unit(x @ A - a)`, `q = unit(t @ B - b)`; candidates are ranked by `z . q`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Progress = Callable[[int, int], None]

# Photos whose products with a bank of some thousand captions fit into the processor's cache.
HUB_BLOCK = 128


@dataclass(frozen=True, slots=True)
class LinearMap:
    """Both sides of the map, float32: A (d, k), a (k,), B (e, k), b (k,)."""

    A: np.ndarray
    a: np.ndarray
    B: np.ndarray
    b: np.ndarray

    @property
    def k(self) -> int:
        return int(self.A.shape[1])

    def images(self, x: np.ndarray) -> np.ndarray:
        """x: (n, d) image embeddings -> z: (n, k) float32, unit rows."""
        return unit(x.astype(np.float32, copy=False) @ self.A - self.a)

    def texts(self, t: np.ndarray) -> np.ndarray:
        """t: (n, e) text vectors -> q: (n, k) float32, unit rows."""
        return unit(t @ self.B - self.b)


@dataclass(frozen=True, slots=True)
class MapSettings:
    """How a map is fitted. The defaults were chosen on Flickr8k training photos that were held out."""

    k: int = 384
    # Shrinkage of the covariances towards a multiple of the identity. Photos need more: there are fewer of them.
    shrink_images: float = 1.0
    shrink_texts: float = 0.3
    # Contrastive tuning; 0 epochs leaves the closed form as it is. `temperature` is what cosines are multiplied by.
    epochs: int = 30
    batch: int = 1000
    learning_rate: float = 5e-3
    # A linear map of wide frozen features overfits at once; losing most of the image features each step prevents it.
    dropout_images: float = 0.6
    dropout_texts: float = 0.35
    smoothing: float = 0.1
    temperature: float = 20.0
    captions: int = 2


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1 (zero rows stay zero), float32."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(norms, 1e-12)).astype(np.float32)


def fit_cca(x: np.ndarray, t: np.ndarray, photo: np.ndarray, settings: MapSettings) -> LinearMap:
    """Regularised canonical correlation analysis, in closed form.

    x: (n, d) photos; t: (m, e) sentences; photo: (m,) the photo that each sentence describes. Solves
    `Lx^-1 Cxt Lt^-T = U S V^T` with `Cx + rx tr(Cx)/d I = Lx Lx^T` (Cholesky) and likewise for texts, and scales both
    sides by the correlations S, so that a direction counts as much as it can be trusted (Hardoon, Szedmak and
    Shawe-Taylor 2004; Gong et al. 2014 for the scaling).
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
    """Ridge regression of a sentence's photo on the sentence: the plain baseline, with the image space left as it is.

    `strength` is a multiple of the mean eigenvalue of the texts' covariance.
    """
    mean_x = x[photo].mean(axis=0)
    mean_t = t.mean(axis=0)
    centred = t - mean_t
    covariance = _shrunk(centred.T @ centred / len(t), strength)
    B = np.linalg.solve(covariance, centred.T @ (x[photo] - mean_x) / len(t)).astype(np.float32)
    return LinearMap(np.eye(x.shape[1], dtype=np.float32), mean_x.astype(np.float32), B, mean_t @ B)


def tune(
    start: LinearMap,
    x: np.ndarray,
    t: np.ndarray,
    photo: np.ndarray,
    settings: MapSettings,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> LinearMap:
    """Tune both sides by a symmetric contrastive loss (InfoNCE, van den Oord et al. 2018) from a closed-form start.

    Each step takes `batch` photos with `captions` random sentences each, all of them positives: sentence to photo by
    cross-entropy with label smoothing, photo to sentence by the mean over its positives. Runs on the CPU in bfloat16.
    """
    if settings.epochs == 0:
        return start
    import torch
    from torch.nn.functional import cross_entropy, dropout, log_softmax, normalize

    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    photos = np.unique(photo)
    order = np.argsort(photo, kind="stable")
    own = np.split(order, np.searchsorted(photo[order], photos[1:]))
    batch = min(settings.batch, len(photos))
    steps = max(1, round(settings.epochs * len(photos) / batch))
    images, texts = torch.from_numpy(x), torch.from_numpy(t)
    parameters = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in (start.A, start.a, start.B, start.b)]
    A, a, B, b = parameters
    scale = torch.nn.Parameter(torch.tensor(settings.temperature).log())
    optimizer = torch.optim.AdamW(
        [{"params": parameters, "lr": settings.learning_rate}, {"params": [scale], "lr": 1e-2}], weight_decay=0.0
    )
    rates = [settings.learning_rate, 1e-2]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    waiting = np.empty(0, np.int64)
    for step in range(steps):
        if len(waiting) < batch:
            waiting = generator.permutation(len(photos))
        chosen, waiting = waiting[:batch], waiting[batch:]
        picks = np.stack([generator.choice(own[i], settings.captions, len(own[i]) < settings.captions) for i in chosen])
        with torch.autocast("cpu", torch.bfloat16):
            z = dropout(images[photos[chosen]], settings.dropout_images) @ A - a
            q = dropout(texts[picks.T.reshape(-1)], settings.dropout_texts) @ B - b
            logits = scale.exp() * (normalize(q.float()) @ normalize(z.float()).T)
        logits = logits.float()
        target = torch.arange(batch).repeat(settings.captions)
        to_photo = cross_entropy(logits, target, label_smoothing=settings.smoothing)
        to_text = -log_softmax(logits.T, dim=1)[target, torch.arange(len(target))].mean()
        optimizer.zero_grad()
        (to_photo + to_text).backward()
        optimizer.step()
        schedule.step()
        if on_progress is not None:
            on_progress(step + 1, steps)
    return LinearMap(*(weight.detach().numpy() for weight in parameters))


def fit_map(
    x: np.ndarray,
    t: np.ndarray,
    photo: np.ndarray,
    settings: MapSettings,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> LinearMap:
    """Closed form, then tuning. x: (n, d), t: (m, e), photo: (m,) as in `fit_cca`."""
    return tune(fit_cca(x, t, photo, settings), x, t, photo, settings, seed, on_progress)


def fit_meaning(x: np.ndarray, t: np.ndarray, photo: np.ndarray, k: int = 192, strength: float = 1.0) -> LinearMap:
    """Ridge regression of the mean vector of a photo's sentences on the photo, in the leading `k` directions.

    x: (n, d), t: (m, e) unit rows, photo: (m,). Where the map above learns which photo a sentence belongs to, this one
    keeps the sentences' own geometry, in which two sentences that say nearly the same lie near each other; people's
    grades follow that more closely. `strength` is a multiple of the mean eigenvalue of the photos' covariance.
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


def mean_top_products(z: np.ndarray, bank: np.ndarray, nearest: int = 10) -> np.ndarray:
    """How near photos are to queries at large: the mean of the `nearest` largest products with a bank of queries.

    z: (n, k) unit rows; bank: (c, k) mapped captions, unit rows -> (n,) float32. Taking a share of it off the score
    keeps a few photos from being near to everything (after CSLS, Conneau et al. 2018).
    """
    nearest = min(nearest, len(bank))
    terms = np.empty(len(z), np.float32)
    for start in range(0, len(z), HUB_BLOCK):
        products = z[start : start + HUB_BLOCK] @ bank.T
        products.partition(len(bank) - nearest, axis=1)
        terms[start : start + HUB_BLOCK] = products[:, -nearest:].mean(axis=1)
    return terms


def _shrunk(covariance: np.ndarray, strength: float) -> np.ndarray:
    shrunk = covariance.astype(np.float64)
    shrunk[np.diag_indices_from(shrunk)] += strength * np.trace(covariance) / len(covariance)
    return shrunk


def _top_singular(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k leading singular triplets, U (rows, k), S (k,), V (columns, k), through the smaller Gram matrix."""
    if matrix.shape[0] > matrix.shape[1]:
        v, s, u = _top_singular(matrix.T, k)
        return u, s, v
    from scipy.linalg import eigh

    n = len(matrix)
    values, u = eigh(matrix @ matrix.T, subset_by_index=(n - k, n - 1))
    s = np.sqrt(np.maximum(values[::-1], 1e-12))
    u = u[:, ::-1]
    return u, s, (matrix.T @ u) / s
