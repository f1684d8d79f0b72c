"""Store the scores of a view's photos under a policy's photo rule, so that they are computed only once."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError

from indexer.storage.integrity.checked_tensors import load_arrays, save_arrays


@dataclass(frozen=True, slots=True)
class PhotoScores:
    """The scores of the first n photos of a view under a photo rule.

    Attributes:
        shares: The share of each photo's relevance that goes to the prompts, (n,) float32 in 0..1
            (`reranker.moderation.photo_rule.prompt_share`).
        prompts: The place of the most relevant prompt, (n,) int16.
    """

    shares: np.ndarray
    prompts: np.ndarray

    def __len__(self) -> int:
        return len(self.shares)

    @classmethod
    def zeros(cls, count: int) -> "PhotoScores":
        """Return scores of 0 for `count` photos."""
        return cls(np.zeros(count, np.float32), np.zeros(count, np.int16))

    def first(self, count: int) -> "PhotoScores":
        """Return the scores of the first `count` photos."""
        return PhotoScores(self.shares[:count], self.prompts[:count])

    def followed_by(self, others: "PhotoScores") -> "PhotoScores":
        """Return these scores and those of the photos that come after them."""
        return PhotoScores(np.concatenate([self.shares, others.shares]), np.concatenate([self.prompts, others.prompts]))


def read_scores(path: Path) -> PhotoScores:
    """Read stored scores.

    Args:
        path: The file that `write_scores` wrote.

    Returns:
        The scores; those of no photo if the file is missing or damaged.
    """
    try:
        arrays = load_arrays(path)
        return PhotoScores(arrays["values"], arrays["prompts"])
    except (OSError, KeyError, SafetensorError):
        return PhotoScores.zeros(0)


def write_scores(path: Path, scores: PhotoScores) -> None:
    """Write scores beside and rename, and delete those of other policies and rankers in the same folder.

    Args:
        path: The file, named `policy-*.safetensors`.
        scores: The scores.

    Raises:
        OSError: The folder cannot be written.
    """
    for older in path.parent.glob("policy-*.safetensors"):
        if older != path:
            older.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=".policy-", dir=path.parent) as scratch:
        written = Path(scratch) / path.name
        save_arrays(written, {"values": scores.shares, "prompts": scores.prompts})
        written.chmod(0o644)
        os.replace(written, path)
