"""Build views that have lists although their photos are few, and compute exact answers to compare with."""

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from indexer.views.ann_settings import AnnSettings
from indexer.views.build import build_view
from indexer.views.view import View, open_view
from tiny_ranker import TinyRanker

WIDTH, ROWS = 24, 3000
SETTINGS = AnnSettings(exact_bytes=0)


@dataclass(frozen=True)
class Asked(TinyRanker):
    """A ranker that gives queries to tune a search with."""

    asked: dict[str, np.ndarray] = field(default_factory=dict)

    def queries(self) -> dict[str, np.ndarray]:
        return self.asked


def cloud(seed: int, n: int, width: int = WIDTH) -> np.ndarray:
    """Draw points about 40 centres, flatter in later coordinates: (n, width) float32 that float16 holds exactly."""
    centres = np.random.default_rng(99).standard_normal((40, width))
    random = np.random.default_rng(seed)
    points = centres[random.integers(0, 40, n)] + random.standard_normal((n, width))
    return (points / np.arange(1, width + 1) ** 0.5).astype(np.float16).astype(np.float32)


def sentences(seed: int, n: int, width: int = WIDTH) -> np.ndarray:
    """Draw queries that weigh the first half of the coordinates most: (n, width) float32."""
    return (cloud(seed, n, width) * np.repeat([1, 0.2], [width // 2, width - width // 2])).astype(np.float32)


RANKER = TinyRanker()
ASKED = Asked(asked={"captions": sentences(1, 300), "words": -sentences(2, 300)})


def built(folder: Path, rows: np.ndarray, ranker: TinyRanker = ASKED, settings: AnnSettings = SETTINGS) -> View:
    name, count = build_view(folder, ranker, rows.astype(np.float16), settings=settings)
    assert count == len(rows)
    return open_view(folder / name)


def said(view: View) -> dict:
    return json.loads((view.folder / "view.json").read_text())


def nearest(queries: np.ndarray, rows: np.ndarray, count: int, allowed: np.ndarray) -> np.ndarray:
    """Return the best rows by exact score, best first, ties by row: (b, count)."""
    scores = queries.astype(float) @ rows[allowed].T.astype(float)
    return allowed[np.argsort(-scores, axis=1, kind="stable")[:, :count]]


def share_found(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(expected, found, strict=True)]))
