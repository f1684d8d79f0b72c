"""search.bench.indexing_benchmark on the sample photos: the figures fit together."""

import shutil
from pathlib import Path

import pytest

from indexer.errors import PhotoseekError
from search.bench.indexing_benchmark import format_indexing, measure_indexing

SAMPLE = Path(__file__).resolve().parents[3] / "data" / "sample" / "test_images"


def test_the_figures_of_indexing_fit_together(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(SAMPLE, photos)
    whole = next(photos.glob("*.jpg")).read_bytes()
    (photos / "a cut one.jpg").write_bytes(whole[: len(whole) // 2])
    turns: list[tuple[str, int, int]] = []
    figures = measure_indexing(photos, "efficientnet-lite2", 7, repeats=1, on_stage=lambda *step: turns.append(step))
    found = figures.as_dict()
    assert turns == [("indexing", way, 5) for way in range(1, 6)]
    assert (found["encoder"], found["photos"], found["skipped"]) == ("efficientnet-lite2", 6, 1)
    assert found["precision"] in ("f32", "bf16")
    rates = [found[name]["photos_per_s"] for name in ("pipeline", "decode", "inference", "peer")]
    assert min(rates) > 0
    # Rates are rounded to a tenth.
    bound = 1 / (1 / found["decode"]["photos_per_s"] + 1 / found["inference"]["photos_per_s"])
    assert found["bound_photos_per_s"] == pytest.approx(bound, rel=0.05)
    assert found["bound_share"] == pytest.approx(found["pipeline"]["photos_per_s"] / bound, rel=0.05)
    assert found["speedup"] == pytest.approx(rates[0] / rates[3], rel=0.1)
    assert found["peak_mb"] > 50
    assert list(found) == [
        "encoder",
        "precision",
        "photos",
        "skipped",
        "cores",
        "pipeline",
        "decode",
        "inference",
        "bound_photos_per_s",
        "bound_share",
        "peak_mb",
        "peer",
        "speedup",
    ]
    assert list(found["peer"]) == ["photos_per_s", "way"]
    shown = format_indexing(figures).splitlines()
    assert shown[0].startswith("6 photos, efficientnet-lite2 in ")
    assert shown[1] == "1 more cannot be read and are left out"
    assert shown[-2].startswith("peer ")


def test_a_folder_without_photos_and_an_unknown_encoder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PhotoseekError, match="no photos found under"):
        measure_indexing(tmp_path)
    with pytest.raises(PhotoseekError, match=r"bench measures .*, not file:x\.onnx"):
        measure_indexing(SAMPLE, "file:x.onnx")


def test_the_usual_way_is_left_out_where_nobody_asked_for_it() -> None:
    figures = measure_indexing(SAMPLE, "efficientnet-lite2", 2, repeats=1, with_baseline=False)
    assert figures.baseline is None
    assert not {"peer", "speedup"} & set(figures.as_dict())
    assert "peer" not in format_indexing(figures)
