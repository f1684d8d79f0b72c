"""Find photos that show the same scene by the cosine of their embeddings.

Such a pair of a training photo and a test photo makes a test result too good.

The threshold was chosen by looking at real pairs (`efficientnet-lite`, Flickr8k). Changed copies of 150 photos have a
cosine with their original of at least 0.94 (squeezed to 224 x 224), 0.96 (mirrored), 0.92 (JPEG of quality 30), 0.92
(brightened by a third) and 0.885 (cropped by a tenth on all sides; 0.915 for 95 % of the photos). Between the 6,000
train photos and the 1,100 test photos, five pairs are above 0.89, and each shows a single event. From 0.886 down, there
are also pairs of different herons and different motorcycles. A copy in grey has a median cosine of 0.89, so it may be
missed.

A perceptual hash (64-bit DCT) was tried too: it finds none of the five pairs, and the nearest pairs that it finds
(distance 10 to 12 of 63) have nothing in common.
"""

import numpy as np

# Smallest cosine of two photos of the same scene; the module's docstring says why.
SAME_SCENE = 0.89
# Rows per matrix product: memory stays at some megabytes.
BLOCK = 1024


def near_duplicates(x: np.ndarray, threshold: float = SAME_SCENE) -> list[tuple[int, int, float]]:
    """Find the pairs of rows whose cosine is high.

    Args:
        x: (n, d) float image embeddings, no row 0.
        threshold: The smallest cosine of a pair.

    Returns:
        (row, later row, cosine) of each pair, the largest cosine first.
    """
    unit = x.astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    found = []
    for begin in range(0, len(unit), BLOCK):
        cosines = unit[begin : begin + BLOCK] @ unit[begin:].T
        for row, column in np.argwhere(cosines >= threshold).tolist():
            if column > row:
                found.append((begin + row, begin + column, float(cosines[row, column])))
    return sorted(found, key=lambda pair: (-pair[2], pair[:2]))
