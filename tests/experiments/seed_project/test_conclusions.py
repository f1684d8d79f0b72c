from types import SimpleNamespace

import numpy as np

from experiments.seed_project.conclusions import conclusions, encoder_note
from experiments.seed_project.encoder import RANDOM_TITLE
from experiments.seed_project.project import ModelScores
from reranker.metrics.bootstrap import Measured


def project(ridge: float, net: float, ours: float, image_title: str = "ResNet-18", net_error: float = 0.28):
    """100 photos, 500 queries; the largest shares of three models."""
    shares = {"chance": 0.128, "ridge": ridge, "net": net, "candidates": 0.2, "photoseek": ours}
    errors = {"chance": 0.32, "ridge": 0.33, "net": net_error, "photoseek": 0.3}
    results = {
        name: {
            "largest_share": Measured(share, share, share),
            "recall@10": Measured(0.5, 0.4, 0.6),
            "rmse": Measured(errors.get(name, 0.3), 0, 1),
            "overlap@10": 0.07,
            "distinct@1": 3,
            "distinct@10": 10 if share == 1 else 100,
        }
        for name, share in shares.items()
    }
    return SimpleNamespace(
        results=results,
        models={name: ModelScores(np.zeros(1), np.zeros((500, 100)), True) for name in shares},
        vectors=SimpleNamespace(image_title=image_title),
        pairs=SimpleNamespace(train_photos=set(range(408))),
    )


def test_the_failure_and_its_cure() -> None:
    says = conclusions(project(1.0, 0.998, 0.2))
    assert says[0].startswith("Ridge shows the same 10 photos for every one of the 500 queries.")
    assert says[1] == (
        "The plain net has the same failure: similar images are shown for most queries. One photo is in the top 10 of "
        "99.8% of them, and of 100 photos 3 take every first place."
    )
    assert "The better one, plain net, is 12% below" in says[2]  # 1 - 0.28 / 0.32 = 0.125, halves to even
    assert says[3].startswith("photoseek on the same 408 photos cures it: its most shown photo is in the top 10 of 20%")
    assert len(says) == 5


def test_a_milder_failure_none_and_no_cure() -> None:
    assert ", in a milder form: similar images" in conclusions(project(1.0, 0.8, 0.2))[1]
    says = conclusions(project(0.7, 0.3, 0.6, net_error=0.4))
    assert says[0] == "Ridge shows one photo in the top 10 of 70% of the queries."
    assert says[1].startswith("The plain net does not show similar images for most queries here")
    assert says[2] == "On held-out pairs neither is better than always saying the mean score (RMSE 0.320)."
    assert says[3].startswith("photoseek on the same 408 photos does not cure it")


def test_a_stand_in_and_random_weights_are_never_passed_over() -> None:
    assert encoder_note("ResNet-18") == ""
    says = conclusions(project(1, 1, 1, "EfficientNet-Lite2, standing in for ResNet-18"))
    assert says[-1].startswith("The project had ResNet-18; the figures are of EfficientNet-Lite2, standing in")
    last = conclusions(project(1, 1, 1, RANDOM_TITLE))[-1]
    assert last == last.upper()
    assert "RANDOM WEIGHTS" in last
