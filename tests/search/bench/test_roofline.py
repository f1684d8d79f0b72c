"""search.bench.roofline: what a query needs at least, and how far each stage is from it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from indexer.views.ann_search import SearchParameters, Tuning
from indexer.views.byte_codes import ByteCodes
from search.bench.roofline import Work, candidate_work
from search.searcher import Searcher

PHOTOS = 600


def test_limits_are_below_what_was_measured(values: dict[str, Any]) -> None:
    roofline = values["floor"]
    assert min(roofline["memory_gb_per_s"], roofline["float32_gflops"], roofline["network_gflops"]) > 0
    assert set(roofline["stages"]) == {"encode", "map", "candidates", "rerank"}
    # Every row once, in float32: a product and a sum a coordinate.
    assert roofline["stages"]["candidates"]["operations"] == 2 * PHOTOS * 833
    assert roofline["stages"]["candidates"]["bytes"] == pytest.approx(4 * PHOTOS * 833, abs=200)
    # Six layers of MiniLM: four 384 x 384 and two 384 x 1,536 each, for 16 word pieces.
    weights = 6 * (4 * 384**2 + 2 * 384 * 1536)
    assert roofline["stages"]["encode"]["operations"] == 2 * 16 * weights
    for stage, part in roofline["stages"].items():
        assert part["times_floor"] == pytest.approx(
            values["stages"][stage]["p50_ms"] / part["floor_ms"], rel=0.02, abs=0.1
        )


def test_the_work_of_a_tuned_structure_is_that_of_its_first_kind_of_query(searcher: Searcher) -> None:
    @dataclass
    class Tuned:
        tuning: Tuning
        folder: Path
        z: np.ndarray
        rows: int
        codes: ByteCodes

    kinds = {"captions": SearchParameters(8, 500, 0.99), "words": SearchParameters(4, 700, 0.99)}
    codes = ByteCodes(np.ones(384, np.float32), np.zeros((PHOTOS, 384), np.uint8), 0)
    tuning = Tuning(64, kinds, np.eye(2, dtype=np.float32))
    # An eighth of the file; 384 codes of 500 rows; two bytes a coordinate of 2 x 100 + 100 rows.
    held = os.path.getsize(searcher.view.folder / "candidates.faiss")
    assert candidate_work(Tuned(tuning, searcher.view.folder, searcher.view.z, PHOTOS, codes)) == Work(
        held / 8 + 500 * 384 + 600 * 833,
        held / 4 + 2 * (500 * 384 + 833 * (64 + 300)),
    )
