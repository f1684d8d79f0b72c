"""Evaluate the sample with the tiny encoders, quickly enough for every protocol."""

from pathlib import Path

from reranker.evaluation.data import EvaluationData
from reranker.evaluation.evaluation import Evaluation
from reranker.judgments.embedded import embed_judgments
from reranker.judgments.judgments import Judgments
from reranker.training.train import train
from tiny_encoder import TinyEncoder
from tiny_judged import QUICK, StubTextEncoder

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"


class Colours(TinyEncoder):
    """The tiny encoder without a classifier, as an evaluation wants it."""

    class_dim, prototypes = 0, None


def evaluation_of(judgments: Judgments, folder: Path) -> Evaluation:
    """Train a ranker on the sample with the tiny encoders, and return its evaluation."""
    encoders = (Colours(), StubTextEncoder())
    features = embed_judgments(judgments.restrict(judgments.sets["train_images"]), *encoders)
    ranker = train(features, judgments, encoders, QUICK)
    return Evaluation(EvaluationData(judgments, lambda: encoders, folder), ranker)
